import { beforeEach, expect, test } from 'bun:test';
import { namespaces, pods } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { needsOf } from '../../node/apply/needs.ts';
import type { NodeAction } from '../../path/model/action.ts';
import { FakeCluster, quietOptions } from './cluster.fake.ts';
import { type CollectOptions, type Readers, withReaders } from './collect.ts';
import { ENDS_ANNOTATION } from './manifests.ts';

const CONF: NodeAction = { do: 'write-file', path: '/etc/cni/net.d/a', content: '' };
const FLOW: NodeAction = { do: 'set-sysctl', name: 'net.ipv4.ip_forward', value: '1' };

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
});

function change<T>(use: (readers: Readers) => Promise<T>, given: Partial<CollectOptions> = {}): Promise<T> {
  const options: CollectOptions = quietOptions({ changes: { lastMs: 0 }, ...given });
  return withReaders(cluster, options, (_, readers) => use(readers!), cluster.open);
}

const apply = (readers: Readers, action: NodeAction, node = 'n1') =>
  readers.change(node, needsOf([action]), { do: 'apply', actions: [action] }, 1000);

async function expectNothingLeft(): Promise<void> {
  expect((await cluster.list(pods)).items).toEqual([]);
  expect((await cluster.list(namespaces)).items).toEqual([]);
}

test('a change is made in a pod with what it needs, and no other pod may write', async () => {
  await cluster.addNode('n1');
  cluster.links.set('/etc/cni/net.d', '/var/snap/net.d');
  await change((readers) => apply(readers, CONF));
  const [pod] = cluster.writers;
  expect(cluster.applied).toEqual([{ node: 'n1', pod: pod!.metadata!.name!, actions: [CONF] }]);
  const [container] = pod!.spec!.containers;
  expect(container!.securityContext).toEqual({
    privileged: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'], add: ['DAC_OVERRIDE', 'DAC_READ_SEARCH', 'SYS_CHROOT'] },
  });
  const writable = container!.volumeMounts!.filter(({ readOnly }) => readOnly !== true);
  const paths = new Map(pod!.spec!.volumes!.map(({ name, hostPath }) => [name, hostPath?.path]));
  expect(writable.map(({ name, mountPath }) => [paths.get(name), mountPath])).toEqual([
    ['/var/snap/net.d', '/host/var/snap/net.d'],
    ['/var/lib/hostport', '/host/var/lib/hostport'],
  ]);
  const readers = cluster.requests.flatMap(({ body }) => {
    const { kind, metadata, spec } = (body ?? {}) as Pod;
    return kind === undefined && metadata?.name?.startsWith('doctor-') ? (spec?.containers ?? []) : [];
  });
  expect(readers.flatMap(({ volumeMounts = [] }) => volumeMounts).every(({ readOnly }) => readOnly)).toBe(
    true,
  );
  await expectNothingLeft();
});

test('a pod is used again as long as it has what is needed, and replaced by one that has more', async () => {
  await cluster.addNode('n1');
  await change(async (readers) => {
    await readers.prepare('n1', needsOf([CONF]));
    await apply(readers, CONF);
    await apply(readers, CONF);
    await apply(readers, FLOW);
  });
  const names = cluster.writers.map(({ metadata }) => metadata!.name!.split('-')[0]);
  expect(names).toEqual(['heal1', 'heal2']);
  expect(new Set(cluster.applied.map(({ pod }) => pod)).size).toBe(2);
  await expectNothingLeft();
});

test('only the nodes that are asked for are examined, and an agent is not used', async () => {
  for (const name of ['n1', 'n2']) await cluster.addNode(name);
  await change(
    async (readers) => {
      const world = await readers.observe();
      expect(world.reports.get('n2')).toEqual({
        unknown: 'not examined: another node was asked for',
      });
      await expect(apply(readers, CONF, 'n2')).rejects.toThrow('nothing is asked of n2');
    },
    { nodes: new Set(['n1']) },
  );
  // Looking twice opens no second session.
  expect(cluster.opened).toEqual(['own-image n1']);
  await expectNothingLeft();
});

