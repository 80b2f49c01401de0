import type { Json } from '../../../util/json.ts';
import {
  type Atom,
  DEDUCED,
  type FieldAtom,
  type ListAtom,
  type MapAtom,
  type ScalarType,
  type TypeRef,
  UNTYPED,
} from '../fields/atoms.ts';
import { builtinAtom } from '../fields/builtin-atoms.ts';
import { type JsonSchema, keepsUnknown } from './json-schema.ts';

/** How custom resources of a schema are merged; metadata is that of every object. */
export function resourceAtom(schema: JsonSchema): Atom {
  const atom = atomOf(schema, keepsUnknown(schema))();
  const fields = new Map<string, FieldAtom>(atom.map?.fields ?? []);
  fields.set('apiVersion', { type: STRING });
  fields.set('kind', { type: STRING });
  fields.set('metadata', { type: () => builtinAtom('meta.v1.ObjectMeta') });
  const element =
    Object.keys(schema.properties ?? {}).length === 0 && !keepsUnknown(schema)
      ? undefined
      : atom.map?.element;
  return { map: { fields, element, atomic: false } };
}

const STRING: TypeRef = () => ({ scalar: 'string' });

/** `keeps`: an outer schema keeps unknown fields, which holds for all below it. */
function atomOf(schema: JsonSchema, keeps: boolean): TypeRef {
  let made: Atom | undefined;
  return () => {
    made ??= makeAtom(schema, keeps || keepsUnknown(schema));
    return made;
  };
}

function makeAtom(schema: JsonSchema, keeps: boolean): Atom {
  switch (schema.type ?? '') {
    case 'object':
      return { map: mapAtom(schema, keeps) };
    case 'array':
      return { list: listAtom(schema, keeps) };
    case '':
      return { scalar: 'untyped', list: listAtom(schema, keeps), map: mapAtom(schema, keeps) };
    default:
      return { scalar: scalarType(schema) };
  }
}

function scalarType({ type, format }: JsonSchema): ScalarType {
  if (type === 'integer' || type === 'number') return 'numeric';
  if (type === 'boolean') return 'boolean';
  return type === 'string' && (format === undefined || format === '' || format === 'byte')
    ? 'string'
    : 'untyped';
}

function mapAtom(schema: JsonSchema, keeps: boolean): MapAtom {
  const fields = new Map<string, FieldAtom>();
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const fallback: Json | undefined = property.default;
    fields.set(name, {
      type: atomOf(property, keeps),
      ...(fallback === undefined ? {} : { default: fallback }),
    });
  }
  if (schema['x-kubernetes-embedded-resource']) {
    fields.set('apiVersion', { type: STRING });
    fields.set('kind', { type: STRING });
    fields.set('metadata', { type: () => builtinAtom('meta.v1.ObjectMeta') });
  }
  const { additionalProperties } = schema;
  let element: TypeRef | undefined;
  if (typeof additionalProperties === 'object') element = atomOf(additionalProperties, keeps);
  else if (additionalProperties === true) element = DEDUCED;
  else if (additionalProperties === undefined && (keeps || fields.size === 0)) element = DEDUCED;
  return { fields, element, atomic: schema['x-kubernetes-map-type'] === 'atomic' };
}

function listAtom(schema: JsonSchema, keeps: boolean): ListAtom {
  const type = schema['x-kubernetes-list-type'];
  return {
    element: schema.items === undefined ? UNTYPED : atomOf(schema.items, keeps),
    associative: type === 'set' || type === 'map',
    keys: type === 'map' ? (schema['x-kubernetes-list-map-keys'] ?? []) : [],
  };
}
