import { describe, expect, test } from 'bun:test';
import type { Flow, NodeReport } from '../../path/model/node-report.ts';
import type { ProbeResult } from '../../path/model/probe.ts';
import type { World } from '../../path/model/world.ts';
import { cniNode } from '../../path/testing/cni-node.ts';
import { DeadlineError } from '../../sys/exec.ts';
import { type ProbeOrder, probeJobSchema } from './order.ts';
import { planProbes, type Stand } from './plan.ts';
import { type ProbeDoor, probeWorld } from './probing.ts';

const sandbox = {
  id: 's1',
  name: 'echo',
  namespace: 'default',
  uid: 'u1',
  attempt: 0,
  ready: true,
  createdAt: '2026-01-01T00:00:00Z',
  hostNetwork: false,
  netns: '/run/netns/pod',
  netnsExists: true,
  ips: ['10.1.0.2'],
  portMappings: [],
};

function worldWith(
  port: object,
  change: { sandbox?: object; nodes?: string[]; podIPs?: string[] } = {},
): World {
  const names = change.nodes ?? ['n1', 'n2'];
  const ips = change.podIPs ?? ['10.1.0.2'];
  const report: NodeReport = {
    ...cniNode({}),
    sandboxes: { value: [{ ...sandbox, ...change.sandbox }] },
  };
  return {
    observedAt: '2026-01-01T00:00:00Z',
    nodes: names.map((name, i) => ({
      metadata: { name },
      status: { addresses: [{ type: 'InternalIP', address: `172.17.0.${i + 2}` }] },
    })),
    pods: [
      {
        metadata: { name: 'echo', namespace: 'default', uid: 'u1' },
        spec: {
          nodeName: 'n1',
          containers: [{ name: 'c', ports: [{ containerPort: 8080, hostPort: 80, ...port }] }],
        },
        status: { phase: 'Running', podIP: ips[0] ?? '', podIPs: ips.map((ip) => ({ ip })) },
      },
    ],
    services: [],
    events: [],
    policies: [],
    reports: new Map([['n1', { value: report }]]),
    probes: [],
  };
}

/** The world with an IPv6 address for each node but the second. */
function dualStack(world: World): World {
  return {
    ...world,
    nodes: world.nodes.map((node, i) => ({
      ...node,
      status: {
        addresses: [
          ...(node.status?.addresses ?? []),
          ...(i === 1 ? [] : [{ type: 'InternalIP', address: `fd00::${i + 1}` }]),
        ],
      },
    })),
  };
}

/** The world with but these addresses of its nodes. */
function addressed(world: World, addresses: readonly string[]): World {
  return {
    ...world,
    nodes: world.nodes.map((node, i) => ({
      ...node,
      status: { addresses: [{ type: 'InternalIP', address: addresses[i]! }] },
    })),
  };
}

const IPV6_FIRST = ['fd00:1::2', '10.1.0.2'];

/** Each probe of a plan as a line. */
const planned = (world: World) =>
  planProbes(world)
    .flatMap(({ stand, orders }) =>
      orders.map(({ vantage, from, target }) => {
        const where = stand.at === 'pod' ? stand.netns : stand.at;
        return `${vantage} in ${where} of ${from ?? 'nobody'} to ${target.address}:${target.port}`;
      }),
    )
    .sort();

