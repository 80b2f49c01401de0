import type { Json } from '../../../util/json.ts';

/** What values of a field may be and how they are merged: the type model of sigs.k8s.io/structured-merge-diff. */
export interface Atom {
  readonly scalar?: ScalarType;
  readonly list?: ListAtom;
  readonly map?: MapAtom;
}

export type ScalarType = 'string' | 'numeric' | 'boolean' | 'untyped';

/** Types refer to each other, and to themselves: a reference is resolved when it is followed. */
export type TypeRef = () => Atom;

export interface ListAtom {
  readonly element: TypeRef;
  /** False: the list is one value. True: its items are merged, by `keys` or, without any, by their values (a set). */
  readonly associative: boolean;
  readonly keys: readonly string[];
}

/** An object: a struct with named fields, a map of whatever names, or both. */
export interface MapAtom {
  readonly fields: ReadonlyMap<string, FieldAtom>;
  /** Type of fields without a name in `fields`; undefined where there may be none. */
  readonly element: TypeRef | undefined;
  /** True: the object is one value. */
  readonly atomic: boolean;
}

export interface FieldAtom {
  readonly type: TypeRef;
  /** Stands for an absent field where the field is a key of a list's items. */
  readonly default?: Json;
}

/** Anything, one value as a whole. */
export const UNTYPED: TypeRef = () => untyped;
const untyped: Atom = {
  scalar: 'untyped',
  list: { element: UNTYPED, associative: false, keys: [] },
  map: { fields: new Map(), element: UNTYPED, atomic: true },
};

/** Anything, with the fields of objects merged one by one. */
export const DEDUCED: TypeRef = () => deduced;
const deduced: Atom = {
  scalar: 'untyped',
  list: { element: UNTYPED, associative: false, keys: [] },
  map: { fields: new Map(), element: DEDUCED, atomic: false },
};

/** Whether a map has no named fields and fields of whatever type: such a one is never reconciled with its schema. */
export function isDeducedMap(map: MapAtom): boolean {
  return map.fields.size === 0 && map.element?.().scalar === 'untyped';
}

/** The type of a field; undefined where the schema has none of that name. */
export function fieldType(map: MapAtom, name: string): TypeRef | undefined {
  return map.fields.get(name)?.type ?? map.element;
}

/** The one of its forms that an atom takes. */
export type Shape = 'scalar' | 'list' | 'map';

/** The form that `value` takes as an atom; null and undefined fit any, of which the first that there is is taken. */
export function shapeOf(atom: Atom, value: Json | undefined): Shape {
  if (value !== undefined && value !== null) {
    if (Array.isArray(value)) {
      if (atom.list !== undefined) return 'list';
    } else if (typeof value === 'object') {
      if (atom.map !== undefined) return 'map';
    } else if (atom.scalar !== undefined) return 'scalar';
  }
  return atom.map !== undefined ? 'map' : atom.scalar !== undefined ? 'scalar' : 'list';
}

/** The atom of one shape where the same type is to be merged as a whole, or not as one. */
export function withMapType(type: TypeRef, atomic: boolean): TypeRef {
  let made: Atom | undefined;
  return () => {
    if (made === undefined) {
      const atom = type();
      made = atom.map === undefined ? atom : { ...atom, map: { ...atom.map, atomic } };
    }
    return made;
  };
}