test('a change whose connection breaks is not asked for again, and all is removed', async () => {
  await cluster.addNode('n1');
  let asked = 0;
  cluster.answering = (_, request) => {
    if (request.do !== 'apply') return;
    asked++;
    throw new Error('connection broke');
  };
  await expect(change((readers) => apply(readers, CONF))).rejects.toThrow('connection broke');
  expect(asked).toBe(1);
  await expectNothingLeft();
});

test('after a connection that broke, the next change has a pod of its own', async () => {
  await cluster.addNode('n1');
  let breaks = true;
  cluster.answering = (_, request) => {
    if (request.do !== 'apply' || !breaks) return;
    breaks = false;
    throw new Error('connection broke');
  };
  await change(async (readers) => {
    await expect(apply(readers, CONF)).rejects.toThrow('connection broke');
    await apply(readers, CONF);
  });
  expect(cluster.applied.map(({ pod }) => pod.split('-')[0])).toEqual(['heal2']);
  await expectNothingLeft();
});

test('a change that has begun is finished before an interruption removes its pod', async () => {
  await cluster.addNode('n1');
  const stop = new AbortController();
  cluster.answering = (_, request) => {
    if (request.do === 'apply') stop.abort(new Error('interrupted'));
  };
  const work = change(
    async (readers) => {
      const answer = await apply(readers, CONF);
      await expect(apply(readers, CONF)).rejects.toThrow('interrupted');
      return answer;
    },
    { signal: stop.signal },
  );
  expect(await work).toMatchObject([{ outcome: 'done' }]);
  expect(cluster.applied).toHaveLength(1);
  await expectNothingLeft();
});

test('all is removed when it is interrupted while a pod starts', async () => {
  await cluster.addNode('n1');
  const stop = new AbortController();
  const work = change(
    async (readers) => {
      // From now on pods do not start.
      cluster.kubelets.set('n1', 'silent');
      const changed = apply(readers, CONF);
      setTimeout(() => stop.abort(new Error('interrupted')));
      await changed;
    },
    { signal: stop.signal },
  );
  await expect(work).rejects.toThrow('interrupted');
  await expectNothingLeft();
});

test('plugins are sent only to pods whose changes need them', async () => {
  await cluster.addNode('n1');
  await change(
    async (readers) => {
      await apply(readers, CONF);
      await apply(readers, { do: 'install-plugin', name: 'portmap', directory: '/etc/cni/net.d' });
      await apply(readers, CONF);
    },
    { program: '/a/program' },
  );
  expect(cluster.opened).toEqual(['sent n1', 'sent n1', 'sent-with-plugins n1']);
  await expectNothingLeft();
});

test('pods live as long as changes may take, each from its own creation, and the namespace longer', async () => {
  await cluster.addNode('n1');
  const lastMs = 1_000_000;
  const before = Date.now();
  await change((readers) => apply(readers, CONF), { changes: { lastMs } });
  const created = cluster.requests
    .filter(({ method, path }) => method === 'POST' && /\/(pods|namespaces)$/.test(path))
    .map(({ body }) => body as Pod);
  const ends = created.map(({ metadata }) => Date.parse(metadata!.annotations![ENDS_ANNOTATION]!));
  const [space, ...ofPods] = ends;
  const lives = created.slice(1).map(({ spec }) => spec!.activeDeadlineSeconds! * 1000);
  expect(lives).toHaveLength(2);
  for (const [i, life] of lives.entries()) {
    expect(life).toBeGreaterThan(lastMs);
    expect(ofPods[i]).toBeGreaterThanOrEqual(before + life);
    // One that is created when the first ends.
    expect(space).toBeGreaterThanOrEqual(before + 2 * life);
  }
});

test.each([
  ['full', 'OutOfpods'],
  ['cannot-pull', 'ImagePullBackOff'],
] as const)(
  'a pod that does not start (%s) is looked at again, is ours, and is removed',
  async (kubelet, why) => {
    await cluster.addNode('n1', kubelet);
    await cluster.create(namespaces, { metadata: { name: 'work' } });
    await change(
      async (readers) => {
        for (let i = 0; i < 2; i++) {
          const report = (await readers.observe()).reports.get('n1');
          expect(report).toEqual({ unknown: expect.stringContaining(why) });
        }
      },
      { workNamespace: 'work', timeoutMs: 100 },
    );
    expect((await cluster.list(pods)).items).toEqual([]);
  },
);
