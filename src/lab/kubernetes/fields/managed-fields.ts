import type { JsonObject } from '../../../util/json.ts';
import { FieldSet } from './field-set.ts';
import { Owned } from './owned.ts';
import type { VersionedSet } from './updater.ts';

/** One entry of `metadata.managedFields`. */
export interface ManagedFieldsEntry {
  manager?: string;
  operation?: string;
  apiVersion?: string;
  time?: string;
  fieldsType?: string;
  fieldsV1?: JsonObject;
  subresource?: string;
}

/** Who owns what of an object, and since when, by manager identifier. */
export interface Managed {
  readonly managers: Map<string, VersionedSet>;
  readonly times: Map<string, string>;
}

export function nothingManaged(): Managed {
  return { managers: new Map(), times: new Map() };
}

type Operation = 'Apply' | 'Update';

/** Who a manager is. */
export interface ManagerId {
  readonly manager: string;
  readonly operation: Operation;
  /** Not of appliers, whose entry stays the same whatever version they apply. */
  readonly apiVersion?: string;
  readonly subresource?: string;
}

/** One text for one manager, in which the entries of a list differ. */
export function identifierOf({ manager, operation, apiVersion, subresource }: ManagerId): string {
  return JSON.stringify({
    ...(manager === '' ? {} : { manager }),
    operation,
    ...(operation === 'Apply' || !apiVersion ? {} : { apiVersion }),
    ...(subresource ? { subresource } : {}),
  });
}

export function parseIdentifier(identifier: string): ManagerId {
  const id = JSON.parse(identifier) as ManagerId;
  return { ...id, manager: id.manager ?? '' };
}

/**
 * Reads `metadata.managedFields`. Those that this server has `stored` are not looked into before they are needed. Throws for
 * entries that make no sense.
 */
export function decodeManagedFields(entries: readonly ManagedFieldsEntry[], stored: boolean): Managed {
  const managed = nothingManaged();
  for (const [at, entry] of entries.entries()) {
    const { manager = '', operation, apiVersion, time, fieldsType, fieldsV1 = {}, subresource } = entry;
    if (operation !== 'Apply' && operation !== 'Update')
      throw new Error('operation must be `Apply` or `Update`');
    if (!apiVersion) throw new Error('apiVersion must not be empty');
    if (!fieldsType) throw new Error(`missing fieldsType in managed fields entry ${at}`);
    if (fieldsType !== 'FieldsV1') {
      throw new Error(`invalid fieldsType ${JSON.stringify(fieldsType)} in managed fields entry ${at}`);
    }
    const id = identifierOf({ manager, operation, apiVersion, subresource });
    managed.managers.set(id, {
      owned: stored ? Owned.stored(fieldsV1) : Owned.of(FieldSet.fromJson(fieldsV1)),
      apiVersion,
      applied: operation === 'Apply',
    });
    if (time !== undefined) managed.times.set(id, time);
  }
  return managed;
}

/** Writes `metadata.managedFields`: appliers first, then by time and name. Undefined when nothing is managed. */
export function encodeManagedFields({ managers, times }: Managed): ManagedFieldsEntry[] | undefined {
  if (managers.size === 0) return undefined;
  const entries = [...managers].map(([identifier, { owned, apiVersion, applied }]): ManagedFieldsEntry => {
    const { manager, operation, subresource } = parseIdentifier(identifier);
    const time = times.get(identifier);
    return {
      ...(manager === '' ? {} : { manager }),
      operation: applied ? 'Apply' : operation,
      apiVersion,
      ...(time === undefined ? {} : { time }),
      fieldsType: 'FieldsV1',
      fieldsV1: owned.toJson(),
      ...(subresource === undefined ? {} : { subresource }),
    };
  });
  return entries.sort(compareEntries);
}

function compareEntries(a: ManagedFieldsEntry, b: ManagedFieldsEntry): number {
  const text = (left = '', right = '') => (left < right ? -1 : left > right ? 1 : 0);
  return (
    text(a.operation, b.operation) ||
    secondsOf(a.time) - secondsOf(b.time) ||
    text(a.manager, b.manager) ||
    text(a.apiVersion, b.apiVersion) ||
    text(a.subresource, b.subresource)
  );
}

/** Seconds since the epoch of a time in an entry; 0 without one. */
export function secondsOf(time: string | undefined): number {
  return time === undefined ? 0 : Math.floor(Date.parse(time) / 1000);
}

/** Whether a client asks to forget all managers: an empty list, or one empty entry. */
export function isReset(entries: readonly ManagedFieldsEntry[] | undefined): boolean {
  if (entries === undefined || entries.length > 1) return false;
  return Object.keys(entries[0] ?? {}).length === 0;
}
