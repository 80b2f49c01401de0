import { describe, expect, test } from 'bun:test';
import { FakeApi } from '../kube/client.fake.ts';
import { ApiError } from '../kube/client.ts';
import { nodes, pods, services } from '../kube/resources.ts';
import type { Pod } from '../kube/types.ts';
import { waitFor } from '../sys/wait.ts';
import { watchHostPortObjects } from './object-watch.ts';

async function start() {
  const api = new FakeApi();
  const pod = (name: string, ports: object[]): Pod => ({
    metadata: { name, namespace: 'default' },
    spec: { containers: [{ name: 'c', ports: ports as never }] },
  });
  await api.create(nodes, {
    metadata: { name: 'n1' },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  });
  const mapped = await api.create(pods, pod('mapped', [{ containerPort: 80, hostPort: 80 }]));
  const plain = await api.create(pods, pod('plain', [{ containerPort: 80 }]));
  let changes = 0;
  const troubles: (string | undefined)[] = [];
  const over = new AbortController();
  const running = watchHostPortObjects(
    api,
    { changed: () => changes++, watching: (trouble) => troubles.push(trouble) },
    over.signal,
  );
  const watches = () => api.requests.filter(({ path }) => path.includes('watch=true')).length;
  await waitFor('three watches', () => watches() === 3, { timeoutMs: 5000 });
  const stop = async () => {
    over.abort(new Error('over'));
    await running;
  };
  let marks = 0;
  /** How many changes are seen of something, `wanted` at least. A change of each kind comes last: each has a watch of its own. */
  const seenOf = async (wanted: number, change: () => Promise<unknown>): Promise<number> => {
    const before = changes;
    await change();
    const name = `mark${marks++}`;
    const spec = { type: 'NodePort', ports: [{ port: 80 }] };
    await api.create(services, { metadata: { name, namespace: 'default' }, spec });
    await api.create(nodes, { metadata: { name } });
    await api.create(pods, pod(name, [{ containerPort: 80, hostPort: 1000 + marks }]));
    const all = before + wanted + 3;
    await waitFor('the marks', () => changes >= all, { timeoutMs: 5000, describe: () => `${changes}` });
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
    return changes - before - 3;
  };
  return { api, pod, mapped, plain, seenOf, stop, troubles, watches, changes: () => changes };
}

describe('the watch of what hostPorts depend on', () => {
  test('what is there at first is no change', async () => {
    const { changes, stop } = await start();
    expect(changes()).toBe(0);
    await stop();
  });

  test('a pod with a hostPort that comes, changes or goes is one', async () => {
    const { api, pod, mapped, seenOf, stop } = await start();
    const ports = [{ containerPort: 80, hostPort: 81 }];
    expect(await seenOf(1, () => api.create(pods, pod('new', ports)))).toBe(1);
    const status = { phase: 'Running' } as NonNullable<Pod['status']>;
    expect(await seenOf(1, () => api.update(pods, { ...mapped, status }, 'status'))).toBe(1);
    const deleted = () => api.delete(pods, 'new', 'default', { gracePeriodSeconds: 0 });
    expect(await seenOf(1, deleted)).toBe(1);
    await stop();
  });

  test('pods without a hostPort, heartbeats and Services inside the cluster are none', async () => {
    const { api, plain, seenOf, stop } = await start();
    const status = { phase: 'Running' } as NonNullable<Pod['status']>;
    expect(await seenOf(0, () => api.update(pods, { ...plain, status }, 'status'))).toBe(0);
    const heartbeat = async () => {
      const node = await api.get(nodes, 'n1');
      const conditions = [{ type: 'Ready', status: 'True', lastHeartbeatTime: '2030-01-01T00:00:00Z' }];
      await api.update(nodes, { ...node, status: { ...node.status, conditions } as never }, 'status');
    };
    expect(await seenOf(0, heartbeat)).toBe(0);
    const inside = { metadata: { name: 'in', namespace: 'default' }, spec: { ports: [{ port: 80 }] } };
    expect(await seenOf(0, () => api.create(services, inside))).toBe(0);
    await stop();
  });

  test('a restart of the API server is survived, and what came meanwhile is seen', async () => {
    const { api, pod, stop, watches, changes, troubles } = await start();
    expect(troubles).toEqual([undefined]);
    api.intercept = () => {
      throw new Error('connection refused');
    };
    api.disconnect();
    // Three kinds of objects, each tried again: one report.
    await waitFor('tries', () => watches() >= 9, { timeoutMs: 5000 });
    expect(troubles).toEqual([undefined, 'connection refused']);
    api.intercept = undefined;
    await api.create(pods, pod('meanwhile', [{ containerPort: 80, hostPort: 82 }]));
    await waitFor('the watches again', () => troubles.length === 3 && changes() === 1, { timeoutMs: 10_000 });
    expect(troubles).toEqual([undefined, 'connection refused', undefined]);
    await stop();
  });

  test('one kind of objects that may not be watched is reported once, until it may be', async () => {
    const { api, stop, watches, troubles } = await start();
    api.intercept = ({ method, path }) => {
      if (!path.includes('/services?') || !path.includes('watch=true')) return;
      throw new ApiError(method, path, 403, { reason: 'Forbidden', message: 'no watch of services' });
    };
    api.disconnect();
    await waitFor('tries', () => watches() >= 3 + 2 + 3, { timeoutMs: 5000 });
    expect(troubles).toHaveLength(2);
    expect(troubles[1]).toContain('no watch of services');
    api.intercept = undefined;
    await waitFor('the watch', () => troubles.length === 3, { timeoutMs: 10_000 });
    expect(troubles[2]).toBeUndefined();
    await stop();
  });
});
