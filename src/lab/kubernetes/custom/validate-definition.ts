import { dns1035Errors, dnsSubdomainErrors } from '../../../kube/names.ts';
import { jsonEqual } from '../../../kube/patch/json.ts';
import type { Json } from '../../../util/json.ts';
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
  tooMany,
} from '../validation/field-error.ts';
import type {
  CustomColumn,
  CustomDefinition,
  CustomDefinitionSpec,
  CustomNames,
  CustomVersion,
  ScalePaths,
} from './custom-kind.ts';
import { parseJsonPath } from './json-path.ts';
import { fieldSchema, type JsonSchema } from './json-schema.ts';
import { pruneUnknown } from './pruning.ts';
import { structuralErrors } from './structural.ts';
import { validateValue } from './validate-value.ts';

// The rules of k8s.io/apiextensions-apiserver, pkg/apis/apiextensions/validation.

const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string'];
const COLUMN_TYPES = ['boolean', 'date', 'integer', 'number', 'string'];
const COLUMN_FORMATS = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password'];
const MAX_SELECTABLE_FIELDS = 8;

/** What is wrong with a CustomResourceDefinition by itself. */
export function validateDefinition(given: CustomDefinition): FieldError[] {
  const definition = complete(given);
  const { metadata, spec } = definition;
  const errors: FieldError[] = [];
  if (metadata.name !== `${spec.names.plural}.${spec.group}`) {
    errors.push(invalid('metadata.name', metadata.name ?? '', 'must be spec.names.plural+"."+spec.group'));
  }
  errors.push(...groupErrors(spec.group), ...scopeErrors(spec.scope));
  if (spec.preserveUnknownFields) {
    errors.push(
      invalid(
        'spec.preserveUnknownFields',
        true,
        'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
      ),
    );
  }
  errors.push(...versionsErrors(spec.versions));
  const names = spec.versions.map(({ name }) => name);
  if (new Set(names).size < names.length) {
    errors.push(invalid('spec.versions', spec.versions, 'must contain unique version names'));
  }
  if (spec.versions.filter(({ storage }) => storage).length !== 1) {
    errors.push(
      invalid('spec.versions', spec.versions, 'must have exactly one version marked as storage version'),
    );
  }
  errors.push(...nameErrors(spec.names, 'spec.names'), ...conversionErrors(spec));
  return [...errors, ...storedVersionErrors(definition)];
}

/** A definition with what Go has in place of fields that are required and not there. */
function complete(definition: CustomDefinition): CustomDefinition {
  const { spec } = definition as { spec?: Partial<CustomDefinitionSpec> };
  const versions = (spec?.versions ?? []).map((version) => ({ ...version, name: version.name ?? '' }));
  const names = { plural: '', kind: '', ...spec?.names };
  return { ...definition, spec: { group: '', scope: '', ...spec, names, versions } };
}

/** What an update of a CustomResourceDefinition may not change. */
export function definitionUpdateErrors(given: CustomDefinition, old: CustomDefinition): FieldError[] {
  const definition = complete(given);
  const errors: FieldError[] = [];
  const fixed = (field: string, value: unknown, before: unknown) => {
    if (value !== before) errors.push(invalid(field, value, 'field is immutable'));
  };
  const isEstablished = old.status?.conditions?.some(
    ({ type, status }) => type === 'Established' && status === 'True',
  );
  if (isEstablished) {
    fixed('spec.scope', definition.spec.scope, old.spec.scope);
    fixed('spec.names.kind', definition.spec.names.kind, old.spec.names.kind);
  }
  fixed('spec.group', definition.spec.group, old.spec.group);
  fixed('spec.names.plural', definition.spec.names.plural, old.spec.names.plural);
  return errors;
}

function groupErrors(group: string): FieldError[] {
  if (group === '') return [required('spec.group')];
  const problems = dnsSubdomainErrors(group);
  if (problems.length > 0) return [invalid('spec.group', group, problems.join(','))];
  return group.includes('.')
    ? []
    : [invalid('spec.group', group, 'should be a domain with at least one dot')];
}

