import { describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { foundIn, withFieldTable } from '../scripts/field-report.ts';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import { findingsText } from '../src/path/testing/findings-text.ts';
import { worldOf } from '../src/path/testing/worker.ts';
import { FIELD_CASES } from './field/cases.ts';
import { IN_ORDER } from './field/rule-sets.ts';

/** Messages, remedies, evidence and plans of all findings. */
const SAID = join(import.meta.dir, 'fixtures/field-findings.txt');

describe.each(FIELD_CASES.map((entry) => [`${entry.number}: ${entry.from}`, entry] as const))(
  '%s',
  (_, { scenes }) => {
    test.each(scenes.map((scene) => [scene.name, scene] as const))('%s', (_, { world, found, says = [] }) => {
      expect(foundIn(world)).toEqual([...found]);
      const [first] = diagnose(world).diagnosis.findings;
      for (const words of says) expect(first!.message).toContain(words);
    });
  },
);

describe('rules with which hostPorts work', () => {
  // With probes and without: what nobody has tried is judged by the rules alone.
  const probed = [
    ['probed', {}],
    ['not probed', undefined],
  ] as const;
  test.each(
    IN_ORDER.flatMap(([name, rules]) =>
      probed.map(([how, probes]) => [name, how, { ...rules, probes }] as const),
    ),
  )('%s, %s', (_, __, otherwise) => {
    const world = worldOf(otherwise);
    expect(foundIn(world)).toEqual([]);
    const [path] = diagnose(world).diagnosis.paths;
    expect([path!.stages.translated, path!.stages.forwarded]).toEqual([
      { verdict: 'ok', codes: [] },
      { verdict: 'ok', codes: [] },
    ]);
  });
});

test('what is said of each case is as it is stored: UPDATE_GOLDEN=1 bun test ./test/field.test.ts', () => {
  const printed = FIELD_CASES.flatMap(({ from, scenes }) =>
    scenes.flatMap(({ name, world, found }) => {
      const codes = new Set(found.map((each) => each.split(' ')[1]!));
      return [...codes].flatMap((code) => [`## ${from}: ${name}`, ...findingsText(code, world), '']);
    }),
  ).join('\n');
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(SAID, printed);
  expect(printed).toBe(readFileSync(SAID, 'utf8'));
});

test('each case has the case itself and two variations', () => {
  for (const { scenes } of FIELD_CASES) expect(scenes.length).toBeGreaterThanOrEqual(3);
});

test('docs/quality.md has what `bun scripts/field-report.ts` writes', () => {
  const page = readFileSync(join(import.meta.dir, '../docs/quality.md'), 'utf8');
  expect(page).toBe(withFieldTable(page));
});
