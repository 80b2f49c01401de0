import { KINDS, type KindInfo, kindByName, kindByPlural } from '../../kube/kinds.ts';
import { timestamp } from '../../kube/time.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import {
  type CustomDefinition,
  type CustomKind,
  type CustomNames,
  type DefinitionCondition,
  type DefinitionStatus,
  kindsOf,
} from '../kubernetes/custom/custom-kind.ts';
import { CUSTOM_CLEANUP } from './deletion.ts';
import { Mirror } from './mirror.ts';
import { type ApiObject, keyOf, prefixOf, sameJson } from './objects.ts';
import type { ResourceStore } from './resource-store.ts';
import { StatusError } from './status-error.ts';
import type { Storage } from './storage.ts';
import type { WatchHub } from './watch-hub.ts';

const definitionKind = kindByName('apiextensions.k8s.io/v1', 'CustomResourceDefinition')!;
const WRITER = { manager: 'kube-apiserver', subresource: 'status' };
/** How soon something that failed, or that waits for finalizers, is looked at again. */
const RETRY_MS = 500;

/** The kinds that are served: Kubernetes' own, and those of CustomResourceDefinitions. */
export interface ServedKinds {
  /** The same list until there are others. */
  all(): readonly KindInfo[];
  byPlural(group: string, version: string, plural: string): KindInfo | undefined;
  /** Whether new objects of a kind are refused, because it is being deleted. */
  isEnding(kind: KindInfo): boolean;
}

/**
 * Serves what CustomResourceDefinitions define, says in their status what has become of them, and deletes the objects of one
 * that is deleted before it goes.
 */