function scopeErrors(scope: string): FieldError[] {
  if (scope === '') return [required('spec.scope')];
  const scopes = ['Cluster', 'Namespaced'];
  return scopes.includes(scope) ? [] : [notSupported('spec.scope', scope, scopes)];
}

function nameErrors(names: CustomNames, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { plural, singular = '', kind, listKind = '', shortNames = [], categories = [] } = names;
  for (const [field, value] of Object.entries({ plural, singular })) {
    const problems = dns1035Errors(value);
    if (value === '') errors.push(required(`${path}.${field}`));
    else if (problems.length > 0) errors.push(invalid(`${path}.${field}`, value, problems.join(',')));
  }
  for (const [field, value] of Object.entries({ kind, listKind })) {
    const problems = dns1035Errors(value.toLowerCase());
    if (value === '') errors.push(required(`${path}.${field}`));
    else if (problems.length > 0) {
      const detail = `may have mixed case, but should otherwise match: ${problems.join(',')}`;
      errors.push(invalid(`${path}.${field}`, value, detail));
    }
  }
  for (const [field, list] of Object.entries({ shortNames, categories })) {
    for (const [at, value] of list.entries()) {
      const problems = dns1035Errors(value);
      if (problems.length > 0) errors.push(invalid(`${path}.${field}[${at}]`, value, problems.join(',')));
    }
  }
  if (kind !== '' && kind === listKind) {
    errors.push(invalid(`${path}.listKind`, listKind, 'kind and listKind may not be the same'));
  }
  return errors;
}

function conversionErrors({ conversion }: CustomDefinitionSpec): FieldError[] {
  const field = 'spec.conversion.strategy';
  const strategy = conversion?.strategy ?? 'None';
  if (strategy === 'Webhook') {
    return [invalid(field, strategy, 'conversion webhooks are not served by this API server: use None')];
  }
  return strategy === 'None' ? [] : [notSupported(field, strategy, ['None', 'Webhook'])];
}

function storedVersionErrors({ spec, status }: CustomDefinition): FieldError[] {
  const stored = status?.storedVersions ?? [];
  if (stored.length === 0)
    return [invalid('status.storedVersions', null, 'must have at least one stored version')];
  const names = spec.versions.map(({ name }) => name);
  return stored.flatMap((version, at) =>
    names.includes(version)
      ? []
      : [
          invalid(
            `status.storedVersions[${at}]`,
            version,
            `missing from spec.versions; ${version} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${version} and removes ${version} from status.storedVersions`,
          ),
        ],
  );
}

/** Parts of versions that are checked once, as parts of the whole, where all versions have the same. */
const PARTS: Readonly<Record<string, (version: CustomVersion) => unknown>> = {
  validation: ({ schema }) => schema,
  subresources: ({ subresources }) => subresources,
  additionalPrinterColumns: ({ additionalPrinterColumns }) => additionalPrinterColumns,
  selectableFields: ({ selectableFields }) => selectableFields,
};

function versionsErrors(versions: readonly CustomVersion[]): FieldError[] {
  const isShared = (part: string) => {
    const values = versions.map((version) => PARTS[part]!(version) as Json | undefined);
    return values.every((value) => value !== undefined && jsonEqual(value, values[0]));
  };
  const errors = versions.flatMap((version, at) =>
    version.schema?.openAPIV3Schema === undefined
      ? [required(`spec.versions[${at}].schema.openAPIV3Schema`)]
      : [],
  );
  for (const [at, version] of versions.entries()) {
    const path = `spec.versions[${at}]`;
    errors.push(...versionErrors(version, path));
    for (const part of Object.keys(PARTS)) {
      const shared = isShared(part);
      if (shared && at > 0) continue;
      const own = part === 'validation' ? `${path}.schema` : `${path}.${part}`;
      errors.push(...partErrors(version, part, shared ? `spec.${part}` : own));
    }
  }
  return errors;
}

function versionErrors(version: CustomVersion, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const problems = dns1035Errors(version.name);
  if (problems.length > 0) errors.push(invalid(`${path}.name`, version.name, problems.join(',')));
  const { deprecationWarning } = version;
  if (deprecationWarning !== undefined && !version.deprecated) {
    errors.push(
      invalid(`${path}.deprecationWarning`, deprecationWarning, 'can only be set for deprecated versions'),
    );
  } else if (deprecationWarning !== undefined && deprecationWarning.length > 256) {
    errors.push(invalid(`${path}.deprecationWarning`, deprecationWarning, 'must be <= 256 characters long'));
  }
  return errors;
}

