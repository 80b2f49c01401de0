import { describe, expect, test } from 'bun:test';
import { diagnose } from '../diagnose/diagnose.ts';
import type { HealStep } from '../model/action.ts';
import type { Finding, Subject } from '../model/finding.ts';
import type { Heal } from '../stages/failure.ts';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { failureOn, podOn, smallWorld } from '../testing/small-world.ts';
import { findingKey, type HealScope, planHeal, sameFinding } from './plan.ts';

const world = smallWorld([podOn('n1', 'a', 80), podOn('n2', 'b', 80)]);

function step(node: string, value: string, why = 'so'): HealStep {
  return { on: 'node', node, why, action: { do: 'set-sysctl', name: 'net.ipv4.ip_forward', value } };
}

function plan(
  heal: (node: string) => Heal,
  scope: Partial<HealScope> = {},
  severity: 'broken' | 'risk' | 'note' = 'broken',
) {
  const failure = failureOn((scene) => scene.paths.map(({ subject }) => subject), {
    code: 'x',
    stage: 'forwarded',
    severity,
    heal: ({ subject }) => heal(subject.node!),
  });
  return planHeal(diagnose(world, [failure]), { restart: false, ...scope }).map(({ steps, left }) => ({
    steps: steps.length,
    ...(left === undefined ? {} : { left: `${left.to}: ${left.why}` }),
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
  const asked = 'risks are fixed only on request: hostport heal --only x';

  test.each([
    ['needs a manual step', risk('risk', false, { risks: 'leftovers' }), asked],
    ['is fixed when it is a leftover', risk('risk', true, { risks: 'leftovers' }), 1],
    ['is fixed when its code is named', risk('risk', false, { risks: 'leftovers', codes: ['x'] }), 1],
    ['is fixed where all are', risk('risk', false, {}), 1],
    ['is not what is broken', risk('broken', false, { risks: 'leftovers' }), 1],
  ])('%s', (_, planned, expected) => {
    expect(planned).toStrictEqual(expected);
  });
});

describe('the same step in two plans', () => {
  const config = '/etc/cni/net.d/x.conflist';
  const attach: HealStep = {
    ...{ on: 'node', node: 'n1', why: 'so' },
    action: { do: 'attach', sandbox: 's', config, plugin: 'portmap' },
  };
  const write = (path: string, node = 'n1'): HealStep => ({
    ...{ on: 'node', node, why: 'so' },
    action: { do: 'write-file', path, content: '{}' },
  });
  const failure = (code: string, steps: HealStep[]) =>
    failureOn((scene) => scene.paths.map(({ subject }) => subject).filter(({ node }) => node === 'n1'), {
      ...{ code, stage: 'forwarded', severity: 'broken' },
      heal: () => ({ by: 'steps', steps }),
    });
  const done = (...plans: HealStep[][]) => {
    const failures = plans.map((steps, i) => failure(`x${i}`, steps));
    return planHeal(diagnose(world, failures), { restart: false }).map(({ steps }) =>
      steps.map(({ action }) => action.do),
    );
  };

  test.each<[string, string[][], string[][]]>([
    ['is in the first', done([attach], [attach]), [['attach'], []]],
    [
      'is after the change of what it runs',
      done([attach], [write(config), attach]),
      [[], ['write-file', 'attach']],
    ],
    [
      'stays where another file changes',
      done([attach], [write(`${config}.d`), attach]),
      [['attach'], ['write-file']],
    ],
    [
      'stays where the file of another node changes',
      done([attach], [write(config, 'n2'), attach]),
      [['attach'], ['write-file']],
    ],
    [
      'stays before a change that nothing follows',
      done([attach], [write(config)]),
      [['attach'], ['write-file']],
    ],
    [
      'is not again where the change was made before',
      done([write(config), attach], [attach], [write(config), attach]),
      [['write-file', 'attach'], [], []],
    ],
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
        { steps: 0, left: 'hand: theirs' },
        { steps: 0, left: 'hand: theirs' },
      ],
    ],
    [
      'offers a restart',
      plan(restart),
      [
        { steps: 0, left: 'restart: no other way' },
        { steps: 0, left: 'restart: no other way' },
      ],
    ],
    ['restarts when asked to', plan(restart, { restart: true }), [{ steps: 1 }, { steps: 1 }]],
    [
      'does different things on one node',
      plan((node) => ({ by: 'steps', steps: [step('n1', '1'), step('n1', node)] })),
      [{ steps: 2 }, { steps: 1 }],
    ],
    ['is confined to nodes', plan(restart, { nodes: ['n2'] }), [{ steps: 0, left: 'restart: no other way' }]],
    ['is confined to no node', plan(restart, { nodes: [] }), []],
    ['is confined to codes', plan(restart, { codes: ['y'] }), []],
    [
      'has the codes that it is confined to',
      plan(restart, { codes: ['x'], restart: true }),
      [{ steps: 1 }, { steps: 1 }],
    ],
    [
      'has what is a risk, and what is by hand as its own reason says',
      plan(() => ({ by: 'hand', why: 'theirs' }), { risks: 'leftovers' }, 'risk'),
      [
        { steps: 0, left: 'hand: theirs' },
        { steps: 0, left: 'hand: theirs' },
      ],
    ],
    ['does not fix what is only a note', plan(restart, {}, 'note'), []],
  ])('%s', (_, planned, expected) => {
    expect(planned).toStrictEqual(expected as typeof planned);
  });
});