export class CustomKinds implements ServedKinds {
  readonly #store: ResourceStore;
  readonly #mirror: Mirror<CustomDefinition>;
  readonly #onError: (error: unknown) => void;
  readonly #clock: Clock;
  /** By storage key of the definition. */
  readonly #served = new Map<string, CustomKind[]>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #all: readonly KindInfo[] = KINDS;
  #last: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: {
    storage: Storage;
    hub: WatchHub;
    store: ResourceStore;
    onError: (error: unknown) => void;
    clock?: Clock;
  }) {
    const { storage, hub, onError } = options;
    this.#store = options.store;
    this.#onError = onError;
    this.#clock = options.clock ?? realClock;
    this.#mirror = new Mirror<CustomDefinition>({
      storage,
      hub,
      prefix: prefixOf(definitionKind),
      project: (definition) => definition,
      onError,
      onChange: (key) => this.#queue(key),
    });
  }

  /** Resolves when all that is defined is served. */
  async start(): Promise<void> {
    await this.#mirror.start();
    await this.#last;
  }

  stop(): void {
    this.#stopped = true;
    this.#mirror.stop();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  all(): readonly KindInfo[] {
    return this.#all;
  }

  byPlural(group: string, version: string, plural: string): KindInfo | undefined {
    return (
      kindByPlural(group, version, plural) ??
      this.#served
        .get(keyOf(definitionKind, '', `${plural}.${group}`))
        ?.find((kind) => kind.version === version)
    );
  }

  isEnding(kind: KindInfo): boolean {
    const definition = this.#mirror.entries.get(keyOf(definitionKind, '', `${kind.plural}.${kind.group}`));
    return definition?.metadata.deletionTimestamp !== undefined;
  }

  #queue(key: string): void {
    this.#last = this.#last.then(async () => {
      if (this.#stopped) return;
      try {
        await this.#sync(key);
      } catch (error) {
        this.#onError(error);
        this.#queueLater(key);
      }
    });
  }

  #queueLater(key: string): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#queue(key);
    }, RETRY_MS);
    this.#timers.add(timer);
  }

  async #sync(key: string): Promise<void> {
    const definition = this.#mirror.entries.get(key);
    if (definition === undefined) {
      const [gone] = this.#served.get(key) ?? [];
      this.#serve(key, []);
      if (gone !== undefined) this.#queueGroup(gone.group, key);
      return;
    }
    const { accepted, condition } = this.#accepted(key, definition);
    const status: DefinitionStatus = { ...definition.status, acceptedNames: accepted };
    const isEstablished = isTrue(definition.status, 'Established');
    if (condition.status === 'True' || isEstablished) this.#serve(key, kindsOf({ ...definition, status }));
    if (definition.metadata.deletionTimestamp !== undefined) return await this.#finish(key, definition);
    const established: DefinitionCondition =
      condition.status === 'True' || isEstablished
        ? {
            type: 'Established',
            status: 'True',
            reason: 'InitialNamesAccepted',
            message: 'the initial names have been accepted',
          }
        : {
            type: 'Established',
            status: 'False',
            reason: 'NotAccepted',
            message: 'not all names are accepted',
          };
    const released = !sameJson(definition.status?.acceptedNames, accepted);
    await this.#writeStatus(definition, accepted, [condition, established]);
    if (released) this.#queueGroup(definition.spec.group, key);
  }

  /** A name that one definition has given up is another's to have. */
  #queueGroup(group: string, but: string): void {
    for (const [key, { spec, status }] of this.#mirror.entries) {
      if (key !== but && spec.group === group && !isTrue(status, 'NamesAccepted')) this.#queue(key);
    }
  }

  #serve(key: string, kinds: CustomKind[]): void {
    const before = this.#served.get(key) ?? [];
    if (kinds.length === 0 && before.length === 0) return;
    if (kinds.length === 0) this.#served.delete(key);
    else this.#served.set(key, kinds);
    this.#all = [...KINDS, ...[...this.#served.values()].flat()];
  }

  /** The names that a definition gets: those that it asks for, unless another of its group has them. */
  #accepted(
    key: string,
    definition: CustomDefinition,
  ): { accepted: CustomNames; condition: DefinitionCondition } {
    const resources = new Set<string>();
    const kinds = new Set<string>();
    for (const [other, { spec, status }] of this.#mirror.entries) {
      const names = status?.acceptedNames;
      if (other === key || spec.group !== definition.spec.group || names === undefined) continue;
      for (const name of [names.plural, names.singular, ...(names.shortNames ?? [])])
        if (name) resources.add(name);
      for (const name of [names.kind, names.listKind]) if (name) kinds.add(name);
    }
    const wanted = definition.spec.names;
    const before = definition.status?.acceptedNames;
    const condition: DefinitionCondition = {
      type: 'NamesAccepted',
      status: 'True',
      reason: 'NoConflicts',
      message: 'no conflicts found',
    };
    const refuse = (reason: string, names: readonly string[]) => {
      const text = names.map((name) => `${JSON.stringify(name)} is already in use`);
      Object.assign(condition, {
        status: 'False',
        reason,
        message: text.length === 1 ? text[0] : `[${text.join(', ')}]`,
      });
    };
    const pick = (field: 'plural' | 'singular' | 'kind' | 'listKind', used: Set<string>, reason: string) => {
      const name = wanted[field];
      if (name === before?.[field] || name === undefined || !used.has(name)) return name;
      refuse(reason, [name]);
      return before?.[field];
    };
    const plural = pick('plural', resources, 'PluralConflict');
    const singular = pick('singular', resources, 'SingularConflict');
    const taken = (wanted.shortNames ?? []).filter(
      (name) => resources.has(name) && !before?.shortNames?.includes(name),
    );
    if (taken.length > 0) refuse('ShortNamesConflict', taken);
    const shortNames = taken.length > 0 ? before?.shortNames : wanted.shortNames;
    const kind = pick('kind', kinds, 'KindConflict');
    const listKind = pick('listKind', kinds, 'ListKindConflict');
    const { categories } = wanted;
    const accepted: CustomNames = {
      plural: plural ?? '',
      kind: kind ?? '',
      ...(singular === undefined ? {} : { singular }),
      ...(listKind === undefined ? {} : { listKind }),
      ...(shortNames === undefined ? {} : { shortNames }),
      ...(categories === undefined ? {} : { categories }),
    };
    return { accepted, condition };
  }

  async #writeStatus(
    definition: CustomDefinition,
    acceptedNames: CustomNames | undefined,
    conditions: readonly DefinitionCondition[],
  ): Promise<void> {
    const known = definition.status?.conditions ?? [];
    const isSame = (condition: DefinitionCondition) => {
      const before = known.find(({ type }) => type === condition.type);
      return (
        before?.status === condition.status &&
        before.reason === condition.reason &&
        before.message === condition.message
      );
    };
    if (conditions.every(isSame) && sameJson(definition.status?.acceptedNames, acceptedNames)) return;
    const now = timestamp(this.#clock.now());
    const change = (current: ApiObject) => {
      const status: DefinitionStatus = current.status ?? {};
      const rest = (status.conditions ?? []).filter(
        ({ type }) => !conditions.some((item) => item.type === type),
      );
      const changed = conditions.map((condition) => {
        const before = status.conditions?.find(({ type }) => type === condition.type);
        const time = before?.status === condition.status ? before.lastTransitionTime : now;
        return { lastTransitionTime: time, ...condition };
      });
      current.status = { ...status, acceptedNames, conditions: [...rest, ...changed] };
      return current;
    };
    await this.#unlessGone(() =>
      this.#store.update(definitionKind, '', definition.metadata.name!, change, {
        subresource: 'status',
        writer: WRITER,
      }),
    );
  }

  /** Deletes every object of a definition that is being deleted; lets it go when there are none. */
  async #finish(key: string, definition: CustomDefinition): Promise<void> {
    const [kind] = this.#served.get(key) ?? [];
    const remaining = kind === undefined ? 0 : await this.#deleteObjects(kind);
    if (remaining > 0) {
      const condition = {
        type: 'Terminating',
        status: 'True',
        reason: 'InstanceDeletionInProgress',
        message: 'CustomResource deletion is in progress',
      };
      await this.#writeStatus(definition, definition.status?.acceptedNames, [condition]);
      this.#queueLater(key);
      return;
    }
    const change = (current: ApiObject) => {
      const left = (current.metadata.finalizers ?? []).filter((finalizer) => finalizer !== CUSTOM_CLEANUP);
      current.metadata.finalizers = left.length === 0 ? undefined : left;
      return current;
    };
    await this.#unlessGone(() => this.#store.update(definitionKind, '', definition.metadata.name!, change));
  }

  /** Begins to delete all objects of a kind; returns how many there are left. */
  async #deleteObjects(kind: CustomKind): Promise<number> {
    const list = () =>
      this.#store.list(kind, { namespace: '', limit: 0, matches: () => true, selective: false });
    for (const { metadata } of (await list()).items) {
      if (metadata.deletionTimestamp !== undefined) continue;
      await this.#unlessGone(() =>
        this.#store.delete(kind, metadata.namespace ?? '', metadata.name ?? '', {}),
      );
    }
    return (await list()).items.length;
  }

  async #unlessGone(write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (!(error instanceof StatusError) || error.reason !== 'NotFound') throw error;
    }
  }
}

function isTrue(status: DefinitionStatus | undefined, type: string): boolean {
  return (
    status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false
  );
}
