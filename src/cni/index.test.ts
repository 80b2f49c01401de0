import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as cni from './index.ts';

const page = readFileSync(join(import.meta.dir, '../../docs/npm/cni.md'), 'utf8');
const source = readFileSync(join(import.meta.dir, 'index.ts'), 'utf8');

/** The names in the second column of the table of what libcni has. */
const [, table = ''] = page.split('## What libcni has, and where it is here');
const [own = ''] = table.split('\n## ');
const named = own
  .split('\n')
  .flatMap((line) => [...(line.split('|')[2] ?? '').matchAll(/`([\w.]+)`/g)].map(([, name]) => name!));

/** The names of types, each behind the word. */
const types = source.replaceAll(/export type \{([^}]*)\}/g, (_, names: string) =>
  names.replaceAll(/\w+/g, 'type $&'),
);

/** Whether the package has it: as a value, a method of a class, or a type. */
function isExported(name: string): boolean {
  const [first = '', method] = name.split('.');
  const value = (cni as Record<string, unknown>)[first];
  if (method !== undefined) return typeof value === 'function' && method in (value.prototype as object);
  return value !== undefined || new RegExp(`\\btype ${first}\\b`).test(types);
}

test('the page says where everything of libcni is, by names that the package exports', () => {
  expect(named.length).toBeGreaterThan(40);
  expect(named.filter((name) => !isExported(name))).toEqual([]);
});