test('what is found on no node is not healed for one', () => {
  const failure = failureOn((scene) => (scene.nodes.size === 0 ? [{}] : []), {
    code: 'x',
    stage: 'scheduled',
  });
  expect(planHeal(diagnose(world, [failure]), { restart: false })).toHaveLength(1);
  expect(planHeal(diagnose(world, [failure]), { restart: false, nodes: ['n1'] })).toStrictEqual([]);
});

test('a list that may be undone at once is written for whoever names the failure', () => {
  const CILIUM = '05-cilium.conflist';
  const report = cniNode({ [CILIUM]: listOf(CHAINED) });
  const failure = failureOn((scene) => (scene.nodes.has('n1') ? [{ node: 'n1' }] : []), {
    code: 'x',
    stage: 'configured',
    heal: () => ({
      by: 'steps',
      steps: [
        {
          on: 'node',
          node: 'n1',
          why: 'so',
          action: { do: 'rename-file', from: `/etc/cni/net.d/${CILIUM}`, to: '/etc/cni/net.d/a' },
        },
      ],
    }),
  });
  const diagnosed = diagnose(smallWorld([], { reports: new Map([['n1', { value: report }]]) }), [failure]);
  const steps = (scope: Partial<HealScope>) =>
    planHeal(diagnosed, { restart: false, ...scope })[0]!.steps.length;
  expect([steps({}), steps({ codes: ['x'] })]).toStrictEqual([0, 1]);
});

describe('two findings', () => {
  const pod = { namespace: 'default', name: 'a', uid: 'u1' };
  const port = { hostPort: 80, containerPort: 8080, protocol: 'TCP' as const };
  const whole: Subject = { node: 'n1', pod, port, family: 'IPv4' };
  const of = (subject: Subject, code = 'x') => ({ code, subject }) as Finding;

  test.each<[string, Finding, Finding, boolean, boolean]>([
    ['are the same', of(whole), of({ ...whole }), true, true],
    ['of a recreated pod are', of(whole), of({ ...whole, pod: { ...pod, uid: 'u2' } }), true, true],
    ['of both families are, of one', of({ node: 'n1', pod, port }), of(whole), true, false],
    ['of one family are, of both', of(whole), of({ node: 'n1', pod, port }), true, false],
    ['of two families are not', of(whole), of({ ...whole, family: 'IPv6' }), false, false],
    ['of two codes are not', of(whole), of(whole, 'y'), false, false],
    ['of two nodes are not', of(whole), of({ ...whole, node: 'n2' }), false, false],
    ['of two pods are not', of(whole), of({ ...whole, pod: { ...pod, name: 'b' } }), false, false],
    ['of two namespaces are not', of(whole), of({ ...whole, pod: { ...pod, namespace: 'b' } }), false, false],
    ['of two ports are not', of(whole), of({ ...whole, port: { ...port, hostPort: 81 } }), false, false],
    ['of a node and its pod are not', of({ node: 'n1' }), of({ node: 'n1', pod }), false, false],
    ['of two nodes alone are not', of({ node: 'n1' }), of({ node: 'n2' }), false, false],
    ['of a node are', of({ node: 'n1' }), of({ node: 'n1' }), true, true],
  ])('%s', (_, a, b, same, sameKey) => {
    expect(sameFinding(a, b)).toBe(same);
    expect(findingKey(a) === findingKey(b)).toBe(sameKey);
  });
});
