import { describe, expect, test } from 'bun:test';
import type { Subject } from '../model/finding.ts';
import { words } from '../model/message.ts';
import type { NodeReport } from '../model/node-report.ts';
import { type Stage, stages } from '../model/stages.ts';
import type { World } from '../model/world.ts';
import type { Failure, Heal } from '../stages/failure.ts';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { mappedWorld } from '../testing/mapped-node.ts';
import { failureOn, podOn, smallWorld, worldOfNode } from '../testing/small-world.ts';
import type { Scene } from '../view/scene.ts';
import { diagnose } from './diagnose.ts';

const world = smallWorld([podOn('n1', 'a', 80), podOn('n2', 'b', 80, 81)]);
const onNode =
  (node: string) =>
  (scene: Scene): Subject[] =>
    scene.nodes.has(node) ? [{ node }] : [];
const onPaths = (scene: Scene) => scene.paths.map(({ subject }) => subject);
const codesOf = (failures: Failure[]) =>
  diagnose(world, failures).cases.map(
    ({
      finding: {
        code,
        subject: { node, pod, port },
      },
    }) => `${code} ${pod?.name ?? node}${port ? `:${port.hostPort}` : ''}`,
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

  test.each<[string, Partial<Failure>, Partial<Failure>, string[]]>([
    ['a risk by a broken cause', {}, { severity: 'risk' }, ['cause n1']],
    ['a note by a risk', { severity: 'risk' }, { severity: 'note' }, ['cause n1']],
    ['a risk by a risk', { severity: 'risk' }, { severity: 'risk' }, ['cause n1']],
    ['not what is broken, by a risk', { severity: 'risk' }, {}, ['effect n1', 'cause n1']],
    ['not a risk, by a note', { severity: 'note' }, { severity: 'risk' }, ['effect n1', 'cause n1']],
    ['by any stage that is earlier', { stage: 'declared' }, { mutedBy: ['earlier'] }, ['cause n1']],
    ['not by the same stage', {}, { mutedBy: 'earlier' }, ['cause n1', 'effect n1']],
    ['not by a later one', { stage: 'answered' }, { mutedBy: 'earlier' }, ['effect n1', 'cause n1']],
    [
      'not by an earlier risk',
      { stage: 'declared', severity: 'risk' },
      { mutedBy: 'earlier' },
      ['effect n1', 'cause n1'],
    ],
    ['by a code, at a later stage', { stage: 'answered' }, {}, ['cause n1']],
    ['not by another code', {}, { mutedBy: ['other'] }, ['cause n1', 'effect n1']],
    ['by a code or what is earlier', { stage: 'declared' }, { mutedBy: ['other', 'earlier'] }, ['cause n1']],
    ['not by itself', { stage: 'declared' }, { mutedBy: ['effect'] }, ['cause n1', 'effect n1']],
  ])('an effect is hidden: %s', (_, cause, effect, expected) => {
    const failures = [
      failureOn(onNode('n1'), { code: 'effect', stage: 'forwarded', mutedBy: ['cause'], ...effect }),
      failureOn(onNode('n1'), { code: 'cause', stage: 'forwarded', ...cause }),
    ];
    expect(codesOf(failures)).toEqual(expected);
  });

  test('what is equally grave comes by stage, then by subject, then by code', () => {
    const failures = [
      failureOn(onNode('n2'), { code: 'b', stage: 'attached' }),
      failureOn(onNode('n1'), { code: 'c', stage: 'attached' }),
      failureOn(onNode('n1'), { code: 'a', stage: 'attached' }),
      failureOn(onNode('n2'), { code: 'z', stage: 'configured' }),
    ];
    expect(codesOf(failures)).toEqual(['z n2', 'a n1', 'c n1', 'b n2']);
  });

  test('a finding has all parts of its failure and its case', () => {
    const evidence = [{ kind: 'rule' as const, where: 'nat', saw: '-j DROP' }];
    const subject = { node: 'n1' };
    const failure = failureOn(() => [], { code: 'x', stage: 'attached', restart: 'avoided' });
    const found = (more: object) => {
      failure.detect = (scene) =>
        scene.nodes.has('n1')
          ? [{ subject, message: words('so {far}', { far: 'good' }), evidence, data: null, ...more }]
          : [];
      return diagnose(world, [failure]).diagnosis.findings;
    };
    const whole = {
      code: 'x',
      stage: 'attached' as const,
      severity: 'broken' as const,
      subject,
      message: 'so good',
      args: { far: 'good' },
      evidence,
      explanation: 'It is so.',
      remedy: 'Fix it.',
      restart: 'avoided' as const,
      documentation: 'docs/failures/x.md',
    };
    expect(found({})).toStrictEqual([whole]);
    expect(found({ remedy: 'Fix that.', severity: 'note' })).toStrictEqual([
      { ...whole, remedy: 'Fix that.', severity: 'note' },
    ]);
  });

  test.each<[string, Heal, string | undefined]>([
    ['steps', { by: 'steps', steps: [] }, 'hostport heal --only x'],
    ['a restart', { by: 'restart', why: 'so', steps: [] }, 'hostport heal --only x --restart'],
    ['hand', { by: 'hand', why: 'so' }, undefined],
  ])('the command of a finding that is fixed by %s', (_, heal, command) => {
    const failure = failureOn(onNode('n1'), { code: 'x', stage: 'attached', heal: () => heal });
    const [finding] = diagnose(world, [failure]).diagnosis.findings;
    expect(finding!.command).toBe(command as string);
    expect(finding!.remedy).toBe('Fix it.');
  });

  test('of several cases of one failure on one subject each is reported, and the first is in the cell once', () => {
    const twice = failureOn((scene) => [...onNode('n1')(scene), ...onNode('n1')(scene)], {
      code: 'x',
      stage: 'configured',
    });
    const { findings, paths } = diagnose(world, [twice]).diagnosis;
    expect(findings).toHaveLength(2);
    expect(paths[0]!.stages.configured).toEqual({ verdict: 'broken', codes: ['x'] });
  });

  test('a case may be less severe than its failure', () => {
    const failure = failureOn(() => [], { code: 'x', stage: 'attached' });
    failure.detect = () => [
      { subject: { node: 'n1' }, message: words('', {}), evidence: [], severity: 'risk', data: null },
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

  const cell = (failures: Failure[], stage: Stage) => {
    const { scene, diagnosis } = diagnose(mappedWorld(), failures);
    expect(scene.paths).toHaveLength(1);
    return diagnosis.paths[0]!.stages[stage];
  };
  const found = (code: string, stage: Stage, rest: Partial<Failure> = {}) =>
    failureOn(onNode('n1'), { code, stage, ...rest });

  test.each<[string, Failure[], Stage, object]>([
    ['where nothing is found, and the stage holds', [], 'configured', { verdict: 'ok', codes: [] }],
    [
      'where nothing is found, and nothing was seen',
      [],
      'answered',
      { verdict: 'unknown', codes: [], reason: 'not probed' },
    ],
    [
      'of a risk',
      [found('r', 'configured', { severity: 'risk' })],
      'configured',
      { verdict: 'risk', codes: ['r'] },
    ],
    [
      'of a note',
      [found('n', 'configured', { severity: 'note' })],
      'configured',
      { verdict: 'ok', codes: [] },
    ],
    [
      'of a risk, where it is not known whether the stage holds',
      [found('r', 'answered', { severity: 'risk' })],
      'answered',
      { verdict: 'unknown', codes: [], reason: 'not probed' },
    ],
    [
      'of what is broken in two ways, and a risk',
      [found('a', 'attached'), found('b', 'attached'), found('r', 'attached', { severity: 'risk' })],
      'attached',
      { verdict: 'broken', codes: ['a', 'b'] },
    ],
    [
      'behind what is broken, where the stage holds',
      [found('a', 'configured')],
      'attached',
      { verdict: 'ok', codes: [] },
    ],
    [
      'behind what is broken, where it does not',
      [found('a', 'configured')],
      'answered',
      { verdict: 'muted', codes: [], reason: 'a' },
    ],
    [
      'behind two that are broken, where it does not',
      [found('b', 'attached'), found('a', 'configured')],
      'answered',
      { verdict: 'muted', codes: [], reason: 'a' },
    ],
    ['before what is broken', [found('a', 'attached')], 'configured', { verdict: 'ok', codes: [] }],
    [
      'of what is hidden, where the stage holds',
      [found('a', 'configured'), found('b', 'attached', { mutedBy: ['a'] })],
      'attached',
      { verdict: 'muted', codes: [], reason: 'a' },
    ],
    [
      'of what is hidden, where something else is broken',
      [found('a', 'configured'), found('b', 'attached', { mutedBy: ['a'] }), found('c', 'attached')],
      'attached',
      { verdict: 'broken', codes: ['c'] },
    ],
    [
      'behind a risk, where nothing was seen',
      [found('a', 'configured', { severity: 'risk' })],
      'answered',
      { verdict: 'unknown', codes: [], reason: 'not probed' },
    ],
  ])('%s', (_, failures, stage, verdict) => {
    expect(cell(failures, stage)).toStrictEqual(verdict as never);
  });

  test('that are OK in an unusual way say in which', () => {
    const { diagnosis } = diagnose(
      mappedWorld({
        plugins: [{ type: 'cilium-cni' }],
        report: (report) => {
          if ('value' in report.runtime) report.runtime.value.name = 'cri-o';
        },
      }),
      [],
    );
    expect(diagnosis.paths[0]!.stages.configured).toStrictEqual({
      verdict: 'ok',
      codes: [],
      reason: '10-net.conflist has no portmap; CRI-O maps the ports of n1 itself',
    });
  });

  test('have the mapping that they are about', () => {
    const [one] = diagnose(mappedWorld(), []).diagnosis.paths;
    const pod = { namespace: 'default', name: 'a', uid: 'uid-a' };
    const port = { hostPort: 80, containerPort: 8080, protocol: 'TCP' as const };
    expect(one).toStrictEqual({ node: 'n1', pod, port, stages: one!.stages });
    const both = diagnose(mappedWorld({ families: ['ipv4', 'ipv6'] }), []).diagnosis.paths;
    expect(both.map(({ family }) => family)).toEqual(['IPv4', 'IPv6']);
    const [waiting] = diagnose(smallWorld([podOn(undefined, 'a', 80)]), []).diagnosis.paths;
    expect(waiting).toStrictEqual({ pod, port, stages: waiting!.stages });
  });

  test('nodes without a report are reported, after what was not read and before what cannot be judged', () => {
    const unread = [{ kind: 'objects' as const, what: 'events', why: 'forbidden' }];
    const failing = failureOn(
      (scene) => {
        if (scene.nodes.has('n2')) throw new Error('too deep');
        return [];
      },
      { code: 'x', stage: 'attached' },
    );
    const why = 'no report of this node';
    expect(diagnose({ ...world, unread }, [failing]).diagnosis.unknowns).toEqual([
      ...unread,
      { kind: 'node', node: 'n1', what: 'node report', why },
      { kind: 'node', node: 'n2', what: 'node report', why },
      { kind: 'node', node: 'n2', what: 'diagnosis', why: 'cannot be judged: too deep' },
    ]);
  });

  test('a node with a report is known', () => {
    const why = 'no report of this node';
    expect(diagnose(mappedWorld(), []).diagnosis.unknowns).toStrictEqual([
      { kind: 'node', node: 'n2', what: 'node report', why },
    ]);
  });

  test('of what cannot be judged are unknown with the reason, and those of other nodes are judged', () => {
    const failing = failureOn(
      (scene) => {
        if (scene.nodes.size === 0) throw new Error('too deep');
        return onNode('n1')(scene);
      },
      { code: 'x', stage: 'attached' },
    );
    const pods = [podOn(undefined, 'waiting', 80), ...world.pods];
    const { paths, unknowns, findings } = diagnose(smallWorld(pods), [failing]).diagnosis;
    const reason = 'cannot be judged: too deep';
    const waiting = paths.find(({ pod }) => pod.name === 'waiting')!;
    expect(Object.keys(waiting.stages)).toEqual([...stages]);
    expect(Object.values(waiting.stages)).toEqual(
      stages.map(() => ({ verdict: 'unknown', codes: [], reason })),
    );
    expect(unknowns.at(-1)).toStrictEqual({ kind: 'pod', what: 'diagnosis', why: reason });
    expect(findings.map(({ subject }) => subject)).toEqual([{ node: 'n1' }]);
    expect(paths[0]!.stages.attached.verdict).toBe('broken');
  });
});

test('the document says when the world was observed, and what it is', () => {
  const { diagnosis } = diagnose({ ...world, observedAt: '2026-02-03T00:00:00Z' }, []);
  expect(diagnosis).toMatchObject({
    apiVersion: 'hostport/v1',
    kind: 'Diagnosis',
    observedAt: '2026-02-03T00:00:00Z',
  });
});

test('what was worked out is kept for what is broken, and let go of elsewhere', () => {
  const kept = (failures: Failure[]) => {
    const { scene } = diagnose(mappedWorld(), failures);
    return scene.paths.map(({ memory, node }) => memory.size > 0 && node!.memory.size > 0);
  };
  expect(kept([])).toEqual([false]);
  expect(kept([failureOn(onNode('n1'), { code: 'x', stage: 'attached' })])).toEqual([true]);
});

describe('a stage that no packet of a pod reached is not shown as good', () => {
  /** The marks of a pod's stages from `attached` on, by the whole catalogue; other machines get answers at its port. */
  const cellsOf = (name: string, world: World) => {
    const { paths } = diagnose(world).diagnosis;
    const { stages: cells } = paths.find(({ pod }) => pod.name === name)!;
    return stages
      .slice(stages.indexOf('attached'))
      .map((stage) => [cells[stage].verdict, cells[stage].reason].filter(Boolean).join(' '));
  };

  test('of a pod that was refused its port', () => {
    const given = mappedWorld({ probes: { outside: {} } });
    const refused = { phase: 'Failed', reason: 'NodePorts' };
    const created = { creationTimestamp: '2026-01-01T00:00:09Z' };
    const b = podOn('n1', 'b', 80);
    const late = { ...b, metadata: { ...b.metadata, ...created }, status: refused };
    const world = {
      ...given,
      pods: [...given.pods, late],
      probes: given.probes.flatMap((probe) => [probe, { ...probe, podUid: 'uid-b' }]),
    };
    expect(cellsOf('b', world)).toEqual(Array(4).fill('muted hostport-conflict'));
  });

  test('of a pod whose sandbox was never created', () => {
    const world = mappedWorld({
      probes: { outside: {} },
      own: [],
      report: (report) => {
        report.sandboxes = { value: [] };
        if ('value' in report.cni.plugins)
          report.cni.plugins.value = report.cni.plugins.value.filter(({ name }) => name !== 'portmap');
      },
    });
    expect(cellsOf('a', world)).toEqual(Array(4).fill('muted plugin-missing'));
  });
});

describe('a fault of a list that the runtime has not read', () => {
  const failure = failureOn(onNode('n1'), { code: 'x', stage: 'configured', ofFirstConfig: true });
  const found = (loaded: object[], failures: Failure[] = [failure]) => {
    const report = (seen: NodeReport) => {
      if (!('value' in seen.runtime)) return;
      seen.runtime.value.loadedNetworks = { value: [{ name: 'net', config: listOf(loaded) }] };
    };
    return diagnose(mappedWorld({ report }), failures).diagnosis.findings.map(
      ({ severity, message }) => `${severity} ${message}`,
    );
  };
  const LATER =
    'risk x!; an older list, which maps ports, is in use until the runtime reads its directory again';

  test.each<[string, string[], string[]]>([
    ['is a risk, while what it has maps ports', found(CHAINED), [LATER]],
    ['is broken, when that maps none either', found(CHAINED.slice(0, 1)), ['broken x!']],
    [
      'is broken, when it is not of the list',
      found(CHAINED, [failureOn(onNode('n1'), { code: 'x', stage: 'configured' })]),
      ['broken x!'],
    ],
  ])('%s', (_, messages, expected) => {
    expect(messages).toEqual(expected);
  });

  test('is as it is of a node that is not there', () => {
    const nowhere = failureOn((scene) => (scene.nodes.size === 0 ? [{}] : []), {
      code: 'x',
      stage: 'configured',
      ofFirstConfig: true,
    });
    expect(found(CHAINED, [nowhere])).toEqual(['broken x!']);
  });
});

test('what hostport cannot do on a node is said in place of its command', () => {
  const failure = failureOn(onNode('n1'), {
    code: 'x',
    stage: 'configured',
    heal: () => ({
      by: 'steps',
      steps: [
        {
          on: 'node',
          node: 'n1',
          why: 'so',
          action: { do: 'write-file', path: '/opt/cni/bin/x', content: '' },
        },
      ],
    }),
  });
  const mounts = [{ path: '/opt/cni/bin', point: '/', origin: '/a', source: 'b', readOnly: true }];
  const found = (value: typeof mounts) =>
    diagnose(
      mappedWorld({
        report: ({ cni }) => {
          cni.mounts = { value };
        },
      }),
      [failure],
    ).diagnosis.findings.map(({ command, remedy }) => [command, remedy]);
  expect(found([])).toEqual([['hostport heal --only x', 'Fix it.']]);
  expect(found(mounts)).toEqual([[undefined, expect.stringContaining('read-only root file system')]]);
});

test('a pod whose chain is behind a plugin that delegates must be recreated, whatever is said of its failure elsewhere', () => {
  const attach = { do: 'attach', sandbox: 'x', config: '/etc/cni/net.d/x', plugin: 'portmap' } as const;
  const failure = failureOn(onNode('n1'), {
    code: 'x',
    stage: 'attached',
    restart: 'avoided',
    heal: () => ({ by: 'steps', steps: [{ on: 'node', node: 'n1', why: 'so', action: attach }] }),
  });
  const found = (list: object) => {
    const report = cniNode({ '00-net.conf': JSON.stringify({ cniVersion: '1.0.0', name: 'net', ...list }) });
    const [finding] = diagnose(worldOfNode(report), [failure]).diagnosis.findings;
    const { restart, restartReason, command } = finding!;
    return [restart, restartReason, command];
  };
  expect(found({ type: 'bridge' })).toEqual(['avoided', undefined, 'hostport heal --only x']);
  expect(found({ type: 'multus', delegates: [{ type: 'bridge' }] })).toEqual([
    'needed',
    'portmap is in a chain to which 00-net.conf delegates, and is run with it when a sandbox is created',
    undefined,
  ]);
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
  const findings = diagnose(dual, failures).cases.map(({ finding }) => finding);
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
  const cells = [...diagnose(dual, failures.slice(0, 2)).verdictOf.values()].map(
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
