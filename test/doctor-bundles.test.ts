/**
 * What the doctor says of the how-to's cluster at its moments: recorded bundles, and next to each what is printed of it, so that a change of
 * wording or of a verdict is seen in review. `UPDATE_GOLDEN=1 bun test test/doctor-bundles.test.ts` writes the texts again;
 * test/fixtures/record-bundles.ts records the bundles again.
 */
import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exitStatusOf, renderDiagnosis } from '../src/cli/printer/diagnosis.ts';
import { bundleWorld } from '../src/collect/bundle.ts';
import { type Diagnosed, diagnose } from '../src/path/diagnose/diagnose.ts';
import { planHeal } from '../src/path/heal/plan.ts';
import { describeStep } from '../src/path/testing/describe-step.ts';
import { moments } from './fixtures/moments.ts';

const BUNDLES = join(import.meta.dir, 'fixtures/bundles');
const UPDATE = process.env.UPDATE_GOLDEN === '1';

test('every recorded bundle is one of the moments', () => {
  expect(readdirSync(BUNDLES).sort()).toEqual(moments.map(({ name }) => name).sort());
});

describe.each(moments)('$name', ({ name, findings, exitStatus }) => {
  const directory = join(BUNDLES, name);
  const diagnosed = bundleWorld(directory).then((world) => diagnose(world));

  // Said here as well, so that a wrong verdict cannot slip in with an update of the texts.
  test('these findings, on these nodes, and this exit status', async () => {
    const { diagnosis } = await diagnosed;
    const reported = diagnosis.findings
      .filter(({ severity }) => severity !== 'note')
      .map(({ code, subject }) => `${code} ${subject.node}`);
    expect(reported).toEqual([...findings]);
    expect(exitStatusOf(diagnosis)).toBe(exitStatus);
    expect(diagnosis.paths.map(({ pod }) => pod.name).sort()).toEqual([
      'echo-kind-worker',
      'echo-kind-worker2',
      'echo-kind-worker3',
    ]);
  });

  test('is printed in these words', async () => {
    expectGolden(join(directory, 'doctor.txt'), renderDiagnosis((await diagnosed).diagnosis, 'hostport'));
  });

  test('would be fixed by these steps', async () => {
    expectGolden(join(directory, 'heal.txt'), renderSteps(await diagnosed));
  });
});

function renderSteps(diagnosed: Diagnosed): string {
  const lines = planHeal(diagnosed, { restart: false }).flatMap(({ finding, steps, left }) => [
    `${finding.code} on ${finding.subject.node}`,
    ...steps.map((step) => `  ${step.why}: ${describeStep(step)}`),
    ...(left === undefined ? [] : [`  left to ${left.to}: ${left.why}`]),
  ]);
  return lines.length === 0 ? 'nothing to fix\n' : `${lines.join('\n')}\n`;
}

function expectGolden(path: string, text: string): void {
  if (UPDATE) writeFileSync(path, text);
  expect(text).toBe(readFileSync(path, 'utf8'));
}
