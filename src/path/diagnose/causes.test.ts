import { expect, test } from 'bun:test';
import type { Finding, PathVerdict } from '../model/finding.ts';
import { stages } from '../model/stages.ts';
import { causesOf } from './causes.ts';

function finding(node: string, more: Partial<Finding> = {}): Finding {
  return {
    code: 'plugin-missing',
    stage: 'installed',
    severity: 'broken',
    subject: { node },
    message: `portmap is not in /opt/cni/bin of ${node}`,
    args: { plugin: 'portmap', node },
    evidence: [{ kind: 'file', where: '/opt/cni/bin', saw: '(empty)' }],
    explanation: 'It is so.',
    remedy: `Put it there, on ${node}.`,
    restart: 'no',
    documentation: 'docs/failures/plugin-missing.md',
    ...more,
  };
}

const pod = (name: string) => ({ namespace: 'shop', name, uid: name });
const evidence = (saw: string) => ({ evidence: [{ kind: 'file' as const, where: '/opt/cni/bin', saw }] });
const message = (text: string) => ({ message: text });
const of = (node: string, name: string, more: Partial<Finding> = {}) =>
  finding(node, {
    subject: { node, pod: pod(name) },
    message: `shop/${name} was created before the chain on ${node}`,
    remedy: 'Attach it.',
    ...more,
  });

test.each<[string, Finding[], string[][]]>([
  ['the same of several nodes', [finding('w'), finding('w2'), finding('w-3')], [['w', 'w2', 'w-3']]],
  [
    'another in between',
    [finding('w'), finding('w2', { remedy: 'Wait.' }), finding('w3')],
    [['w', 'w3'], ['w2']],
  ],
  ['other evidence', [finding('w'), finding('w2', evidence('loopback'))], [['w', 'w2']]],
  [
    'the result of a sandbox as evidence, which is its own',
    ['w', 'w2'].map((node) =>
      finding(node, {
        evidence: [{ kind: 'result', where: `/var/lib/cni/results/net-${node}99-eth0 (2026)`, saw: node }],
      }),
    ),
    [['w', 'w2']],
  ],
  [
    'a message that names a name that is longer',
    [finding('w', message('seen by w2')), finding('w2', message('seen by w2'))],
    [['w'], ['w2']],
  ],
  ['another plugin', [finding('w'), finding('w2', message('bridge is not there'))], [['w'], ['w2']]],
  ['a pod twice', [of('w', 'a'), of('w', 'a')], [['w']]],
  ['pods of one node', [of('w', 'a'), of('w', 'b')], [['w']]],
  ['pods of several nodes', [of('w', 'a'), of('w2', 'b'), of('w2', 'c')], [['w', 'w2']]],
  ['a pod and its node', [finding('w', message('so')), of('w', 'a', message('so'))], [['w'], ['w']]],
  [
    'one address family',
    [
      finding('w', { subject: { node: 'w', family: 'IPv6' } }),
      finding('w2', { subject: { node: 'w2', family: 'IPv6' } }),
    ],
    [['w', 'w2']],
  ],
  [
    'another address family, or both',
    [
      finding('w'),
      finding('w2', { subject: { node: 'w2', family: 'IPv6' } }),
      finding('w3', { subject: { node: 'w3', family: 'IPv4' } }),
    ],
    [['w'], ['w2'], ['w3']],
  ],
  ['what is on no node', [finding('', { subject: {} })], [[]]],
  ...[
    ['10.0.0.1:80', '10.0.0.22:80'],
    ['fd00::1', 'fd00::2:3'],
    ['lxc1a2b3c', 'lxc99aabb'],
    ['a5a5a5a5a5a5a5', '0123456789abcd'],
    ['c0ffee00-0000-4000-8000-000000000000', 'c0ffee00-0000-4000-8000-000000000001'],
  ].map(([a, b]): [string, Finding[], string[][]] => [
    `addresses and IDs: ${a}`,
    [finding('w', message(`no route to ${a}`)), finding('w2', message(`no route to ${b}`))],
    [['w', 'w2']],
  ]),
  ['another port', [finding('w', message('TCP 80')), finding('w2', message('TCP 81'))], [['w'], ['w2']]],
])('%s', (_, findings, groups) => {
  expect(causesOf(findings, []).map(({ nodes }) => [...nodes])).toEqual(groups);
});

