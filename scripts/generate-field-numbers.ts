/**
 * Writes `src/control-plane/apiserver/field-numbers.gen.json`: how fields of the served kinds are numbered in Kubernetes'
 * protocol buffers, and which of them are written in JSON even when they are zero. Both are in the struct tags of
 * Kubernetes' Go types, so this reads a checkout of them:
 *
 *     git clone --branch v0.30.0 https://github.com/kubernetes/api
 *     git clone --branch v0.30.0 https://github.com/kubernetes/apimachinery
 *     bun run scripts/generate-field-numbers.ts api apimachinery
 *
 * Numbers never change once they are published. A field's entry is its number, with `!` behind it when zero is kept; an
 * embedded struct's name is `<` and its definition.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import schema from '../src/kube/schema/schema.gen.json' with { type: 'json' };

const PACKAGES: Record<string, string> = {
  'core.v1': 'core/v1',
  'apps.v1': 'apps/v1',
  'rbac.v1': 'rbac/v1',
  'discovery.v1': 'discovery/v1',
  'coordination.v1': 'coordination/v1',
  'autoscaling.v1': 'autoscaling/v1',
  'policy.v1': 'policy/v1',
  'authentication.v1': 'authentication/v1',
  'authorization.v1': 'authorization/v1',
  'extensions.v1beta1': 'extensions/v1beta1',
};
const META = 'pkg/apis/meta/v1';

type Numbers = Record<string, string>;

/** The structs of one `types.go`, by name. */
function structsOf(text: string, packageName: string): Map<string, Numbers> {
  const structs = new Map<string, Numbers>();
  for (const [, name, body] of text.matchAll(/^type (\w+) struct \{\n([\s\S]*?)^\}/gm)) {
    const numbers: Numbers = {};
    for (const line of body!.split('\n')) {
      const field = /^\t(?:(\w+)\s+)?(\S+)\s+`([^`]*)`/.exec(line);
      const number = /protobuf:"\w+,(\d+),/.exec(field?.[3] ?? '')?.[1];
      const json = /json:"([^"]*)"/.exec(field?.[3] ?? '')?.[1];
      if (field === null || number === undefined || json === undefined) continue;
      const [jsonName = '', ...options] = json.split(',');
      const type = field[2]!;
      if (options.includes('inline')) numbers[`<${definitionOf(type, packageName)}`] = number;
      else numbers[jsonName] = number + (type.startsWith('*') || !options.includes('omitempty') ? '!' : '');
    }
    structs.set(name!, numbers);
  }
  return structs;
}

function definitionOf(type: string, packageName: string): string {
  const [qualifier, name] = type.includes('.') ? type.split('.') : [undefined, type];
  if (qualifier === undefined) return `${packageName}.${name}`;
  return `${qualifier === 'metav1' ? 'meta.v1' : qualifier.replace(/v1$/, '.v1')}.${name}`;
}

const [apiDirectory, machineryDirectory] = process.argv.slice(2);
if (apiDirectory === undefined || machineryDirectory === undefined) {
  throw new Error(
    'usage: generate-field-numbers.ts <checkout of kubernetes/api> <checkout of kubernetes/apimachinery>',
  );
}
const all = new Map<string, Numbers>();
const read = (directory: string, packageName: string) => {
  for (const [name, numbers] of structsOf(readFileSync(join(directory, 'types.go'), 'utf8'), packageName)) {
    all.set(`${packageName}.${name}`, numbers);
  }
};
for (const [packageName, path] of Object.entries(PACKAGES)) read(join(apiDirectory, path), packageName);
read(join(machineryDirectory, META), 'meta.v1');

const wanted: Record<string, Numbers> = {};
/** `fields` are those the schema has where this definition is embedded or used. */
function want(definition: string, fields: ReadonlySet<string>): void {
  const numbers = all.get(definition);
  if (numbers === undefined) throw new Error(`${definition}: no struct of that name`);
  const kept: Numbers = { ...wanted[definition] };
  for (const [name, number] of Object.entries(numbers)) {
    if (name.startsWith('<')) {
      kept[name] = number;
      want(name.slice(1), fields);
    } else if (fields.has(name)) kept[name] = number;
  }
  wanted[definition] = kept;
}
for (const [definition, fields] of Object.entries(schema as Record<string, Record<string, string>>)) {
  if (definition.endsWith('List')) continue;
  want(definition, new Set(Object.keys(fields)));
  const missing = Object.keys(fields).filter(
    (field) => !['apiVersion', 'kind'].includes(field) && !isNumbered(definition, field),
  );
  if (missing.length > 0) throw new Error(`${definition}: no number for ${missing.join(', ')}`);
}

function isNumbered(definition: string, field: string): boolean {
  return Object.keys(wanted[definition] ?? {}).some(
    (name) => name === field || (name.startsWith('<') && isNumbered(name.slice(1), field)),
  );
}

const sorted = Object.fromEntries(Object.entries(wanted).sort(([a], [b]) => (a < b ? -1 : 1)));
const target = join(import.meta.dir, '../src/control-plane/apiserver/field-numbers.gen.json');
writeFileSync(target, `${JSON.stringify(sorted, null, 1)}\n`);
