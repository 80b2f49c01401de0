import { describe, expect, test } from 'bun:test';
import type { Subject } from '../model/finding.ts';
import type { Failure } from '../stages/failure.ts';
import { failureOn, podOn, smallWorld } from '../testing/small-world.ts';
import type { Scene } from '../view/scene.ts';
import { coveringKeys, keyOf } from './covering.ts';
import { diagnose } from './diagnose.ts';

const world = smallWorld([podOn('n1', 'a', 80), podOn('n2', 'b', 80, 81)]);
const onNode =
  (node: string) =>
  (scene: Scene): Subject[] =>
    scene.nodes.has(node) ? [{ node }] : [];
const onPaths = (scene: Scene) => scene.paths.map(({ subject }) => subject);
const codesOf = (failures: Failure[]) =>
  diagnose(world, failures).diagnosis.findings.map(
    ({ code, subject: { node, pod, port } }) =>
      `${code} ${pod?.name ?? node}${port ? `:${port.hostPort}` : ''}`,
  );

describe('what is reported', () => {
  const early = failureOn(onNode('n1'), { code: 'early', stage: 'configured' });
  const late = failureOn(onPaths, { code: 'late', stage: 'translated', mutedBy: 'earlier' });

  test.each<[string, Failure[], string[]]>([
    [
      'what follows from an earlier finding on its node is not',
      [late, early],
      ['early n1', 'late b:80', 'late b:81'],
    ],
    [
      'a risk hides nothing',
      [{ ...early, severity: 'risk' }, late],
      ['late a:80', 'late b:80', 'late b:81', 'early n1'],
    ],
    [
      'a cause of its own is always',
      [early, { ...late, mutedBy: [] }],
      ['early n1', 'late a:80', 'late b:80', 'late b:81'],
    ],
    [
      'a finding at the same stage hides what names it, and nothing else',
      [failureOn(onNode('n2'), { code: 'cause', stage: 'translated' }), { ...late, mutedBy: ['cause'] }],
      ['late a:80', 'cause n2'],
    ],
    [
      'what is hidden at two stages is hidden at both',
      [early, late, { ...late, code: 'later', stage: 'answered' }],
      ['early n1', 'late b:80', 'late b:81'],
    ],
    [
      'notes come last, after risks',
      [{ ...early, code: 'n', severity: 'note' }, { ...early, code: 'r', severity: 'risk' }, early],
      ['early n1', 'r n1', 'n n1'],
    ],
  ])('%s', (_, failures, expected) => {
    expect(codesOf(failures)).toEqual(expected);
  });

  test('a case may be less severe than its failure', () => {
    const failure = failureOn(() => [], { code: 'x', stage: 'attached' });
    failure.detect = () => [
      { subject: { node: 'n1' }, message: '', evidence: [], severity: 'risk', data: null },
    ];
    expect(diagnose(world, [failure]).diagnosis.findings[0]?.severity).toBe('risk');
  });
});

describe('the cells', () => {
  const cells = (failures: Failure[]) =>
    diagnose(world, failures).diagnosis.paths.map(({ pod, port, stages }) => [
      `${pod.name}:${port.hostPort}`,
      ...Object.values(stages).map(({ verdict }) => verdict),
    ]);

  test('of a node that nobody looked into are unknown, never good', () => {
    const unknown = Array(6).fill('unknown');
    expect(cells([])).toEqual([
      ['a:80', 'ok', 'ok', ...unknown],
      ['b:80', 'ok', 'ok', ...unknown],
      ['b:81', 'ok', 'ok', ...unknown],
    ]);
  });

  test('behind what is broken are muted, and say by what', () => {
    const failures = [failureOn(onNode('n1'), { code: 'early', stage: 'configured' })];
    expect(cells(failures)[0]).toEqual(['a:80', 'ok', 'ok', 'broken', ...Array(5).fill('muted')]);
    const [path] = diagnose(world, failures).diagnosis.paths;
    expect(path?.stages.configured.codes).toEqual(['early']);
    expect(path?.stages.answered.reason).toBe('early');
  });

  test('nodes without a report are reported', () => {
    expect(diagnose(world, []).diagnosis.unknowns.map(({ node }) => node)).toEqual(['n1', 'n2']);
  });
});