describe('what is sent, and from where', () => {
  test.each<[string, World, string[]]>([
    [
      'every address of the node',
      worldWith({}),
      [
        'direct in node of n1 to 10.1.0.2:8080',
        'loopback in node of n1 to 127.0.0.1:80',
        'node in node of n1 to 172.17.0.2:80',
        'other-node in node of n2 to 172.17.0.2:80',
        'outside in outside of nobody to 172.17.0.2:80',
        'pod in /run/netns/pod of n1 to 172.17.0.2:80',
      ],
    ],
    [
      'one address: not by the loopback',
      worldWith({ hostIP: '172.17.0.9' }),
      [
        'direct in node of n1 to 10.1.0.2:8080',
        'node in node of n1 to 172.17.0.9:80',
        'other-node in node of n2 to 172.17.0.9:80',
        'outside in outside of nobody to 172.17.0.9:80',
        'pod in /run/netns/pod of n1 to 172.17.0.9:80',
      ],
    ],
    [
      'what is no address is asked by nobody',
      worldWith({ hostIP: 'example.org' }),
      ['direct in node of n1 to 10.1.0.2:8080'],
    ],
    [
      'what is no address of a pod is not asked, and of a node neither',
      addressed(worldWith({}, { sandbox: { ips: ['example.org', '999.1.1.1'] } }), [
        '999.1.1.1',
        '172.17.0.3',
      ]),
      [],
    ],
    [
      'the loopback: from its node only',
      worldWith({ hostIP: '127.0.0.1' }),
      ['direct in node of n1 to 10.1.0.2:8080', 'node in node of n1 to 127.0.0.1:80'],
    ],
    [
      'a single node, a namespace that is gone, no address yet',
      worldWith({}, { nodes: ['n1'], sandbox: { netnsExists: false, ips: [] }, podIPs: [] }),
      [
        'loopback in node of n1 to 127.0.0.1:80',
        'node in node of n1 to 172.17.0.2:80',
        'outside in outside of nobody to 172.17.0.2:80',
      ],
    ],
    [
      'both families, of a pod and a node that have both: each by its own addresses, and from a node that has one',
      dualStack(worldWith({}, { nodes: ['n1', 'n2', 'n3'], sandbox: { ips: ['10.1.0.2', 'fd00:1::2'] } })),
      [
        'direct in node of n1 to 10.1.0.2:8080',
        'direct in node of n1 to fd00:1::2:8080',
        'loopback in node of n1 to 127.0.0.1:80',
        'loopback in node of n1 to ::1:80',
        'node in node of n1 to 172.17.0.2:80',
        'node in node of n1 to fd00::1:80',
        'other-node in node of n2 to 172.17.0.2:80',
        'other-node in node of n3 to fd00::1:80',
        'outside in outside of nobody to 172.17.0.2:80',
        'outside in outside of nobody to fd00::1:80',
        'pod in /run/netns/pod of n1 to 172.17.0.2:80',
        'pod in /run/netns/pod of n1 to fd00::1:80',
      ],
    ],
    [
      'the one family that pod and node have in common, whichever the pod lists first, and from a node that has it',
      addressed(worldWith({}, { nodes: ['n1', 'n2', 'n3'], sandbox: { ips: [] }, podIPs: IPV6_FIRST }), [
        '172.17.0.2',
        'fd00::2',
        '172.17.0.4',
      ]),
      [
        'direct in node of n1 to 10.1.0.2:8080',
        'loopback in node of n1 to 127.0.0.1:80',
        'node in node of n1 to 172.17.0.2:80',
        'other-node in node of n3 to 172.17.0.2:80',
        'outside in outside of nobody to 172.17.0.2:80',
        'pod in /run/netns/pod of n1 to 172.17.0.2:80',
      ],
    ],
    [
      'one address: by the address of the pod of its family, and from a node that has it',
      dualStack(
        worldWith(
          { hostIP: 'fd00::1' },
          { nodes: ['n1', 'n2', 'n3'], sandbox: { ips: ['10.1.0.2', 'fd00:1::2'] } },
        ),
      ),
      [
        'direct in node of n1 to fd00:1::2:8080',
        'node in node of n1 to fd00::1:80',
        'other-node in node of n3 to fd00::1:80',
        'outside in outside of nobody to fd00::1:80',
        'pod in /run/netns/pod of n1 to fd00::1:80',
      ],
    ],
    [
      'one address of a family that the pod does not have: not past it',
      worldWith({ hostIP: '172.17.0.2' }, { nodes: ['n1'], sandbox: { ips: ['fd00:1::2'] } }),
      [
        'node in node of n1 to 172.17.0.2:80',
        'outside in outside of nobody to 172.17.0.2:80',
        'pod in /run/netns/pod of n1 to 172.17.0.2:80',
      ],
    ],
  ])('%s', (_, world, want) => expect(planned(world)).toEqual(want));
});

test('no sender is given more than it takes, however many ports a pod has', () => {
  const world = worldWith({});
  const ports = Array.from({ length: 12_000 }, (_, i) => ({ containerPort: 80, hostPort: i + 1 }));
  const [pod] = world.pods;
  const many = { ...world, pods: [{ ...pod!, spec: { ...pod!.spec, containers: [{ name: 'c', ports }] } }] };
  const batches = planProbes(many as World);
  const outside = batches.filter(({ stand }) => stand.at === 'outside');
  expect(outside.map(({ orders }) => orders.length)).toEqual([5000, 5000, 2000]);
  for (const { orders } of batches) {
    expect(probeJobSchema.safeParse({ place: { only: 'own-addresses' }, orders }).success).toBe(true);
  }
});

