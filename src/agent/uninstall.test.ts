import { beforeEach, describe, expect, test } from 'bun:test';
import { FakeCluster } from '../collect/reader/cluster.fake.ts';
import { ApiError } from '../kube/client.ts';
import { clusterRoleBindings, pods } from '../kube/resources.ts';
import type { Pod } from '../kube/types.ts';
import { InputError } from '../util/errors.ts';
import { type AgentSettings, agentObjects } from './manifests.ts';
import { readObject } from './objects.ts';
import { uninstallAgent } from './uninstall.ts';

const DEFAULTS: AgentSettings = {
  mode: 'heal',
  namespace: 'kube-system',
  image: 'example/agent:1',
  imagePullSecrets: [],
  version: '1',
  confDir: '/etc/cni/net.d',
  binDirs: ['/opt/cni/bin'],
  metricsPort: 9797,
};
const OBJECTS = agentObjects({ ...DEFAULTS, namespace: 'agents' });
const retry = { signal: new AbortController().signal, patienceMs: 0 };

/** A cluster that answers so many deletions, and no more. */
class Failing extends FakeCluster {
  deletions = Number.POSITIVE_INFINITY;

  override async fetch(...request: Parameters<FakeCluster['fetch']>): Promise<Response> {
    const [method, path] = request;
    if (method === 'DELETE' && this.deletions-- <= 0)
      throw new ApiError(method, path, 403, { message: 'no more', reason: 'Forbidden' });
    return super.fetch(...request);
  }
}

let cluster: Failing;
beforeEach(async () => {
  cluster = new Failing();
  for (const { resource, object } of OBJECTS) await cluster.create(resource, object);
});

const uninstall = (namespace?: string) =>
  uninstallAgent(cluster, DEFAULTS, {
    timeoutMs: 0,
    retry,
    ...(namespace !== undefined && { namespace }),
  });

async function present(): Promise<string[]> {
  const found = await Promise.all(OBJECTS.map((each) => readObject(cluster, each, retry)));
  return OBJECTS.filter((_, i) => found[i] !== undefined).map(({ resource }) => resource.kind);
}

test.each([0, 1, 2, 3])('after %d deletions it can be interrupted, and run again', async (deletions) => {
  cluster.deletions = deletions;
  await expect(uninstall()).rejects.toThrow('no more');
  expect(await present()).toHaveLength(OBJECTS.length - deletions);
  cluster.deletions = Number.POSITIVE_INFINITY;
  expect((await uninstall()).removed).toHaveLength(OBJECTS.length - deletions);
  expect(await present()).toEqual([]);
});

test('its pods are waited for, also where the DaemonSet is gone', async () => {
  const owner = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'hostport-agent', uid: '1' };
  const pod = (name: string, ownerReferences: object[]): Pod =>
    ({
      metadata: {
        name,
        namespace: 'agents',
        labels: { 'app.kubernetes.io/name': 'hostport-agent' },
        ownerReferences,
      },
      spec: { serviceAccountName: 'hostport-agent', nodeName: 'a', containers: [] },
    }) as Pod;
  await cluster.create(pods, pod('own', [{ ...owner, controller: true }]));
  await cluster.create(pods, pod('other', []));
  cluster.deletions = 1;
  await expect(uninstall()).rejects.toThrow('no more');
  cluster.deletions = Number.POSITIVE_INFINITY;
  expect((await uninstall()).left).toEqual(['pod own on a: its kubelet has not ended it']);
});

describe('rights', () => {
  test('are checked before the binding is asked for', async () => {
    cluster.denied.add('get clusterrolebindings');
    cluster.requests.length = 0;
    const refused = uninstall();
    await expect(refused).rejects.toThrow(InputError);
    await expect(refused).rejects.toThrow('you may not get clusterrolebindings');
    expect(cluster.requests.filter(({ path }) => path.includes('/clusterrolebindings'))).toEqual([]);
  });

  test('are checked before anything is removed', async () => {
    cluster.denied.add('list pods');
    await expect(uninstall()).rejects.toThrow('list pods in namespace agents');
    expect(await present()).toHaveLength(OBJECTS.length);
  });
});

describe('--namespace', () => {
  test('finds what is left where the binding is gone', async () => {
    await cluster.delete(clusterRoleBindings, 'hostport-agent');
    await uninstall('agents');
    expect(await present()).toEqual([]);
  });

  test('is refused where the agent is in another', async () => {
    await expect(uninstall('other')).rejects.toThrow(
      'from namespace other: it is installed in agents; give --namespace agents',
    );
    expect(await present()).toHaveLength(OBJECTS.length);
  });
});
