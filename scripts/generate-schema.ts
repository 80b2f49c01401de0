/**
 * Writes the schema of every served kind, from published type packages, so that no API type is written by hand:
 * - `src/lab/kubernetes/schema/schema.gen.json`: definition -> field -> type (see `FieldType` in schema.ts), small, read at startup;
 * - `src/lab/kubernetes/schema/schema-docs.gen.json`: the descriptions, read when OpenAPI is asked for.
 *
 * The models of `kubernetes-models` (an alias of the client's newest version, generated from the API of Kubernetes 1.36) give
 * fields, what is required, descriptions and formats. They name no packages and no quantities: `kubernetes-types` does for
 * what is older than 1.31, the tables below for the rest. `test/real` holds the result against a real API server.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KINDS } from '../src/kube/kinds.ts';

const root = join(import.meta.dir, '..');
const typesDirectory = join(root, 'node_modules/kubernetes-types');
const modelsDirectory = join(root, 'node_modules/kubernetes-models/dist/gen/models');

/** Fields since 1.31 that are quantities, or maps of them. */
const NEW_QUANTITIES = [
  'core.v1.NodeAllocatableResourceClaimStatus.resources',
  'core.v1.PodStatus.allocatedResources',
];
/** Types since 1.31 that are not in the package of what first refers to them. */
const NEW_PLACES: Readonly<Record<string, string>> = { FieldSelectorRequirement: 'meta.v1' };

interface Field {
  /** As the client's model names it: `V1Container`, `Array<string>`, `{ [key: string]: string; }`. */
  type: string;
  format: string;
  required: boolean;
  doc: string;
}
interface Model {
  doc: string;
  fields: Map<string, Field>;
}

