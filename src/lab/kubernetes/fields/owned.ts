import type { JsonObject } from '../../../util/json.ts';
import { FieldSet, isMemberJson } from './field-set.ts';

/**
 * The fields that somebody owns. Most writes touch the fields of few of an object's managers: what is stored is read only when
 * it has to be, and written back as it was unless it changes.
 */
export class Owned {
  #json: JsonObject | undefined;
  #set: FieldSet | undefined;

  private constructor(json: JsonObject | undefined, set: FieldSet | undefined) {
    this.#json = json;
    this.#set = set;
  }

  static of(set: FieldSet): Owned {
    return new Owned(undefined, set);
  }

  /** Of `fieldsV1` as {@link FieldSet.toJson} wrote it. */
  static stored(json: JsonObject): Owned {
    return new Owned(json, undefined);
  }

  get set(): FieldSet {
    this.#set ??= FieldSet.fromJson(this.#json);
    return this.#set;
  }

  toJson(): JsonObject {
    this.#json ??= this.set.toJson();
    return this.#json;
  }

  /** Whether some field of `set` is among these. */
  meets(set: FieldSet): boolean {
    return meetsJson(set, this.toJson());
  }

  /** Whether all fields of `set` are among these. */
  includes(set: FieldSet): boolean {
    return isWithinJson(set, this.toJson());
  }
}

function meetsJson(set: FieldSet, json: JsonObject): boolean {
  for (const member of set.members) if (isMemberJson(json[member])) return true;
  for (const [element, child] of set.children) {
    const below = json[element];
    if (below !== undefined && meetsJson(child, below as JsonObject)) return true;
  }
  return false;
}

function isWithinJson(set: FieldSet, json: JsonObject): boolean {
  for (const member of set.members) if (!isMemberJson(json[member])) return false;
  for (const [element, child] of set.children) {
    const below = json[element];
    if (below === undefined ? !child.isEmpty : !isWithinJson(child, below as JsonObject)) return false;
  }
  return true;
}
