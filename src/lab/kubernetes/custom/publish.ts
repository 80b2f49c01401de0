import { isObject } from '../../../util/json.ts';
import type { CustomKind } from './custom-kind.ts';
import type { JsonSchema } from './json-schema.ts';

/** A JSON Schema as OpenAPI writes it. */
type Published = { [key: string]: unknown };

/** What OpenAPI 2 clients understand; the rest of a schema says things that version has no words for. */
const V2_FIELDS: ReadonlySet<string> = new Set(['description', 'format', 'required', 'type']);

/** The published name of a custom kind: its group backwards, its version, its kind (`com.example.v1.Widget`). */
export function customName({ group, version, kind }: CustomKind): string {
  return `${group.split('.').reverse().join('.')}.${version}.${kind}`;
}

/** The schemas of a custom kind and of its lists, by published name. `reference` makes a reference to another schema. */
export function customSchemas(
  info: CustomKind,
  spec: 2 | 3,
  reference: (name: string) => Published,
): Record<string, Published> {
  const { group, version, kind, listKind } = info;
  const name = customName(info);
  const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';
  const gvk = (of: string) => [{ group, kind: of, version }];
  const described = (to: string, description: string): Published =>
    spec === 2 ? { description, ...reference(to) } : { description, allOf: [reference(to)] };
  const own = {
    apiVersion: { type: 'string', description: API_VERSION },
    kind: { type: 'string', description: KIND },
  };
  const schema = publishSchema(info.schema, spec);
  return {
    [name]: {
      ...schema,
      type: 'object',
      properties: {
        ...own,
        metadata: described(`${meta}.ObjectMeta`, "Standard object's metadata."),
        ...(isObject(schema.properties) ? omit(schema.properties, ['apiVersion', 'kind', 'metadata']) : {}),
      },
      'x-kubernetes-group-version-kind': gvk(kind),
    },
    [`${name}List`]: {
      description: `${listKind} is a list of ${kind}`,
      type: 'object',
      required: ['items'],
      properties: {
        ...own,
        metadata: described(`${meta}.ListMeta`, 'Standard list metadata.'),
        items: { description: `List of ${info.plural}.`, type: 'array', items: reference(name) },
      },
      'x-kubernetes-group-version-kind': gvk(listKind),
    },
  };
}

const API_VERSION =
  'APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values.';
const KIND =
  'Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase.';

function omit(object: Record<string, unknown>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

function publishSchema(schema: JsonSchema, spec: 2 | 3): Published {
  const published: Published = {};
  for (const [field, value] of Object.entries(schema)) {
    if (field === 'properties') {
      const entries = Object.entries(value as Record<string, JsonSchema>);
      published.properties = Object.fromEntries(
        entries.map(([name, item]) => [name, publishSchema(item, spec)]),
      );
    } else if (field === 'items') published.items = publishSchema(value as JsonSchema, spec);
    else if (field === 'additionalProperties') {
      if (isObject(value)) published.additionalProperties = publishSchema(value as JsonSchema, spec);
      else if (spec === 3) published.additionalProperties = value;
    } else if (spec === 3 || V2_FIELDS.has(field) || field.startsWith('x-kubernetes-'))
      published[field] = value;
  }
  // Without a type for a value that may be null or of several types, a client of version 2 accepts it whatever it is.
  if (spec === 2 && (schema.nullable || schema['x-kubernetes-int-or-string'])) {
    delete published.type;
    delete published.items;
    delete published.properties;
    delete published.additionalProperties;
  }
  return published;
}
