import { groupVersionOf, type KindInfo } from '../../kube/kinds.ts';
import type { ObjectMeta } from '../../kube/types.ts';
import type { JsonObject } from '../../util/json.ts';
import { isCustom } from '../kubernetes/custom/custom-kind.ts';
import { applySchemaDefaults, pruneUnknown } from '../kubernetes/custom/pruning.ts';
import type { Target } from './status-error.ts';

/** Metadata that the server itself may set. */
export type Metadata = { -readonly [F in keyof ObjectMeta]: ObjectMeta[F] };

/** An object on its way through the server: metadata is always there, the rest is as the kind's schema says. */
export interface ApiObject {
  apiVersion?: string;
  kind?: string;
  metadata: Metadata;
  // biome-ignore lint/suspicious/noExplicitAny: spec and status differ by kind; who reads them knows which it has.
  [field: string]: any;
}

/** Under this prefix of storage is everything. */
export const ROOT = '/registry/';

/** Storage prefix of a kind, or of its part in one namespace. Both names of a kind that has two share one. */
export function prefixOf(info: KindInfo, namespace = ''): string {
  const group = info.storageGroup === '' ? 'core' : info.storageGroup;
  const collection = `${ROOT}${group}/${info.plural}/`;
  return namespace === '' ? collection : `${collection}${namespace}/`;
}

export function keyOf(info: KindInfo, namespace: string, name: string): string {
  return prefixOf(info, info.namespaced ? namespace : '') + name;
}

/** An object from its stored text, as the kind it is asked for. */
export function decodeStored(info: KindInfo, value: string, revision: number): ApiObject {
  const object = JSON.parse(value) as ApiObject;
  object.kind = info.kind;
  object.apiVersion = groupVersionOf(info);
  object.metadata.resourceVersion = String(revision);
  if (isCustom(info)) {
    // The schema may have changed since it was stored.
    pruneUnknown(object as JsonObject, info.schema);
    applySchemaDefaults(object as JsonObject, info.schema);
  }
  return object;
}

/** The text to store: without resourceVersion, which is the revision, and in the kind's storage version. */
export function encodeStored(info: KindInfo, object: ApiObject): string {
  const { resourceVersion: _, selfLink: __, ...metadata } = object.metadata;
  const { apiVersion: ___, kind: ____, metadata: _____, ...rest } = object;
  const storage = { group: info.storageGroup, version: info.storageVersion };
  return JSON.stringify({ kind: info.kind, apiVersion: groupVersionOf(storage), metadata, ...rest });
}

/** The resource as errors name it. */
export function targetOf(info: KindInfo): Target {
  return { group: info.group, plural: info.plural };
}

/** Deep equality of JSON values, whatever the order of keys; an absent field and an undefined one are the same. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, at) => sameJson(item, b[at]));
  }
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  for (const key of Object.keys(right)) if (right[key] !== undefined && left[key] === undefined) return false;
  return Object.keys(left).every((key) => sameJson(left[key], right[key]));
}

const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;
const MAX_NAME_LENGTH = 63;

/** Five letters that make no words, as Kubernetes appends to generated names. */
export function randomSuffix(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(SUFFIX_LENGTH));
  return [...bytes].map((byte) => SUFFIX_LETTERS[byte % SUFFIX_LETTERS.length]).join('');
}

export function generatedName(prefix: string): string {
  return prefix.slice(0, MAX_NAME_LENGTH - SUFFIX_LENGTH) + randomSuffix();
}