test('what is put together speaks of each; what stands alone is as it was', () => {
  const [both] = causesOf([finding('w'), finding('w2')], []);
  expect(both?.finding).toMatchObject({
    message: 'portmap is not in /opt/cni/bin of each of them',
    remedy: 'Put it there, on each of them.',
  });
  expect(both?.example).toEqual({});
  const alone = finding('w');
  expect(causesOf([alone], [])[0]?.finding).toBe(alone);
});

test('what differs in more than names is shown of the first, and says so', () => {
  const [cause] = causesOf(
    [
      of('w', 'a', evidence('1')),
      of('w2', 'b', { ...evidence('2'), message: 'shop/b was created before the chain on w2' }),
    ],
    [],
  );
  expect(cause?.finding.message).toBe('each of them was created before the chain on its node');
  expect(cause?.example).toEqual({ evidence: 'shop/a on w' });
  expect(cause?.pods).toEqual(['shop/a', 'shop/b']);
  const [other] = causesOf(
    ['10.0.0.1', '10.0.0.2'].map((ip, i) => finding(`w${i}`, message(`none to ${ip}`))),
    [],
  );
  expect(other?.finding.message).toBe('none to 10.0.0.1');
  expect(other?.example).toEqual({ message: 'w0' });
});

test('what hurts most pods comes first among what is as bad, and then most of their mappings', () => {
  const path = (node: string, name: string, code: string): PathVerdict => ({
    node,
    pod: pod(name),
    port: { hostPort: 80, containerPort: 80, protocol: 'TCP' },
    stages: Object.fromEntries(
      stages.map((stage) => [stage, { verdict: 'broken', codes: stage === 'installed' ? [code] : [] }]),
    ) as PathVerdict['stages'],
  });
  const paths = [
    path('w', 'a', 'one'),
    path('w2', 'b', 'many'),
    path('w2', 'c', 'many'),
    path('w3', 'd', 'risky'),
    // One pod of many ports is one pod.
    ...[80, 81, 82].map((hostPort) => ({
      ...path('w4', 'e', 'wide'),
      port: { hostPort, containerPort: 80, protocol: 'TCP' as const },
    })),
  ];
  const found = [
    finding('w3', { code: 'risky', severity: 'risk' }),
    finding('w', { code: 'one' }),
    finding('w4', { code: 'wide' }),
    finding('w2', { code: 'many' }),
  ];
  const causes = causesOf(found, paths);
  expect(causes.map(({ finding: { code }, hurt, hurtPods }) => [code, hurtPods, hurt.length])).toEqual([
    ['many', 2, 2],
    ['wide', 1, 3],
    ['one', 1, 1],
    ['risky', 1, 1],
  ]);
});

test('a finding of one port looks at the mappings of that port alone', () => {
  const PORTS = 300;
  let looks = 0;
  const verdicts = Object.fromEntries(
    stages.map((stage) => [stage, { verdict: 'broken', codes: stage === 'translated' ? ['lost'] : [] }]),
  ) as PathVerdict['stages'];
  const ports = Array.from({ length: PORTS }, (_, i) => ({
    hostPort: i + 1,
    containerPort: 80,
    protocol: 'TCP' as const,
  }));
  const paths = ports.map(
    (port): PathVerdict => ({
      node: 'w',
      pod: pod('a'),
      port,
      get stages() {
        looks++;
        return verdicts;
      },
    }),
  );
  const found = ports.map((port) =>
    finding('w', {
      code: 'lost',
      subject: { node: 'w', pod: pod('a'), port },
      ...message(`TCP ${port.hostPort}`),
    }),
  );
  expect(causesOf(found, paths).map(({ hurt }) => hurt.length)).toEqual(ports.map(() => 1));
  expect(looks).toBeLessThan(PORTS * (stages.length + 2));
});