/** The text of a `/** … *\/` block without its frame. */
function commentText(block: string): string {
  return block
    .replace(/^\s*\/\*\*/, '')
    .replace(/\*\/\s*$/, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join('\n')
    .replaceAll(/\\(['"\\])/g, '$1')
    .trim();
}

/** The model of a definition: of two kinds of one name each has its group in front. */
function modelOf(definition: string): Model {
  const [group, version, name] = definition.split('.') as [string, string, string];
  const own = `${version.toUpperCase()}${name}`;
  const path = [`${group[0]!.toUpperCase()}${group.slice(1)}${own}`, own]
    .map((file) => join(modelsDirectory, file))
    .find((file) => existsSync(`${file}.js`));
  if (path === undefined) throw new Error(`${definition}: no model in kubernetes-models`);
  const map = /attributeTypeMap = (\[[\s\S]*?\n?\]);/.exec(readFileSync(`${path}.js`, 'utf8'))?.[1];
  if (map === undefined) throw new Error(`${path}: no attribute map`);
  const declared = readFileSync(`${path}.d.ts`, 'utf8');
  const fields = new Map<string, Field>();
  for (const { name: property, baseName, type, format } of JSON.parse(map) as {
    name: string;
    baseName: string;
    type: string;
    format: string;
  }[]) {
    const declaration = new RegExp(
      `(/\\*\\*(?:[^*]|\\*(?!/))*\\*/)?\\n    '${property.replace('$', '\\$')}'(\\?)?:`,
    );
    const match = declaration.exec(declared);
    if (match === null) throw new Error(`${path}: ${property} is not declared`);
    fields.set(baseName, {
      type,
      format,
      required: match[2] === undefined,
      doc: commentText(match[1] ?? ''),
    });
  }
  const doc = /(\/\*\*(?:[^*]|\*(?!\/))*\*\/)\nexport declare class /.exec(declared)?.[1] ?? '';
  return { doc: commentText(doc), fields };
}

/** What the older types say and the models do not. */
const places = new Map<string, string[]>();
const quantities = new Set(NEW_QUANTITIES);
/** Descriptions of fields (`core.v1.Pod.spec`): the models have none where the type is another definition. */
const olderDocs = new Map<string, string>();

function readOlderTypes(module: string): void {
  const path = join(typesDirectory, `${module.replace('.', '/')}.d.ts`);
  if (!existsSync(path)) return;
  for (const [, name, body] of readFileSync(path, 'utf8').matchAll(
    /^export interface (\w+) \{\n([\s\S]*?)^\}/gm,
  )) {
    places.set(name!, [...(places.get(name!) ?? []), module]);
    for (const [, doc, field, type] of body!.matchAll(
      /(?: {4}(\/\*\*(?:[^*]|\*(?!\/))*\*\/)\n)? {4}(?:readonly )?"?([\w$-]+)"?\??: ((?:\{\n.*\n {4}\}|[^\n]*?));\n/g,
    )) {
      const full = `${module}.${name}.${field}`;
      olderDocs.set(full, commentText(doc ?? ''));
      if (/^(Quantity|\{\n.*: Quantity;\n {4}\})$/.test(type!)) quantities.add(full);
    }
  }
}
for (const group of new Set(['core', 'meta', ...KINDS.map(({ definition }) => definition.split('.')[0]!)])) {
  for (const version of ['v1', 'v1beta1']) readOlderTypes(`${group}.${version}`);
}

/** The definition that `model` (`V1Pod`, `CoreV1Event`) is, seen from one of package `from`. */
function definitionOfModel(model: string, from: string): string {
  const [, group, version, name] =
    /^([A-Z][a-z]+)??(V\d+(?:(?:alpha|beta)\d+)?)([A-Z]\w*)$/.exec(model) ?? [];
  if (version === undefined || name === undefined) throw new Error(`model ${model}: name not understood`);
  if (group !== undefined) return `${group.toLowerCase()}.${version.toLowerCase()}.${name}`;
  const known = (places.get(name) ?? []).filter((place) => place.endsWith(`.${version.toLowerCase()}`));
  const place =
    NEW_PLACES[name] ??
    (known.length === 0 || known.includes(from) ? from : known.length === 1 ? known[0] : undefined);
  if (place === undefined) throw new Error(`model ${model}: in ${known.join(' and ')}`);
  return `${place}.${name}`;
}

const schema: Record<string, Record<string, string>> = {};
const docs: Record<string, [string, Record<string, string>]> = {};

function typeOf(definition: string, field: string, type: string, format: string): string {
  const list = /^Array<(.*)>$/.exec(type);
  if (list !== null) return `[]${typeOf(definition, field, list[1]!, format)}`;
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(type);
  if (map !== null) return `{}${typeOf(definition, field, map[1]!, format)}`;
  switch (type) {
    case 'string':
      if (quantities.has(`${definition}.${field}`)) return 'quantity';
      return format === 'byte' ? 'bytes' : 'string';
    case 'boolean':
      return 'bool';
    case 'number':
      if (format === 'int32' || format === 'int64' || format === 'double') return format;
      throw new Error(`${definition}.${field}: a number of unknown format ${JSON.stringify(format)}`);
    case 'IntOrString':
      return 'intOrString';
    case 'Date':
      return 'time';
    case 'V1MicroTime':
      return 'microTime';
    case 'any':
      // A CustomResourceDefinition has values of whatever form; elsewhere it stands for an object.
      return definition.startsWith('apiextensions.') ? 'any' : 'object';
    case 'object':
      return 'object';
  }
  const reference = definitionOfModel(type, definition.slice(0, definition.lastIndexOf('.')));
  addDefinition(reference);
  return reference;
}

function addDefinition(definition: string): void {
  if (schema[definition] !== undefined) return;
  const model = modelOf(definition);
  const fields: Record<string, string> = {};
  const fieldDocs: Record<string, string> = {};
  schema[definition] = fields;
  docs[definition] = [model.doc, fieldDocs];
  for (const [field, { type, format, required, doc }] of model.fields) {
    fields[field] = (required ? '!' : '') + typeOf(definition, field, type, format);
    // Of these two the model describes the type, not the field.
    const own = type === 'IntOrString' || type === 'V1MicroTime' ? '' : doc;
    const description = own || (olderDocs.get(`${definition}.${field}`) ?? '');
    if (description !== '') fieldDocs[field] = description;
  }
}

/**
 * extensions/v1beta1 has left the published types. Its Deployment is apps/v1's but for the selector, which was optional
 * and came from the template's labels.
 */
function addExtensionsDeployment(): void {
  for (const name of ['Deployment', 'DeploymentList', 'DeploymentSpec']) {
    const fields = { ...schema[`apps.v1.${name}`]! };
    for (const [field, type] of Object.entries(fields)) {
      fields[field] = type.replace(/apps\.v1\.(Deployment|DeploymentSpec)$/, 'extensions.v1beta1.$1');
    }
    schema[`extensions.v1beta1.${name}`] = fields;
    docs[`extensions.v1beta1.${name}`] = docs[`apps.v1.${name}`]!;
  }
  schema['extensions.v1beta1.DeploymentSpec']!.selector = 'meta.v1.LabelSelector';
}

for (const info of KINDS) {
  if (info.group === 'extensions') continue;
  addDefinition(info.definition);
  if (info.role === 'stored') addDefinition(`${info.definition}List`);
}
addDefinition('meta.v1.Status');
addDefinition('meta.v1.DeleteOptions');
addExtensionsDeployment();

/** JSON with sorted definitions, one a line: the same input gives the same bytes, and a difference can be read. */
function render(record: Record<string, unknown>): string {
  const lines = Object.keys(record)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${JSON.stringify(record[key])}`);
  return `{\n${lines.join(',\n')}\n}\n`;
}

writeFileSync(join(root, 'src/lab/kubernetes/schema/schema.gen.json'), render(schema));
writeFileSync(join(root, 'src/lab/kubernetes/schema/schema-docs.gen.json'), render(docs));
