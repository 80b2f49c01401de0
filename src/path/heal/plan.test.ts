import { describe, expect, test } from 'bun:test';
import { diagnose } from '../diagnose/diagnose.ts';
import type { HealStep } from '../model/action.ts';
import type { Heal } from '../stages/failure.ts';
import { failureOn, podOn, smallWorld } from '../testing/small-world.ts';
import { type HealScope, planHeal } from './plan.ts';

const world = smallWorld([podOn('n1', 'a', 80), podOn('n2', 'b', 80)]);

function step(node: string, value: string, why = 'so'): HealStep {
  return { on: 'node', node, why, action: { do: 'set-sysctl', name: 'net.ipv4.ip_forward', value } };
}

function plan(
  heal: (node: string) => Heal,
  scope: Partial<HealScope> = {},
  severity: 'broken' | 'note' = 'broken',
) {
  const failure = failureOn((scene) => scene.paths.map(({ subject }) => subject), {
    code: 'x',
    stage: 'forwarded',
    severity,
    heal: ({ subject }) => heal(subject.node!),
  });
  return planHeal(diagnose(world, [failure]), { restart: false, ...scope }).map(({ steps, left }) => ({
    steps: steps.length,
    left: left?.to,
  }));
}

describe('a risk that nobody sees the plan of', () => {
  const risk = (severity: 'broken' | 'risk', leftover: boolean, scope: Partial<HealScope>) => {
    const failure = failureOn((scene) => scene.paths.slice(0, 1).map(({ subject }) => subject), {
      code: 'x',
      stage: 'forwarded',
      severity,
      ...(leftover ? { leftover } : {}),
      heal: () => ({ by: 'steps', steps: [step('n1', '1')] }),
    });
    const [planned] = planHeal(diagnose(world, [failure]), { restart: false, ...scope });
    return planned!.left?.why ?? planned!.steps.length;
  };
  const asked = expect.stringContaining('hostport heal --only x');

  test.each([
    ['needs a manual step', risk('risk', false, { risks: 'leftovers' }), asked],
    ['is fixed when it is a leftover', risk('risk', true, { risks: 'leftovers' }), 1],
    ['is fixed when its code is named', risk('risk', false, { risks: 'leftovers', codes: ['x'] }), 1],
    ['is fixed where all are', risk('risk', false, {}), 1],
    ['is not what is broken', risk('broken', false, { risks: 'leftovers' }), 1],
  ])('%s', (_, planned, expected) => {
    expect(planned).toEqual(expected);
  });
});

describe('a plan', () => {
  const restart = (node: string): Heal => ({ by: 'restart', why: 'no other way', steps: [step(node, '1')] });

  test.each([
    [
      'has the steps of each finding',
      plan((node) => ({ by: 'steps', steps: [step(node, '1')] })),
      [{ steps: 1 }, { steps: 1 }],
    ],
    [
      'does the same thing once, whatever the reason',
      plan((node) => ({ by: 'steps', steps: [step('n1', '1', `for ${node}`)] })),
      [{ steps: 1 }, { steps: 0 }],
    ],
    [
      'leaves to a person what is a person’s',
      plan(() => ({ by: 'hand', why: 'theirs' })),
      [
        { steps: 0, left: 'hand' },
        { steps: 0, left: 'hand' },
      ],
    ],
    [
      'offers a restart',
      plan(restart),
      [
        { steps: 0, left: 'restart' },
        { steps: 0, left: 'restart' },
      ],
    ],
    ['restarts when asked to', plan(restart, { restart: true }), [{ steps: 1 }, { steps: 1 }]],
    ['is confined to nodes', plan(restart, { nodes: ['n2'] }), [{ steps: 0, left: 'restart' }]],
    ['is confined to codes', plan(restart, { codes: ['y'] }), []],
    ['does not fix what is only a note', plan(restart, {}, 'note'), []],
  ])('%s', (_, planned, expected) => {
    expect(planned).toEqual(expected as typeof planned);
  });
});