function partErrors(version: CustomVersion, part: string, path: string): FieldError[] {
  const schema = version.schema?.openAPIV3Schema;
  switch (part) {
    case 'validation':
      return schema === undefined ? [] : schemaErrors(schema, `${path}.openAPIV3Schema`);
    case 'subresources':
      return version.subresources?.scale === undefined
        ? []
        : scaleErrors(version.subresources.scale, `${path}.scale`);
    case 'additionalPrinterColumns':
      return (version.additionalPrinterColumns ?? []).flatMap((column, at) =>
        columnErrors(column, `${path}[${at}]`),
      );
    default:
      if (schema !== undefined) return selectableErrors(version, schema, path);
      return version.selectableFields?.length
        ? [invalid(path, '', 'may only be set when validations.schema is included')]
        : [];
  }
}

function schemaErrors(schema: JsonSchema, path: string): FieldError[] {
  const structural = structuralErrors(schema, path);
  const errors = [...structural];
  if (schema.nullable) errors.push(forbidden(`${path}.nullable`, 'nullable cannot be true at the root'));
  if (structural.length === 0) errors.push(...defaultErrors(schema, path, true));
  return [...errors, ...openApiErrors(schema, path)];
}

/** Defaults must be values of their schema, without unknown fields; the resource's own metadata has none. */
function defaultErrors(schema: JsonSchema, path: string, isRoot: boolean): FieldError[] {
  const errors: FieldError[] = [];
  if (schema.default !== undefined) {
    const value = structuredClone(schema.default) as Json;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      const [unknown] = pruneUnknown(structuredClone(value), { ...schema, default: undefined });
      if (unknown !== undefined)
        errors.push(invalid(`${path}.default`, schema.default, 'must not have unknown fields'));
    }
    const problems = validateValue({ ...schema, default: undefined }, value, `${path}.default`);
    errors.push(...problems);
  }
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (isRoot && name === 'metadata') continue;
    errors.push(...defaultErrors(property, `${path}.properties[${name}]`, false));
  }
  if (typeof schema.additionalProperties === 'object') {
    errors.push(...defaultErrors(schema.additionalProperties, `${path}.additionalProperties`, false));
  }
  if (schema.items !== undefined) errors.push(...defaultErrors(schema.items, `${path}.items`, false));
  return errors;
}

/** Parts of JSON Schema that are not supported. */
const UNSUPPORTED = ['id', 'additionalItems', 'patternProperties', 'definitions', 'dependencies', '$ref'];

function openApiErrors(schema: JsonSchema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { type, properties = {}, additionalProperties } = schema;
  if (type !== undefined && type !== '' && !TYPES.includes(type)) {
    errors.push(notSupported(`${path}.type`, type, TYPES));
  }
  for (const field of UNSUPPORTED) {
    if ((schema as Record<string, unknown>)[field] !== undefined) {
      errors.push(forbidden(`${path}.${field}`, `${field} is not supported`));
    }
  }
  if (Array.isArray(schema.items)) {
    errors.push(forbidden(`${path}.items`, 'items must be a schema object and not an array'));
  }
  if (schema.uniqueItems) {
    const detail = 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic';
    errors.push(forbidden(`${path}.uniqueItems`, detail));
  }
  if (
    Object.keys(properties).length > 0 &&
    additionalProperties !== undefined &&
    additionalProperties !== true
  ) {
    const detail = 'additionalProperties and properties are mutual exclusive';
    errors.push(forbidden(`${path}.additionalProperties`, detail));
  }
  if (schema['x-kubernetes-preserve-unknown-fields'] === false) {
    errors.push(invalid(`${path}.x-kubernetes-preserve-unknown-fields`, false, 'must be true or undefined'));
  }
  errors.push(...mapTypeErrors(schema, path), ...listTypeErrors(schema, path), ...ruleErrors(schema, path));
  for (const [where, below] of subschemas(schema)) errors.push(...openApiErrors(below, `${path}.${where}`));
  return errors;
}

