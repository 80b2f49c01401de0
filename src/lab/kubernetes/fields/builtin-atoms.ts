import type { Json } from '../../../util/json.ts';
import { ATOMIC_MAPS, ATOMIC_STRUCTS, mergeRuleOf } from '../schema/merge-rules.ts';
import { definitionOf, type FieldType, type Scalar } from '../schema/schema.ts';
import {
  type Atom,
  DEDUCED,
  type FieldAtom,
  type ScalarType,
  type TypeRef,
  UNTYPED,
  withMapType,
} from './atoms.ts';

const SCALARS: Readonly<Record<Exclude<Scalar, 'object' | 'any'>, ScalarType>> = {
  string: 'string',
  bytes: 'string',
  bool: 'boolean',
  int32: 'numeric',
  int64: 'numeric',
  double: 'numeric',
  time: 'untyped',
  microTime: 'untyped',
  quantity: 'untyped',
  intOrString: 'untyped',
};

/** The defaults of fields that are keys of lists (`default` in the OpenAPI document); required ones have Go's zero value. */
const KEY_DEFAULTS: Readonly<Record<string, Json>> = {
  'core.v1.ContainerPort.protocol': 'TCP',
  'core.v1.ServicePort.protocol': 'TCP',
};

const ZERO: Partial<Record<Scalar, Json>> = { string: '', int32: 0, int64: 0, bool: false };

const known = new Map<string, Atom>();

/** How objects of a definition (`core.v1.Pod`) are merged. Made when first asked for. */
export function builtinAtom(definition: string): Atom {
  const found = known.get(definition);
  if (found !== undefined) return found;
  const fields = new Map<string, FieldAtom>();
  for (const [field, { type, required }] of definitionOf(definition)) {
    const zero = required && type.form === 'scalar' ? ZERO[type.scalar] : undefined;
    const fallback = KEY_DEFAULTS[`${definition}.${field}`] ?? zero;
    fields.set(field, {
      type: fieldType(definition, field, type),
      ...(fallback === undefined ? {} : { default: fallback }),
    });
  }
  const atom: Atom = { map: { fields, element: undefined, atomic: ATOMIC_STRUCTS.has(definition) } };
  known.set(definition, atom);
  return atom;
}

function fieldType(definition: string, field: string, type: FieldType): TypeRef {
  if (type.form === 'list') {
    const rule = mergeRuleOf(definition, field);
    const associative = rule?.listType === 'set' || rule?.listType === 'map';
    const list: Atom = { list: { element: typeRef(type.of), associative, keys: rule?.mapKeys ?? [] } };
    return () => list;
  }
  const made = typeRef(type);
  return ATOMIC_MAPS.has(`${definition}.${field}`) ? withMapType(made, true) : made;
}

function typeRef(type: FieldType): TypeRef {
  switch (type.form) {
    case 'struct':
      return () => builtinAtom(type.definition);
    case 'map': {
      const map: Atom = { map: { fields: new Map(), element: typeRef(type.of), atomic: false } };
      return () => map;
    }
    case 'list': {
      const list: Atom = { list: { element: typeRef(type.of), associative: false, keys: [] } };
      return () => list;
    }
    case 'scalar': {
      if (type.scalar === 'object') return OBJECT;
      if (type.scalar === 'any') return ANY;
      const atom: Atom = { scalar: SCALARS[type.scalar] };
      // Two forms are one of `oneOf`, which the published schema gives no type.
      return type.scalar === 'quantity' || type.scalar === 'intOrString' ? ANY : () => atom;
    }
  }
}

/** An object whose fields are whatever they are. */
const object: Atom = { map: { fields: new Map(), element: DEDUCED, atomic: false } };
const OBJECT: TypeRef = () => object;
const any: Atom = {
  scalar: 'untyped',
  list: { element: UNTYPED, associative: false, keys: [] },
  map: object.map,
};
const ANY: TypeRef = () => any;
