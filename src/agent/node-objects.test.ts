import { afterEach, describe, expect, test } from 'bun:test';
import { FakeApi } from '../kube/client.fake.ts';
import { nodes, pods, services } from '../kube/resources.ts';
import type { Pod } from '../kube/types.ts';
import { waitFor } from '../sys/wait.ts';
import { watchNodeObjects } from './node-objects.ts';

const POD: Pod = {
  metadata: { name: 'echo', namespace: 'default' },
  spec: {
    nodeName: 'n',
    containers: [
      {
        name: 'c',
        image: 'i',
        env: [{ name: 'PASSWORD', value: 'secret' }],
        ports: [{ containerPort: 8080, hostPort: 80 }],
      },
    ],
  },
};

const stopping: AbortController[] = [];
afterEach(() => {
  for (const controller of stopping.splice(0)) controller.abort();
});

async function start(api: FakeApi) {
  const seen = { changes: 0 };
  const errors: unknown[] = [];
  const watch = watchNodeObjects({
    client: api,
    node: 'n',
    changed: () => seen.changes++,
    onError: (error) => errors.push(error),
  });
  const controller = new AbortController();
  stopping.push(controller);
  void watch.run(controller.signal);
  await watch.synced;
  return { watch, seen, errors };
}

test('asks for what is on the node, and for nothing else', async () => {
  const api = new FakeApi();
  await start(api);
  await waitFor(
    'the watches',
    () => api.requests.filter(({ path }) => path.includes('watch=')).length === 3,
    {
      timeoutMs: 5000,
    },
  );
  const asked = new Set(
    api.requests.map(({ method, path }) => {
      const url = new URL(path, 'https://fake.invalid');
      return `${method} ${url.pathname} ${url.searchParams.get('fieldSelector') ?? ''}`.trim();
    }),
  );
  expect([...asked].sort()).toEqual([
    'GET /api/v1/nodes metadata.name=n',
    'GET /api/v1/pods spec.nodeName=n',
    'GET /api/v1/services',
  ]);
});

test('reads objects without what is no business of a diagnosis', async () => {
  const api = new FakeApi();
  await api.create(nodes, { metadata: { name: 'n' } });
  await api.create(pods, POD);
  await api.create(services, {
    metadata: { name: 's', namespace: 'default' },
    spec: { ports: [{ port: 80 }] },
  });
  const { watch } = await start(api);
  const seen = watch.read();
  expect(seen.nodes.map(({ metadata }) => metadata?.name)).toEqual(['n']);
  expect(seen.services.map(({ metadata }) => metadata?.name)).toEqual(['s']);
  expect(seen.pods.map(({ spec }) => spec?.containers[0]?.ports?.[0]?.hostPort)).toEqual([80]);
  expect(JSON.stringify(seen)).not.toContain('secret');
});

describe('notifies of', () => {
  const CHANGES: [name: string, change: (api: FakeApi) => Promise<unknown>][] = [
    [
      'a pod that is made',
      (api) => api.create(pods, { ...POD, metadata: { name: 'new', namespace: 'default' } }),
    ],
    [
      'a pod that gets its address',
      (api) => api.patch(pods, 'echo', 'default', 'merge', { status: { podIP: '10.0.0.2' } }, 'status'),
    ],
    ['a pod that goes', (api) => api.delete(pods, 'echo', 'default', { gracePeriodSeconds: 0 })],
  ];
  for (const [name, change] of CHANGES) {
    test(name, async () => {
      const api = new FakeApi();
      await api.create(nodes, { metadata: { name: 'n' } });
      await api.create(pods, POD);
      const { seen, errors } = await start(api);
      const before = seen.changes;
      await change(api);
      await waitFor('the change', () => seen.changes > before, { timeoutMs: 5000 });
      expect(errors).toEqual([]);
    });
  }
});

test('does not tell of a heartbeat', async () => {
  const api = new FakeApi();
  await api.create(nodes, { metadata: { name: 'n' } });
  const { watch, seen } = await start(api);
  const before = seen.changes;
  const conditions = [{ type: 'Ready', status: 'True', lastHeartbeatTime: new Date(0).toISOString() }];
  await api.patch(nodes, 'n', undefined, 'merge', { status: { conditions } }, 'status');
  await waitFor('the heartbeat', () => watch.read().nodes[0]?.status?.conditions?.length === 1, {
    timeoutMs: 5000,
  });
  expect(seen.changes).toBe(before);
});
