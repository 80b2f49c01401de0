import { readFileSync } from 'node:fs';
import { groupVersionOf, KINDS, type KindInfo } from '../../../kube/kinds.ts';
import { isCustom } from '../custom/custom-kind.ts';
import { customName, customSchemas } from '../custom/publish.ts';
import { ATOMIC_MAPS, ATOMIC_STRUCTS, mergeRuleOf } from './merge-rules.ts';
import { definitionNames, definitionOf, type FieldType, type Scalar } from './schema.ts';
// Kept as a file beside the program, because only someone who explains or validates ever reads it.
import docsFile from './schema-docs.gen.json' with { type: 'file' };

/** A JSON Schema as OpenAPI writes it, extensions included. */
export type Schema = { [key: string]: unknown };

/** Definition -> its description and those of its fields. */
type Docs = Record<string, [string, Record<string, string>]>;

export function readDocs(): Docs {
  return JSON.parse(readFileSync(docsFile as unknown as string, 'utf8')) as Docs;
}

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';

/** The published name of a definition: `core.v1.Pod` is `io.k8s.api.core.v1.Pod`. */
export function publishedName(definition: string): string {
  if (definition.startsWith('meta.v1.')) return `${META}.${definition.slice('meta.v1.'.length)}`;
  return definition.startsWith('apiextensions.')
    ? `io.k8s.apiextensions-apiserver.pkg.apis.${definition}`
    : `io.k8s.api.${definition}`;
}

/** Types that are scalars in JSON and have a name of their own. */
const NAMED_SCALARS: Partial<Record<Scalar, string>> = {
  quantity: 'io.k8s.apimachinery.pkg.api.resource.Quantity',
  time: `${META}.Time`,
  microTime: `${META}.MicroTime`,
  intOrString: 'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
};

export type SpecVersion = 2 | 3;

/** An object whose keys are fields; nothing else is known of it. */
const FIELDS = `${META}.FieldsV1`;

const EXTENSIONS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1';
/** Fields of any form that have a type with a name. */
const NAMED_ANY: Readonly<Record<string, string>> = {
  'CustomResourceSubresources.status': 'CustomResourceSubresourceStatus',
  'JSONSchemaProps.additionalItems': 'JSONSchemaPropsOrBool',
  'JSONSchemaProps.additionalProperties': 'JSONSchemaPropsOrBool',
  'JSONSchemaProps.default': 'JSON',
  'JSONSchemaProps.dependencies': 'JSONSchemaPropsOrStringArray',
  'JSONSchemaProps.enum': 'JSON',
  'JSONSchemaProps.example': 'JSON',
  'JSONSchemaProps.items': 'JSONSchemaPropsOrArray',
};

/** The type of a field of any form; undefined where it has no name. */
function namedAny(definition: string, field: string): string | undefined {
  const name = NAMED_ANY[`${definition.replace('apiextensions.v1.', '')}.${field}`];
  return name === undefined ? undefined : `${EXTENSIONS}.${name}`;
}

/** The published name of the objects of a kind. */
export function schemaNameOf(info: KindInfo): string {
  return isCustom(info) ? customName(info) : publishedName(info.definition);
}

function namedScalarSchemas(spec: SpecVersion): Record<string, Schema> {
  return {
    [NAMED_SCALARS.quantity!]: {
      description: 'A fixed-point number: a number with an optional suffix, such as 100m, 1.5Gi or 2e3.',
      // v3 can say that a bare number is taken, too.
      ...(spec === 2 ? { type: 'string' } : { oneOf: [{ type: 'string' }, { type: 'number' }] }),
    },
    ...Object.fromEntries(
      [...new Set(Object.values(NAMED_ANY))].map((name) => [
        `${EXTENSIONS}.${name}`,
        { description: 'A part of a schema, in one of several forms.' },
      ]),
    ),
    [FIELDS]: { description: 'A set of fields, as managed fields name them.', type: 'object' },
    [NAMED_SCALARS.time!]: {
      description: 'A point in time, to the second, as RFC 3339 writes it.',
      type: 'string',
      format: 'date-time',
    },
    [NAMED_SCALARS.microTime!]: {
      description: 'A point in time, to the microsecond, as RFC 3339 writes it.',
      type: 'string',
      format: 'date-time',
    },
    [NAMED_SCALARS.intOrString!]: {
      description: 'A number or a string; the JSON type decides which of the two.',
      format: 'int-or-string',
      ...(spec === 2 ? { type: 'string' } : { oneOf: [{ type: 'integer' }, { type: 'string' }] }),
    },
  };
}

const INLINE_SCALARS: Readonly<Record<string, Schema>> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  double: { type: 'number', format: 'double' },
  bytes: { type: 'string', format: 'byte' },
  object: { type: 'object' },
  any: {},
};

export function referenceTo(name: string, spec: SpecVersion): Schema {
  return { $ref: spec === 2 ? `#/definitions/${name}` : `#/components/schemas/${name}` };
}

