import generated from './schema.gen.json' with { type: 'json' };

/** A JSON scalar as Kubernetes' types have them; `object` is any JSON object (RawExtension, FieldsV1), `any` any JSON value. */
export type Scalar =
  | 'string'
  | 'bool'
  | 'int32'
  | 'int64'
  | 'double'
  | 'bytes'
  | 'time'
  | 'microTime'
  | 'quantity'
  | 'intOrString'
  | 'object'
  | 'any';

export type FieldType =
  | { readonly form: 'scalar'; readonly scalar: Scalar }
  | { readonly form: 'list'; readonly of: FieldType }
  | { readonly form: 'map'; readonly of: FieldType }
  | { readonly form: 'struct'; readonly definition: string };

export interface FieldSchema {
  readonly type: FieldType;
  /** True where the published API marks the field as required. */
  readonly required: boolean;
}

/** The fields of one definition by their JSON names. */
export type Definition = ReadonlyMap<string, FieldSchema>;

// Written by scripts/generate-schema.ts: `core.v1.Pod` -> { spec: 'core.v1.PodSpec', … }; `!` marks required, `[]` a list,
// `{}` a map with string keys; a name with dots is another definition.
const source: Record<string, Record<string, string>> = generated;
const parsed = new Map<string, Definition>();

function parseType(text: string): FieldType {
  if (text.startsWith('[]')) return { form: 'list', of: parseType(text.slice(2)) };
  if (text.startsWith('{}')) return { form: 'map', of: parseType(text.slice(2)) };
  if (text.includes('.')) return { form: 'struct', definition: text };
  return { form: 'scalar', scalar: text as Scalar };
}

/** The fields of a definition (`core.v1.Pod`). Parsed on first use. Throws on a name that is not in the schema. */
export function definitionOf(name: string): Definition {
  const known = parsed.get(name);
  if (known !== undefined) return known;
  const fields = source[name];
  if (fields === undefined) throw new Error(`schema definition ${name}: not there`);
  const definition = new Map<string, FieldSchema>();
  for (const [field, text] of Object.entries(fields)) {
    const required = text.startsWith('!');
    definition.set(field, { type: parseType(required ? text.slice(1) : text), required });
  }
  parsed.set(name, definition);
  return definition;
}

/** Names of all definitions, sorted. */
export function definitionNames(): string[] {
  return Object.keys(source);
}