/** The schemas within a schema, by where they are. */
function subschemas(schema: JsonSchema): [where: string, schema: JsonSchema][] {
  const { properties = {}, additionalProperties, items, not, allOf = [], anyOf = [], oneOf = [] } = schema;
  const list = (name: string, schemas: readonly JsonSchema[]) =>
    schemas.map((item, at): [string, JsonSchema] => [`${name}[${at}]`, item]);
  return [
    ...Object.entries(properties).map(([name, item]): [string, JsonSchema] => [`properties[${name}]`, item]),
    ...(typeof additionalProperties === 'object'
      ? [['additionalProperties', additionalProperties] as [string, JsonSchema]]
      : []),
    ...(items === undefined || Array.isArray(items) ? [] : [['items', items] as [string, JsonSchema]]),
    ...(not === undefined ? [] : [['not', not] as [string, JsonSchema]]),
    ...list('allOf', allOf),
    ...list('anyOf', anyOf),
    ...list('oneOf', oneOf),
  ];
}

function mapTypeErrors(schema: JsonSchema, path: string): FieldError[] {
  const mapType = schema['x-kubernetes-map-type'];
  if (mapType === undefined) return [];
  const errors = mustBe('object', schema, path, 'x-kubernetes-map-type');
  const known = ['atomic', 'granular'];
  if (!known.includes(mapType)) errors.push(notSupported(`${path}.x-kubernetes-map-type`, mapType, known));
  return errors;
}

function mustBe(type: string, schema: JsonSchema, path: string, because: string): FieldError[] {
  if (schema.type === type) return [];
  const detail = `must be ${type} if ${because} is specified`;
  return [schema.type ? invalid(`${path}.type`, schema.type, detail) : required(`${path}.type`, detail)];
}

function listTypeErrors(schema: JsonSchema, path: string): FieldError[] {
  const listType = schema['x-kubernetes-list-type'];
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const field = `${path}.x-kubernetes-list-type`;
  const errors: FieldError[] = [];
  if (keys.length > 0 && listType !== 'map') {
    const detail = 'must be map if x-kubernetes-list-map-keys is non-empty';
    errors.push(listType === undefined ? required(field, detail) : invalid(field, listType, detail));
  }
  if (listType === undefined) return errors;
  errors.push(...mustBe('array', schema, path, 'x-kubernetes-list-type'));
  const known = ['atomic', 'set', 'map'];
  if (!known.includes(listType)) errors.push(notSupported(field, listType, known));
  const { items } = schema;
  if (listType === 'map') errors.push(...listMapErrors(schema, path));
  if (items === undefined || listType === 'atomic') return errors;
  if (items.nullable) {
    errors.push(
      forbidden(`${path}.items.nullable`, `cannot be nullable when x-kubernetes-list-type is ${listType}`),
    );
  }
  if (listType === 'set' && items.type === 'object' && items['x-kubernetes-map-type'] !== 'atomic') {
    const detail = 'must be atomic as item of a list with x-kubernetes-list-type=set';
    errors.push(invalid(`${path}.items.x-kubernetes-map-type`, null, detail));
  }
  return errors;
}

function listMapErrors(schema: JsonSchema, path: string): FieldError[] {
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const field = `${path}.x-kubernetes-list-map-keys`;
  const errors: FieldError[] = [];
  if (keys.length === 0) errors.push(required(field, 'must not be empty if x-kubernetes-list-type is map'));
  const { items } = schema;
  if (items === undefined) {
    return [...errors, required(`${path}.items`, 'must have a schema if x-kubernetes-list-type is map')];
  }
  if (items.type !== 'object') {
    const detail = "must be object if parent array's x-kubernetes-list-type is map";
    return [...errors, invalid(`${path}.items.type`, items.type ?? '', detail)];
  }
  if (new Set(keys).size < keys.length)
    errors.push(invalid(field, keys, 'must not contain duplicate entries'));
  for (const key of keys) {
    const property = items.properties?.[key];
    const where = `${path}.items.properties[${key}]`;
    if (property === undefined) {
      errors.push(invalid(field, keys, 'entries must all be names of item properties'));
      continue;
    }
    if (property.type === 'array' || property.type === 'object') {
      const detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
      errors.push(invalid(`${where}.type`, items.type, detail));
    }
    const because = 'this property is in x-kubernetes-list-map-keys, so it';
    if (!items.required?.includes(key) && property.default === undefined) {
      errors.push(required(`${where}.default`, `${because} must have a default or be a required property`));
    }
    if (property.nullable) errors.push(forbidden(`${where}.nullable`, `${because} cannot be nullable`));
  }
  return errors;
}