/** `any`: the published name of a value of any form. */
function typeSchema(type: FieldType, spec: SpecVersion, any?: string): Schema {
  switch (type.form) {
    case 'list':
      return { type: 'array', items: typeSchema(type.of, spec, any) };
    case 'map':
      return { type: 'object', additionalProperties: typeSchema(type.of, spec, any) };
    case 'struct':
      return referenceTo(publishedName(type.definition), spec);
    case 'scalar': {
      const name = type.scalar === 'any' ? any : NAMED_SCALARS[type.scalar];
      return name === undefined ? { ...INLINE_SCALARS[type.scalar]! } : referenceTo(name, spec);
    }
  }
}

function extensionsOf(definition: string, field: string, type: FieldType): Schema {
  const rule = mergeRuleOf(definition, field);
  const found: Schema = {};
  if (rule?.strategy !== undefined) found['x-kubernetes-patch-strategy'] = rule.strategy;
  if (rule?.mergeKey !== undefined) found['x-kubernetes-patch-merge-key'] = rule.mergeKey;
  // The items of a collection are objects of their own, which nobody merges.
  const isCollection = field === 'items' && definition.endsWith('List');
  if (type.form === 'list' && !isCollection) found['x-kubernetes-list-type'] = rule?.listType ?? 'atomic';
  if (rule?.mapKeys !== undefined) found['x-kubernetes-list-map-keys'] = rule.mapKeys;
  if (ATOMIC_MAPS.has(`${definition}.${field}`)) found['x-kubernetes-map-type'] = 'atomic';
  return found;
}

/** The group, version and kind of an operation or a definition, as OpenAPI carries them. */
export interface GroupVersionKind {
  readonly group: string;
  readonly kind: string;
  readonly version: string;
}

export function gvkOf(info: KindInfo, kind = info.kind): GroupVersionKind {
  return { group: info.group, kind, version: info.version };
}

/** DeleteOptions and WatchEvent are of every group; the list is what a client matches its request against. */
function kindsOfDefinition(definition: string): GroupVersionKind[] {
  if (definition === 'meta.v1.Status') return [{ group: '', kind: 'Status', version: 'v1' }];
  if (definition === 'meta.v1.DeleteOptions') {
    const groups = new Map(KINDS.map((info) => [groupVersionOf(info), gvkOf(info, 'DeleteOptions')]));
    return [...groups.values()];
  }
  return KINDS.flatMap((info) => {
    if (info.definition === definition) return [gvkOf(info)];
    return info.role === 'stored' && `${info.definition}List` === definition
      ? [gvkOf(info, info.listKind)]
      : [];
  });
}

function definitionSchema(definition: string, docs: Docs, spec: SpecVersion): Schema {
  const [doc, fieldDocs] = docs[definition] ?? ['', {}];
  const properties: Record<string, Schema> = {};
  const required: string[] = [];
  for (const [field, { type, required: isRequired }] of definitionOf(definition)) {
    if (isRequired) required.push(field);
    const description = fieldDocs[field];
    const isFieldSet = `${definition}.${field}` === 'meta.v1.ManagedFieldsEntry.fieldsV1';
    const schema = isFieldSet
      ? referenceTo(FIELDS, spec)
      : typeSchema(type, spec, namedAny(definition, field));
    const extensions = extensionsOf(definition, field, type);
    // Beside a $ref nothing counts in OpenAPI 3, so a described reference is wrapped. OpenAPI 2 readers expect it bare.
    const wrapped = spec === 3 && schema.$ref !== undefined && description !== undefined;
    properties[field] = {
      ...(description === undefined ? {} : { description }),
      ...(wrapped ? { allOf: [schema], default: {} } : schema),
      ...extensions,
    };
  }
  const kinds = kindsOfDefinition(definition);
  return {
    ...(doc === '' ? {} : { description: doc }),
    type: 'object',
    ...(required.length === 0 ? {} : { required: required.sort() }),
    properties,
    ...(ATOMIC_STRUCTS.has(definition) ? { 'x-kubernetes-map-type': 'atomic' } : {}),
    ...(kinds.length === 0 ? {} : { 'x-kubernetes-group-version-kind': kinds }),
  };
}

/** The definitions that some definitions need, themselves included, sorted. */
export function reachableFrom(roots: Iterable<string>): string[] {
  const found = new Set<string>();
  const visit = (definition: string): void => {
    if (found.has(definition)) return;
    found.add(definition);
    for (const { type } of definitionOf(definition).values()) {
      let inner = type;
      while (inner.form === 'list' || inner.form === 'map') inner = inner.of;
      if (inner.form === 'struct') visit(inner.definition);
    }
  };
  for (const root of roots) visit(root);
  return [...found].sort();
}

/** Schemas by their published names: those of some definitions, or of all. */
export function schemas(
  spec: SpecVersion,
  definitions: readonly string[] = definitionNames(),
): Record<string, Schema> {
  const docs = readDocs();
  const all: Record<string, Schema> = namedScalarSchemas(spec);
  for (const definition of definitions) {
    all[publishedName(definition)] = definitionSchema(definition, docs, spec);
  }
  return all;
}

/** Schemas of custom kinds and of their lists by their published names. */
export function schemasOfCustom(spec: SpecVersion, kinds: readonly KindInfo[]): Record<string, Schema> {
  const all: Record<string, Schema> = {};
  for (const info of kinds) {
    if (isCustom(info))
      Object.assign(
        all,
        customSchemas(info, spec, (name) => referenceTo(name, spec)),
      );
  }
  return all;
}
