import { isObject, type Json } from '../../../util/json.ts';
import { type Atom, fieldType, type ScalarType, shapeOf } from './atoms.ts';
import { itemElement, ListItemError } from './list-items.ts';
import { elementText, fieldElement, type PathElement } from './path-element.ts';

/**
 * What keeps a value from being of a type, in the words of structured-merge-diff (`.spec.replicas: expected numeric (int or
 * float), got string`). Undefined when nothing does.
 */
export function typeProblem(atom: Atom, value: Json): string | undefined {
  const problems: string[] = [];
  check(atom, value, '', problems);
  if (problems.length < 2) return problems[0];
  return ['errors:', ...problems.map((problem) => `  ${problem}`)].join('\n');
}

function check(atom: Atom, value: Json, path: string, problems: string[]): void {
  const add = (problem: string, where = path) =>
    problems.push(where === '' ? problem : `${where}: ${problem}`);
  if (value === null) return;
  switch (shapeOf(atom, value)) {
    case 'scalar': {
      const problem = scalarProblem(atom.scalar!, value);
      if (problem !== undefined) add(problem);
      return;
    }
    case 'map': {
      const map = atom.map!;
      if (!isObject(value)) return void add(`expected map, got ${goPointer(value)}`);
      for (const [name, item] of Object.entries(value)) {
        const where = path + elementText(fieldElement(name));
        const type = fieldType(map, name);
        // Kubernetes looks no further either: which fields come before is by chance there.
        if (type === undefined) return void add('field not declared in schema', where);
        check(type(), item as Json, where, problems);
      }
      return;
    }
    case 'list': {
      const list = atom.list!;
      if (!Array.isArray(value)) return void add(`expected list, got ${goPointer(value)}`);
      const seen = new Set<PathElement>();
      for (const [at, item] of value.entries()) {
        let element: PathElement = `i:${at}`;
        if (list.associative) {
          try {
            element = itemElement(list, item);
          } catch (error) {
            if (!(error instanceof ListItemError)) throw error;
            return void add(`element ${at}: ${error.message}`);
          }
          if (seen.has(element)) add(`duplicate entries for key ${elementText(element)}`);
          seen.add(element);
        }
        check(list.element(), item, path + elementText(element), problems);
      }
    }
  }
}

function scalarProblem(type: ScalarType, value: Json): string | undefined {
  switch (type) {
    case 'numeric':
      return typeof value === 'number' ? undefined : `expected numeric (int or float), got ${goType(value)}`;
    case 'string':
      return typeof value === 'string'
        ? undefined
        : `expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : `expected boolean, got ${goPointer(value)}`;
    case 'untyped':
      return typeof value === 'object' ? `expected any scalar, got ${goPointer(value)}` : undefined;
  }
}

/** `%T` of Go. */
function goType(value: Json): string {
  if (Array.isArray(value)) return '[]interface {}';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64';
  return { string: 'string', boolean: 'bool', object: 'map[string]interface {}' }[
    typeof value as 'string' | 'boolean' | 'object'
  ];
}

/** `%v` of Go. */
function goText(value: Json): string {
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`;
  if (typeof value !== 'object') return String(value);
  const fields = Object.keys(value).sort();
  return `map[${fields.map((name) => `${name}:${goText(value[name]!)}`).join(' ')}]`;
}

/** `%v` of a pointer to a struct with the value in it. */
function goPointer(value: Json): string {
  return `&{${goText(value)}}`;
}

/** `%#v` of Go. */
function goSyntax(value: Json): string {
  if (value === null) return 'interface {}(nil)';
  if (Array.isArray(value)) return `[]interface {}{${value.map(goSyntax).join(', ')}}`;
  if (typeof value !== 'object') return JSON.stringify(value);
  const fields = Object.keys(value).sort();
  return `map[string]interface {}{${fields.map((name) => `${JSON.stringify(name)}:${goSyntax(value[name]!)}`).join(', ')}}`;
}