test('what is said of one family is said of mappings for an address of it, and hides what is said of them', () => {
  /** A pod of these addresses, with a port for each hostIP; without one, for all addresses. */
  const podOf = (name: string, ips: string[], ports: Record<number, string>) => {
    const pod = podOn('n1', name, ...Object.keys(ports).map(Number));
    for (const port of pod.spec!.containers[0]!.ports!) {
      const hostIP = ports[port.hostPort!]!;
      if (hostIP !== '') port.hostIP = hostIP;
    }
    return { ...pod, status: { phase: 'Running', podIPs: ips.map((ip) => ({ ip })) } };
  };
  const [v4, v6] = ['172.17.0.2', 'fd00::2'];
  const both = ['10.1.0.2', 'fd00:1::2'];
  const dual = smallWorld(
    [
      podOf('a', both, { 80: '', 81: v4, 82: v6 }),
      podOf('b', [both[1]!], { 83: '' }),
      podOf('c', both, { 84: v4 }),
    ],
    {
      nodes: [
        {
          metadata: { name: 'n1' },
          status: { addresses: [v4, v6].map((address) => ({ type: 'InternalIP', address })) },
        },
      ],
    },
  );
  const cause = failureOn((scene) => (scene.nodes.has('n1') ? [{ node: 'n1', family: 'IPv4' }] : []), {
    code: 'cause',
    stage: 'configured',
  });
  const rest = { stage: 'forwarded', mutedBy: 'earlier' } as const;
  const failures = [
    cause,
    failureOn(onPaths, { code: 'port', ...rest }),
    failureOn((scene) => onPaths(scene).map(({ node, pod }) => ({ node: node!, pod: pod! })), {
      code: 'pod',
      ...rest,
    }),
  ];
  const { findings } = diagnose(dual, failures).diagnosis;
  const reported = findings.map(({ code, subject: { pod, port, family } }) =>
    [code, pod?.name, port?.hostPort, family].filter((part) => part !== undefined).join(' '),
  );
  // Of a pod that has mappings of both, what is said of IPv4 is not all there is.
  expect([...new Set(reported)]).toEqual([
    'cause IPv4',
    'pod a',
    'port a 80 IPv6',
    'port a 82',
    'pod b',
    'port b 83',
  ]);
  const cells = diagnose(dual, failures.slice(0, 2)).diagnosis.paths.map(
    ({ port, family, stages: { configured, forwarded } }) =>
      [port.hostPort, family ?? 'one', configured.verdict, forwarded.verdict].join(' '),
  );
  expect(cells).toEqual([
    '80 IPv4 broken muted',
    '80 IPv6 unknown broken',
    '81 one broken muted',
    '82 one unknown broken',
    '83 one unknown broken',
    '84 one broken muted',
  ]);
});

const pod = { namespace: 'default', name: 'a', uid: 'u' };
const port = { hostPort: 80, containerPort: 8080, protocol: 'TCP' as const };
test.each<[string, Subject, Subject, boolean]>([
  ['a node, its pod', { node: 'n' }, { node: 'n', pod }, true],
  ['a node, a pod of another', { node: 'm' }, { node: 'n', pod }, false],
  ['a pod, its port', { node: 'n', pod }, { node: 'n', pod, port }, true],
  ['a port, its pod', { node: 'n', pod, port }, { node: 'n', pod }, false],
  [
    'a port of one hostIP, that of all',
    { node: 'n', pod, port: { ...port, hostIP: '127.0.0.1' } },
    { node: 'n', pod, port },
    false,
  ],
  ['everything, anything', {}, { node: 'n', pod, port }, true],
])('whether %s is covered', (_, wide, narrow, expected) => {
  expect(coveringKeys(narrow).includes(keyOf(wide))).toBe(expected);
});

describe('a pod that the kubelet refused', () => {
  type Made = { by?: string; at?: string; status?: object; gone?: boolean };
  const made = (name: string, { by = 'set', at = '2026-01-01T00:00:01Z', status, gone }: Made) => {
    const pod = podOn('n1', name, 80);
    return {
      ...pod,
      metadata: {
        ...pod.metadata,
        creationTimestamp: at,
        ...(gone ? { deletionTimestamp: at } : {}),
        ...(by === ''
          ? {}
          : {
              ownerReferences: [
                { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: by, uid: by, controller: true },
              ],
            }),
      },
      status: { ...pod.status, ...status },
    };
  };
  const refused = { phase: 'Failed', reason: 'NodePorts' };

  test.each<[string, Made, Made, boolean]>([
    ['is waited for while another of its controller is not up', {}, { status: { phase: 'Pending' } }, true],
    ['is waited for when the other one goes', {}, { gone: true }, true],
    ['is waited for when the other one was there before', {}, { at: '2025-12-31T00:00:00Z' }, true],
    ["is waited for when the other one is another controller's", {}, { by: 'other' }, true],
    ['is waited for when no controller recreates it', { by: '' }, { by: '' }, true],
    ['is not when another runs in its place', {}, {}, false],
  ])('%s', (_, own, other, isWaitedFor) => {
    const pods = [made('refused', { ...own, status: refused }), made('other', other)];
    const { paths } = diagnose(smallWorld(pods), []).diagnosis;
    expect(paths.some(({ pod }) => pod.name === 'refused')).toBe(isWaitedFor);
  });
});
