import { describe, expect, test } from 'bun:test';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import { FIELD_CASES } from './field/cases.ts';

describe.each(FIELD_CASES.map((entry) => [`${entry.number}: ${entry.from}`, entry] as const))(
  '%s',
  (_, { scenes }) => {
    test.each(scenes.map((scene) => [scene.name, scene] as const))('%s', (_, { world, found, says = [] }) => {
      const findings = diagnose(world).diagnosis.findings.filter(({ severity }) => severity !== 'note');
      expect(findings.map(({ severity, code }) => `${severity} ${code}`)).toEqual([...found]);
      for (const words of says) expect(findings[0]!.message).toContain(words);
    });
  },
);

test('each case has the case itself and two variations', () => {
  for (const { scenes } of FIELD_CASES) expect(scenes.length).toBeGreaterThanOrEqual(3);
});
