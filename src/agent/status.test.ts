import { beforeEach, describe, expect, test } from 'bun:test';
import { FakeCluster } from '../collect/reader/cluster.fake.ts';
import { daemonSets, events, pods } from '../kube/resources.ts';
import type { DaemonSet, Pod, PodStatus } from '../kube/types.ts';
import { type AgentSettings, agentObjects } from './manifests.ts';
import type { AgentState } from './state.ts';
import { agentStatus, installedAgent } from './status.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const retry = { signal: new AbortController().signal, patienceMs: 0 };
const SETTINGS: AgentSettings = {
  mode: 'heal',
  namespace: 'agents',
  image: 'example/agent:1',
  imagePullSecrets: [],
  version: '1',
  confDir: '/etc/cni/net.d',
  binDirs: ['/opt/cni/bin'],
  metricsPort: 9797,
};
const state = (node: string, change: Partial<AgentState> = {}): AgentState => ({
  version: '1',
  mode: 'heal',
  node,
  lookedAt: new Date(NOW - 5000).toISOString(),
  broken: 0,
  risks: 0,
  ...change,
});

let cluster: FakeCluster;
/** What each pod answers; an error is what asking it comes to. */
let answers: Map<string, AgentState | Error>;
beforeEach(() => {
  cluster = new FakeCluster();
  answers = new Map();
});

async function install(settings = SETTINGS): Promise<DaemonSet> {
  for (const { resource, object } of agentObjects(settings)) await cluster.create(resource, object);
  return cluster.get(daemonSets, 'hostport-agent', settings.namespace);
}

const RUNNING: PodStatus = {
  phase: 'Running',
  conditions: [{ type: 'Ready', status: 'True' }],
  containerStatuses: [
    {
      ...{ name: 'agent', image: '', imageID: '', ready: true, restartCount: 0 },
      state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
    },
  ],
};

/** The pod of a node, as the DaemonSet creates it; `change` makes it another. */
async function run(
  node: string,
  set: DaemonSet,
  status: PodStatus = RUNNING,
  change: (pod: Pod) => void = () => {},
): Promise<void> {
  const { template } = structuredClone(set.spec!);
  const owner = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'hostport-agent', uid: set.metadata!.uid! };
  const pod: Pod = {
    metadata: {
      ...template.metadata,
      name: `agent-${node}`,
      namespace: 'agents',
      ownerReferences: [{ ...owner, controller: true }],
    },
    spec: { ...template.spec!, nodeName: node },
  };
  change(pod);
  await cluster.create(pods, pod);
  const made = await cluster.get(pods, `agent-${node}`, 'agents');
  await cluster.update(pods, { ...made, status }, 'status');
  answers.set(`agent-${node}`, state(node));
}

const look = () =>
  agentStatus(cluster, retry, {
    now: () => NOW,
    ask: async (_, __, pod) => {
      const answer = answers.get(pod);
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error(`nobody asks ${pod}`);
      return answer;
    },
  });
const shown = async () => (await look())?.nodes.map(({ node, is, why }) => [node, is, why]);

test('an agent that is not installed is not there, whatever has its label', async () => {
  await cluster.addNode('a');
  expect(await look()).toBeUndefined();
  expect(await installedAgent(cluster, retry)).toBeUndefined();
});

test('where and as what it is installed is found without its namespace', async () => {
  await install();
  const expected = { namespace: 'agents', image: 'example/agent:1', mode: 'heal' } as const;
  expect(await installedAgent(cluster, retry)).toMatchObject(expected);
  expect(await look()).toEqual({ ...expected, nodes: [] });
});

test('an agent that has glanced since its last look is running', async () => {
  const set = await install();
  await cluster.addNode('a');
  await run('a', set);
  const at = (ms: number) => new Date(NOW - ms).toISOString();
  answers.set('agent-a', state('a', { lookedAt: at(250_000), checkedAt: at(10_000) }));
  expect(await shown()).toEqual([['a', 'running', undefined]]);
});

test('each Linux node has a line, in the order of their names', async () => {
  const set = await install();
  for (const node of ['c', 'a']) {
    await cluster.addNode(node);
    await run(node, set);
  }
  await cluster.addNode('windows', 'silent', { nodeInfo: { operatingSystem: 'windows' } } as never);
  expect(await look()).toMatchObject({
    nodes: [
      { node: 'a', is: 'running', pod: 'agent-a', state: { mode: 'heal' } },
      { node: 'c', is: 'running', pod: 'agent-c' },
    ],
  });
});

const waiting = (reason: string, message: string): PodStatus => ({
  phase: 'Pending',
  containerStatuses: [
    {
      ...{ name: 'agent', image: '', imageID: '', ready: false, restartCount: 3 },
      state: { waiting: { reason, message } },
      lastState: { terminated: { exitCode: 1, message: 'error: port 9797 is in use\n' } },
    },
  ],
});