describe('who answered', () => {
  const flow = (change: Partial<Flow> = {}): Flow => ({
    protocol: 'tcp',
    source: '172.17.0.1',
    sourcePort: 4000,
    destination: '172.17.0.2',
    destinationPort: 80,
    replySource: '10.1.0.7',
    replySourcePort: 8080,
    replyDestination: '172.17.0.2',
    replyDestinationPort: 4000,
    unreplied: false,
    ...change,
  });

  type Send = (stand: Stand, orders: readonly ProbeOrder[]) => Promise<ProbeResult[]>;
  const answered: Send = async (_, orders) =>
    orders.map((order) => ({
      ...order,
      outcome: 'answered',
      detail: '',
      milliseconds: 1,
      sourcePort: 4000,
    }));
  /** As a node does batches: what fails is unknown, and does not affect the others. */
  const batched =
    (send: Send): ProbeDoor['send'] =>
    (batches) =>
      Promise.all(
        batches.map(({ stand, orders }) =>
          send(stand, orders).then(
            (value) => ({ value }),
            (cause: Error) => ({ unknown: cause.message }),
          ),
        ),
      );
  const door = (flows: ProbeDoor['flows'], send: Send = answered): ProbeDoor => ({
    send: batched(send),
    flows,
    reversePathDrops: async () => undefined,
  });
  const outside = async (flows: ProbeDoor['flows']) =>
    (await probeWorld(worldWith({}), door(flows))).find(({ vantage }) => vantage === 'outside')!;

  test('is found in the connection tracking of the target node, by the port of the probe', async () => {
    const asked: string[] = [];
    const result = await outside(async (node) => {
      asked.push(node);
      return [flow({ sourcePort: 4001, replySource: '10.1.0.8' }), flow()];
    });
    expect(asked).toEqual(['n1']);
    expect(result).toMatchObject({
      answeredBy: { address: '10.1.0.7', port: 8080 },
      seenSource: '172.17.0.2',
    });
  });

  test.each<[string, ProbeDoor['flows']]>([
    ['of another protocol', async () => [flow({ protocol: 'udp' })]],
    ['to another port', async () => [flow({ destinationPort: 81 })]],
    ['when it cannot be asked', () => Promise.reject(new Error('no conntrack'))],
  ])('is not known by a flow %s', async (_, flows) => {
    const result = await outside(flows);
    expect(result.outcome).toBe('answered');
    expect(result.answeredBy).toBeUndefined();
  });

  test('is found by its source when another client had the same port; when that is ambiguous, it is not known', async () => {
    const old = flow({ source: '172.17.0.3', replySource: '10.1.0.9', replyDestination: '172.17.0.9' });
    const result = await outside(async () => [old, flow()]);
    expect(result.answeredBy).toEqual({ address: '10.1.0.7', port: 8080 });
    expect(result.seenSource).toBe('172.17.0.2');
    const both = await outside(async () => [flow({ source: '172.17.0.250' }), flow()]);
    expect(both.untold).toBe('2 connections have its port 4000');
    expect(both.answeredBy).toBeUndefined();
  });

  test('is reported as unknown when connection tracking cannot be read; a missing flow is another matter', async () => {
    const unread = await outside(() => Promise.reject(new Error('no conntrack')));
    expect([unread.tracked, unread.untold]).toEqual([undefined, 'no conntrack']);
    expect((await outside(async () => [])).tracked).toBe(false);
    expect((await outside(async () => [flow()])).tracked).toBe(true);
  });

  test.each<[string, (number | undefined)[], number | undefined]>([
    ['both times', [5, 9], 4],
    ['once only', [5, undefined], undefined],
  ])(
    'drops of the reverse path filter during silent probes are reported, when they are read %s',
    async (_, counters, rise) => {
      const silent = door(
        async () => [],
        async (_, orders) =>
          orders.map((order) => {
            const outcome = order.vantage === 'outside' ? 'timeout' : 'answered';
            return { ...order, outcome, detail: '', milliseconds: 1 };
          }),
      );
      const read = [...counters];
      const results = await probeWorld(worldWith({}), {
        ...silent,
        reversePathDrops: async () => read.shift(),
      });
      expect(new Map(results.map(({ vantage, reversePathDrops }) => [vantage, reversePathDrops]))).toEqual(
        new Map([
          ...results.map(({ vantage }) => [vantage, vantage === 'outside' ? rise : undefined] as const),
        ]),
      );
    },
  );

  test('a place that nothing can be sent from leaves its probes unknown, and no others', async () => {
    const working = door(async () => []);
    const results = await probeWorld(worldWith({}), {
      ...working,
      send: batched((stand, orders) =>
        stand.at === 'pod' ? Promise.reject(new Error('gone')) : answered(stand, orders),
      ),
    });
    expect(results.filter(({ outcome }) => outcome !== 'answered')).toEqual([
      expect.objectContaining({ vantage: 'pod', outcome: 'unknown', detail: 'gone' }),
    ]);
  });

  test('a node on which sending hangs until its deadline costs one deadline, and the other nodes nothing', async () => {
    const world = worldWith({});
    const [pod] = world.pods;
    // More than one request takes.
    const ports = Array.from({ length: 12_000 }, (_, i) => ({ containerPort: 80, hostPort: i + 1 }));
    const pods = [{ ...pod!, spec: { ...pod!.spec!, containers: [{ name: 'c', ports }] } }];
    const working = door(async () => []);
    const elsewhere = Promise.withResolvers<void>();
    const left = new Set(['n2', 'outside']);
    let hanging = 0;
    const results = await probeWorld({ ...world, pods } as World, {
      ...working,
      async send(batches) {
        const { stand } = batches[0]!;
        const place = stand.at === 'outside' ? stand.at : stand.node;
        if (place === 'n1') {
          hanging++;
          // As long as somebody else has not been asked, nothing ends here.
          await elsewhere.promise;
          throw new DeadlineError(['probe'], { code: 137, stdout: '', stderr: '' }, 'no answer');
        }
        left.delete(place);
        if (left.size === 0) elsewhere.resolve();
        return working.send(batches);
      },
    });
    expect(hanging).toBe(1);
    const own = results.filter(({ from }) => from === 'n1');
    expect(new Set(own.map(({ outcome }) => outcome))).toEqual(new Set(['unknown']));
    expect(own[0]!.detail).toBe('probe: no answer');
    expect(own.at(-1)!.detail).toBe('not sent: what was sent from n1 before hung until its deadline');
    const others = results.filter(({ from }) => from !== 'n1');
    expect(new Set(others.map(({ outcome }) => outcome))).toEqual(new Set(['answered']));
  });

  test('a place of which nothing is known leaves its probes unknown, and no others', async () => {
    const working = door(async () => []);
    const results = await probeWorld(worldWith({}), {
      ...working,
      send: (batches) =>
        batches[0]!.stand.at === 'outside' ? Promise.reject(new Error('gone')) : working.send(batches),
    });
    expect(results.filter(({ outcome }) => outcome !== 'answered')).toEqual([
      expect.objectContaining({ vantage: 'outside', detail: 'gone' }),
    ]);
  });

  test('few places are sent from at a time, and results come in the order of the plan', async () => {
    const nodes = Array.from({ length: 20 }, (_, i) => `n${i}`);
    const world = worldWith({}, { nodes });
    const [pod] = world.pods;
    const pods = nodes.map((nodeName, i) => ({
      ...pod!,
      metadata: { ...pod!.metadata, uid: `u${i}` },
      spec: { ...pod!.spec!, nodeName },
    }));
    let now = 0;
    let most = 0;
    const results = await probeWorld(
      { ...world, pods },
      {
        ...door(async () => []),
        async send(batches) {
          most = Math.max(most, ++now);
          for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
          now--;
          return batched(answered)(batches);
        },
      },
    );
    const orders = planProbes({ ...world, pods }).flatMap((batch) => batch.orders);
    expect(results.map(({ vantage, node }) => [vantage, node])).toEqual(
      orders.map(({ vantage, node }) => [vantage, node]),
    );
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThan(10);
  });

  test('being cancelled is no observation', async () => {
    const abort = new AbortController();
    const cancelled = door(
      async () => [],
      async () => {
        abort.abort(new Error('interrupted'));
        throw new Error('killed');
      },
    );
    await expect(probeWorld(worldWith({}), cancelled, abort.signal)).rejects.toThrow('interrupted');
  });
});
