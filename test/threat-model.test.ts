/** docs/security.md names a test for each attack, and for what it says of rights and mounts: they are there. */
import { expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const PAGE = join(import.meta.dir, '../docs/security.md');
const page = readFileSync(PAGE, 'utf8');
/** The lines of tables whose last column names tests. */
const attacks = page
  .slice(page.indexOf('### Who may be hostile'), page.indexOf('### What is not held'))
  .split('\n')
  .filter(
    (line) => line.startsWith('| ') && !/^\| (?:-|what (?:it tries|they try|happens|is said))/.test(line),
  );
const named = attacks.flatMap((line) =>
  [...(line.split(' | ').at(-1) ?? '').matchAll(/\[([^\]]+)\]\(([^)]+)\)/g)].map(
    ([, name, file]) => [name!, join(PAGE, '..', file!)] as const,
  ),
);

test('each attack names one', () => {
  expect(attacks.length).toBeGreaterThan(35);
  expect(attacks.filter((line) => !/\]\([^)]+\.ts\)(?:, \[[^\]]+\]\([^)]+\.ts\))* \|$/.test(line))).toEqual(
    [],
  );
});

test.each(named)('%s', (name, file) => {
  expect(existsSync(file)).toBe(true);
  // As it is written there, whatever quotes are around it.
  const text = readFileSync(file, 'utf8').replaceAll("\\'", "'");
  expect(text.includes(name)).toBe(true);
});