describe('what does not run is named with why', () => {
  const CASES: [what: string, status: PodStatus, answer: AgentState | Error, is: string, why: RegExp][] = [
    [
      'a container that ends again and again, by its last words',
      waiting('CrashLoopBackOff', 'back-off 10s'),
      state('a'),
      'failing',
      /CrashLoopBackOff: back-off 10s: error: port 9797 is in use$/,
    ],
    [
      'a look that failed',
      RUNNING,
      state('a', { failure: 'no runtime' }),
      'failing',
      /its last look failed: no runtime/,
    ],
    [
      'no look yet',
      RUNNING,
      { version: '1', mode: 'heal', node: 'a' },
      'failing',
      /it has not looked yet: it waits for the API/,
    ],
    [
      'an old check',
      RUNNING,
      state('a', { checkedAt: new Date(NOW - 600_000).toISOString() }),
      'failing',
      /its last check is 600 s old/,
    ],
    [
      'an old look of an agent that reports no checks',
      RUNNING,
      state('a', { lookedAt: new Date(NOW - 600_000).toISOString() }),
      'failing',
      /its last check is 600 s old/,
    ],
    [
      'a kubelet that does not reach it',
      { ...RUNNING, conditions: [] },
      state('a'),
      'failing',
      /its kubelet does not reach it/,
    ],
    [
      'one that ended before it could be asked',
      {
        ...RUNNING,
        containerStatuses: [
          {
            ...RUNNING.containerStatuses![0]!,
            lastState: { terminated: { exitCode: 1, message: 'error: port 9797 is in use\n' } },
          },
        ],
      },
      new Error('container not found'),
      'failing',
      /^it was restarted, after it ended with: error: port 9797 is in use; cannot ask it: container not found$/,
    ],
    ['one that cannot be asked', RUNNING, new Error('exec failed'), 'unknown', /cannot ask it: exec failed/],
  ];
  test.each(CASES)('%s', async (_, status, answer, is, why) => {
    await cluster.addNode('a');
    await run('a', await install(), status);
    answers.set('agent-a', answer);
    expect(await shown()).toEqual([['a', is, expect.stringMatching(why)]]);
  });

  test('a pod of an earlier installation', async () => {
    const set = await install();
    await cluster.addNode('a');
    await cluster.addNode('b');
    await run('a', set, RUNNING, ({ spec }) => {
      spec!.containers[0]!.image = 'example/agent:0';
    });
    await run('b', set, RUNNING, ({ metadata }) => {
      metadata!.labels!['hostport.dev/agent-mode'] = 'observe';
    });
    expect(await shown()).toEqual([
      ['a', 'outdated', 'it is of an earlier installation'],
      ['b', 'outdated', 'it is of an earlier installation'],
    ]);
  });

  test('a node without a pod, by what the controller says', async () => {
    const { metadata } = await install();
    await cluster.addNode('a');
    await cluster.addNode('dead', 'silent', { conditions: [{ type: 'Ready', status: 'Unknown' }] });
    expect(await shown()).toEqual([
      ['a', 'missing', 'it has no pod'],
      ['dead', 'missing', 'it has no pod, and its kubelet does not report'],
    ]);
    const about = (uid: string | undefined, message: string, lastTimestamp: string) => ({
      metadata: { namespace: 'agents', generateName: 'e' },
      involvedObject: { kind: 'DaemonSet', name: 'hostport-agent', uid: uid! },
      ...{ reason: 'FailedCreate', message, lastTimestamp },
    });
    await cluster.create(
      events,
      about(metadata!.uid, 'violates PodSecurity', '2026-01-01T00:00:02Z') as never,
    );
    await cluster.create(events, about(metadata!.uid, 'exceeded quota', '2026-01-01T00:00:01Z') as never);
    await cluster.create(events, about('another', 'something else', '2026-01-01T00:00:03Z') as never);
    expect((await shown())?.[0]).toEqual(['a', 'missing', 'it has no pod: violates PodSecurity']);
  });

  test('agents that may not be asked', async () => {
    await cluster.addNode('a');
    await run('a', await install());
    cluster.denied.add('create pods/exec');
    expect(await shown()).toEqual([['a', 'unknown', 'you may not create pods/exec in namespace agents']]);
  });

  test('a pod of somebody else is not an agent', async () => {
    await cluster.addNode('a');
    await run('a', await install(), RUNNING, ({ metadata }) => delete metadata!.ownerReferences);
    expect(await shown()).toEqual([['a', 'missing', 'it has no pod']]);
  });
});
