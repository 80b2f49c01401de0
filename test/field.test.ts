import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { foundIn, withFieldTable } from '../scripts/field-report.ts';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import { FIELD_CASES } from './field/cases.ts';

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

test('each case has the case itself and two variations', () => {
  for (const { scenes } of FIELD_CASES) expect(scenes.length).toBeGreaterThanOrEqual(3);
});

test('docs/quality.md has what `bun scripts/field-report.ts` writes', () => {
  const page = readFileSync(join(import.meta.dir, '../docs/quality.md'), 'utf8');
  expect(page).toBe(withFieldTable(page));
});