function ruleErrors(schema: JsonSchema, path: string): FieldError[] {
  return (schema['x-kubernetes-validations'] ?? []).flatMap(({ rule, message }, at) => {
    const where = `${path}.x-kubernetes-validations[${at}]`;
    if (rule.trim() === '') return [required(`${where}.rule`, 'rule is not specified')];
    if (message !== undefined && message.trim() === '') {
      return [invalid(`${where}.message`, message, 'must be non-empty if specified')];
    }
    return [];
  });
}

function scaleErrors(scale: ScalePaths, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const check = (field: keyof ScalePaths, roots: readonly string[], detail: string) => {
    const value = scale[field] ?? '';
    const where = `${path}.${field}`;
    if (value === '') {
      if (field !== 'labelSelectorPath') errors.push(required(where));
    } else if (!isSimplePath(value)) errors.push(invalid(where, value, SIMPLE_PATH));
    else if (!roots.some((root) => value.startsWith(root))) errors.push(invalid(where, value, detail));
  };
  check('specReplicasPath', ['.spec.'], 'should be a json path under .spec');
  check('statusReplicasPath', ['.status.'], 'should be a json path under .status');
  check('labelSelectorPath', ['.spec.', '.status.'], 'should be a json path under either .spec or .status');
  return errors;
}

const SIMPLE_PATH = 'must be a simple json path starting with .';

function isSimplePath(path: string): boolean {
  return path.startsWith('.') && parseJsonPath(path) !== undefined;
}

function columnErrors(column: CustomColumn, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { name, type, format = '', jsonPath } = column;
  const oneOf = (values: readonly string[]) => `must be one of ${values.join(',')}`;
  if (name === '') errors.push(required(`${path}.name`));
  if (type === '') errors.push(required(`${path}.type`, oneOf(COLUMN_TYPES)));
  else if (!COLUMN_TYPES.includes(type)) errors.push(invalid(`${path}.type`, type, oneOf(COLUMN_TYPES)));
  if (format !== '' && !COLUMN_FORMATS.includes(format)) {
    errors.push(invalid(`${path}.format`, format, oneOf(COLUMN_FORMATS)));
  }
  if (jsonPath === '') errors.push(required(`${path}.JSONPath`));
  else if (!isSimplePath(jsonPath)) errors.push(invalid(`${path}.JSONPath`, jsonPath, SIMPLE_PATH));
  return errors;
}

function selectableErrors(version: CustomVersion, schema: JsonSchema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [at, { jsonPath }] of (version.selectableFields ?? []).entries()) {
    const where = `${path}[${at}].jsonPath`;
    const names = jsonPath.replace(/^\./, '').split('.');
    const found = names.reduce<JsonSchema | undefined>(fieldSchema, schema);
    if (jsonPath === '') errors.push(required(where));
    else if (found === undefined)
      errors.push(invalid(where, jsonPath, `is an invalid path: does not refer to a valid field`));
    else if (names[0] === 'metadata')
      errors.push(invalid(where, jsonPath, 'must not point to fields in metadata'));
    else if (!['string', 'boolean', 'integer'].includes(found.type ?? '')) {
      const detail =
        'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.';
      errors.push(invalid(where, jsonPath, detail));
    }
    if (seen.has(jsonPath)) errors.push(duplicate(where, jsonPath));
    seen.add(jsonPath);
  }
  if (seen.size > MAX_SELECTABLE_FIELDS) errors.push(tooMany(path, seen.size, MAX_SELECTABLE_FIELDS));
  return errors;
}
