import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeRuntime } from '../../cri/runtime.fake.ts';
import { FakeApi } from '../../kube/client.fake.ts';
import { nodes, pods } from '../../kube/resources.ts';
import type { Node, Pod } from '../../kube/types.ts';
import { realClock } from '../../sys/clock.ts';
import { waitFor } from '../../sys/wait.ts';
import { Kubelet } from './kubelet.ts';
import { readMachine } from './node-status.ts';

const NAME = 'node-1';
const IMAGE = 'registry.test/app:1';
/** Far less than the five minutes after which a node's status is written anyway. */
const SOON_MS = 3_000;

/** A kubelet on a runtime and an API in memory. */
describe('a kubelet and its Node', () => {
  let directory: string;
  let api: FakeApi;
  let runtime: FakeRuntime;
  let running: Promise<void>;
  let kubelet: Kubelet;
  const lines: string[] = [];

  function start(): void {
    runtime = new FakeRuntime();
    const image = {
      id: 'sha256:1',
      repoTags: [IMAGE],
      repoDigests: [],
      size: 1,
      uid: undefined,
      username: '',
    };
    runtime.images.set(IMAGE, image);
    kubelet = new Kubelet({
      client: api,
      runtime,
      clock: realClock,
      mounts: { tmpfs: async () => {}, unmountUnder: async () => {} },
      identity: { name: NAME, ip: '172.17.0.2', labels: { disk: 'ssd' }, taints: [] },
      machine: readMachine({}),
      directories: {
        root: join(directory, 'kubelet'),
        podLogs: join(directory, 'log/pods'),
        containerLogs: join(directory, 'log/containers'),
      },
      dns: { servers: [], domain: 'cluster.local' },
      kubeletPort: 10250,
      cniDirectory: directory,
      log: (line) => lines.push(line),
    });
    running = kubelet.run();
  }

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'hostport-node-watch-'));
    lines.length = 0;
    api = new FakeApi();
  });
  afterEach(async () => {
    await kubelet.stop();
    api.disconnect();
    await running;
    rmSync(directory, { recursive: true });
  });

  const label = (labels: Record<string, string | null>) =>
    api.patch(nodes, NAME, undefined, 'merge', { metadata: { labels } });
  const taint = (taints: { key: string; effect: string }[]) =>
    api.patch(nodes, NAME, undefined, 'merge', { spec: { taints } });
  const ready = async () =>
    (await api.get(nodes, NAME)).status?.conditions?.find(({ type }) => type === 'Ready');
  const soon = (what: string, holds: () => Promise<boolean>) =>
    waitFor(what, () => holds().catch(() => false), {
      timeoutMs: SOON_MS,
      describe: () => lines.slice(-5).join('\n'),
    });
  const isReady = () => soon('the node to be Ready', async () => (await ready())?.status === 'True');

  async function create(name: string, nodeSelector: Record<string, string> = {}): Promise<void> {
    await api.create(pods, {
      metadata: { name, namespace: 'default' },
      spec: {
        nodeName: NAME,
        nodeSelector,
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'main', image: IMAGE, imagePullPolicy: 'Never', command: ['sleep', '1000'] }],
      },
    });
  }

  /** What becomes of a pod: `Running`, or why it was refused. */
  async function outcome(name: string): Promise<string> {
    const pod = (await waitFor(
      `pod ${name} to run or to be refused`,
      async () => {
        const found = await api.get(pods, name, 'default');
        return found.status?.phase === 'Running' || found.status?.phase === 'Failed' ? found : undefined;
      },
      { timeoutMs: SOON_MS, describe: () => lines.slice(-5).join('\n') },
    )) as Pod;
    return pod.status?.phase === 'Running' ? 'Running' : pod.status!.reason!;
  }

  test('a pod can select a label as soon as it is set, and no longer once it is removed', async () => {
    start();
    await isReady();
    await label({ zone: 'here' });
    await create('labelled', { zone: 'here' });
    expect(await outcome('labelled')).toBe('Running');
    await label({ zone: null });
    await soon('the label to be gone', async () => kubelet.node.metadata?.labels?.zone === undefined);
    await create('too-late', { zone: 'here' });
    expect(await outcome('too-late')).toBe('NodeAffinity');
  });

  test('a taint that was set or removed a moment ago counts at once', async () => {
    start();
    await isReady();
    await taint([{ key: 'k', effect: 'NoExecute' }]);
    await soon('the taint to be seen', async () => kubelet.node.spec?.taints?.length === 1);
    await create('tainted');
    expect(await outcome('tainted')).toBe('TaintToleration');
    await taint([]);
    await create('untainted');
    expect(await outcome('untainted')).toBe('Running');
  });

  test('a pod is not refused for a Node that the watch is late with: it is read before that', async () => {
    start();
    await isReady();
    // The watch ends, and cannot begin again.
    api.intercept = ({ method, path }) => {
      if (method === 'GET' && /\/nodes\?/.test(path)) throw new Error('no watch of nodes');
    };
    api.disconnect();
    await label({ zone: 'here' });
    await create('labelled', { zone: 'here' });
    expect(await outcome('labelled')).toBe('Running');
    expect(kubelet.node.metadata?.labels?.zone).toBeUndefined();
    await create('elsewhere', { zone: 'there' });
    expect(await outcome('elsewhere')).toBe('NodeAffinity');
  });

  test('a pod that is deleted while its Node is read leaves at once', async () => {
    start();
    await isReady();
    const reading = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    api.intercept = async ({ method, path }) => {
      if (method !== 'GET' || !path.endsWith(`/nodes/${NAME}`)) return;
      reading.resolve();
      await answer.promise;
    };
    await create('brief', { zone: 'there' });
    await reading.promise;
    await api.delete(pods, 'brief', 'default', { gracePeriodSeconds: 0 });
    await create('after');
    expect(await outcome('after')).toBe('Running');
    answer.resolve();
    await soon('nothing of it to be left', async () => kubelet.pods().length === 1);
    expect(lines.filter((line) => line.includes('brief'))).toEqual([]);
  });

  test('labels are seen again after the connection was lost', async () => {
    start();
    await isReady();
    api.disconnect();
    await label({ zone: 'here' });
    await soon('the label to be seen', async () => kubelet.node.metadata?.labels?.zone === 'here');
  });

  test('no pod is judged before the Node was read', async () => {
    await api.create(nodes, { metadata: { name: NAME, labels: { zone: 'here' } } });
    await create('early', { zone: 'here' });
    let isAway = true;
    api.intercept = ({ method, path }) => {
      if (isAway && method === 'GET' && /\/nodes(\?|$)/.test(path)) throw new Error('no list of nodes');
    };
    start();
    await isReady();
    expect((await api.get(pods, 'early', 'default')).status?.phase).toBeUndefined();
    expect(kubelet.pods()).toEqual([]);
    isAway = false;
    expect(await outcome('early')).toBe('Running');
  });

  test("a condition of the kubelet's that somebody else changed is corrected at once, and others' conditions stay", async () => {
    start();
    await isReady();
    const others = { type: 'NetworkUnavailable', status: 'False', reason: 'RouteCreated', message: 'routes' };
    const { conditions = [] } = (await api.get(nodes, NAME)).status!;
    const lost = conditions.map((one) =>
      one.type === 'Ready' ? { ...one, status: 'Unknown', reason: 'NodeStatusUnknown' } : one,
    );
    await api.patch(nodes, NAME, undefined, 'merge', { status: { conditions: [...lost, others] } }, 'status');
    expect((await ready())?.status).toBe('Unknown');
    await isReady();
    expect((await api.get(nodes, NAME)).status?.conditions).toContainEqual(others);
  });

  test('a Node that was deleted is not registered again, as with upstream; one that somebody creates gets its status', async () => {
    start();
    await isReady();
    await api.delete(nodes, NAME);
    await soon('the deletion to be seen', async () =>
      lines.some((line) => line.includes(`node ${NAME} was deleted`)),
    );
    const since = api.requests.length;
    // What the kubelet would say of its Node changes twice, and still it writes none.
    for (const [networkReady, line] of [
      [false, 'cni plugin not initialized'],
      [true, 'container runtime network is ready'],
    ] as const) {
      const seen = lines.length;
      runtime.networkReady = networkReady;
      await waitFor(`"${line}"`, () => lines.slice(seen).some((text) => text.includes(line)), {
        timeoutMs: 10_000,
      });
    }
    const written = api.requests
      .slice(since)
      .filter(({ method, path }) => method !== 'GET' && /\/nodes/.test(path));
    expect(written).toEqual([]);
    // What it would register is what pods are judged by.
    expect(kubelet.node.metadata?.labels?.disk).toBe('ssd');
    await api.create(nodes, { metadata: { name: NAME } } as Node);
    await isReady();
  }, 20_000);

  test('is stopped although the API never answers', async () => {
    api.intercept = () => {
      throw new Error('nobody there');
    };
    start();
    await soon('it to ask', async () => lines.some((line) => line.includes('not watched')));
    await kubelet.stop();
    await running;
  });
});
