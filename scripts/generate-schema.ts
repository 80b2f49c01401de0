/**
 * Writes the schema of every served kind, from published type packages, so that no API type is written by hand:
 * - `src/lab/kubernetes/schema/schema.gen.json`: definition -> field -> type (see `FieldType` in schema.ts), small, read at startup;
 * - `src/lab/kubernetes/schema/schema-docs.gen.json`: the descriptions, read when OpenAPI is asked for.
 *
 * `kubernetes-types` gives fields, what is required, descriptions, quantities and times, and the package a type is in;
 * the models of `@kubernetes/client-node` give what TypeScript's `number` and `string` hide: int32, int64, double, bytes.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KINDS } from '../src/kube/kinds.ts';

interface Field {
  /** The type as written in the declaration, white space removed. */
  written: string;
  required: boolean;
  doc: string;
}
interface Declaration {
  doc: string;
  fields: Map<string, Field>;
}
/** One `.d.ts`: what it declares and, for imported names, the module they are from (`core.v1`). */
interface Module {
  declarations: Map<string, Declaration>;
  imports: Map<string, string>;
}

const root = join(import.meta.dir, '..');
const typesDirectory = join(root, 'node_modules/kubernetes-types');
const modelsDirectory = join(root, 'node_modules/@kubernetes/client-node/dist/gen/models');

/** The text of a `/** … *\/` block without its frame. */
function commentText(block: string): string {
  return block
    .replace(/^\s*\/\*\*/, '')
    .replace(/\*\/\s*$/, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join('\n')
    .trim();
}

/** Parses the generated declarations, whose form is regular: imports, doc comments, interfaces of plain fields. */
function parseModule(text: string): Module {
  const module: Module = { declarations: new Map(), imports: new Map() };
  for (const match of text.matchAll(/^import \{ (.*) \} from "\.\.\/(.*)";$/gm)) {
    for (const name of match[1]!.split(', ')) module.imports.set(name, match[2]!.replace('/', '.'));
  }
  for (const match of text.matchAll(
    /(\/\*\*(?:[^*]|\*(?!\/))*\*\/\n)?^export interface (\w+) \{\n([\s\S]*?)^\}/gm,
  )) {
    const fields = new Map<string, Field>();
    const body = match[3]!;
    for (const field of body.matchAll(
      /(?: {4}(\/\*\*(?:[^*]|\*(?!\/))*\*\/)\n)? {4}(?:readonly )?"?([\w$-]+)"?(\?)?: ((?:\{\n.*\n {4}\}|[^\n]*?));\n/g,
    )) {
      fields.set(field[2]!, {
        written: field[4]!.replaceAll(/\s/g, ''),
        required: field[3] === undefined,
        doc: commentText(field[1] ?? ''),
      });
    }
    module.declarations.set(match[2]!, { doc: commentText(match[1] ?? ''), fields });
  }
  return module;
}

const modules = new Map<string, Module>();
function moduleOf(name: string): Module {
  const known = modules.get(name);
  if (known !== undefined) return known;
  const parsed = parseModule(readFileSync(join(typesDirectory, `${name.replace('.', '/')}.d.ts`), 'utf8'));
  modules.set(name, parsed);
  return parsed;
}

/** Field -> number or string format of a client model, read from its attribute map. */
function formatsOf(definition: string): Map<string, string> {
  const [group, version, name] = definition.split('.') as [string, string, string];
  const prefix = version.toUpperCase();
  const capital = group[0]!.toUpperCase() + group.slice(1);
  const path = [`${prefix}${name}.js`, `${capital}${prefix}${name}.js`]
    .map((file) => join(modelsDirectory, file))
    .find(existsSync);
  const formats = new Map<string, string>();
  if (path === undefined) return formats;
  const text = readFileSync(path, 'utf8');
  const map = /attributeTypeMap = (\[[\s\S]*?\n\]);/.exec(text)?.[1];
  if (map === undefined) throw new Error(`${path}: no attribute map`);
  for (const attribute of JSON.parse(map) as { baseName: string; format: string }[]) {
    formats.set(attribute.baseName, attribute.format);
  }
  return formats;
}

/** Fields the client's newer models no longer have, with their formats. */
const FORMATS_GONE: Record<string, string> = {};

const schema: Record<string, Record<string, string>> = {};
const docs: Record<string, [string, Record<string, string>]> = {};

function typeOf(
  definition: string,
  module: Module,
  moduleName: string,
  field: string,
  written: string,
): string {
  const list = /^Array<(.*)>$/.exec(written);
  if (list !== null) return `[]${typeOf(definition, module, moduleName, field, list[1]!)}`;
  const map = /^\{\[name:string\]:(.*);\}$/.exec(written);
  if (map !== null) return `{}${typeOf(definition, module, moduleName, field, map[1]!)}`;
  if (/^"/.test(written)) return 'string';
  switch (written) {
    case 'string':
      return formatsOf(definition).get(field) === 'byte' ? 'bytes' : 'string';
    case 'boolean':
      return 'bool';
    case 'number': {
      const format = formatsOf(definition).get(field) ?? FORMATS_GONE[`${definition}.${field}`];
      if (format !== 'int32' && format !== 'int64' && format !== 'double') {
        throw new Error(`${definition}.${field}: a number of unknown format ${JSON.stringify(format)}`);
      }
      return format;
    }
    case 'number|string':
    case 'string|number':
      return 'intOrString';
    case 'Quantity':
      return 'quantity';
    case 'Time':
      return 'time';
    case 'MicroTime':
      return 'microTime';
    case 'FieldsV1':
    case 'RawExtension':
      return 'object';
  }
  if (!/^\w+$/.test(written)) throw new Error(`${definition}.${field}: type ${written} not understood`);
  const reference = `${module.imports.get(written) ?? moduleName}.${written}`;
  addDefinition(reference);
  return reference;
}

function addDefinition(definition: string): void {
  if (schema[definition] !== undefined) return;
  const [group, version, name] = definition.split('.') as [string, string, string];
  const moduleName = `${group}.${version}`;
  const module = moduleOf(moduleName);
  const declaration = module.declarations.get(name);
  if (declaration === undefined) throw new Error(`${definition}: not declared in kubernetes-types`);
  const fields: Record<string, string> = {};
  const fieldDocs: Record<string, string> = {};
  schema[definition] = fields;
  docs[definition] = [declaration.doc, fieldDocs];
  for (const [field, { written, required, doc }] of declaration.fields) {
    fields[field] = (required ? '!' : '') + typeOf(definition, module, moduleName, field, written);
    if (doc !== '') fieldDocs[field] = doc;
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
