import { afterEach, beforeEach, expect, test } from 'bun:test';
import { nodes, pods } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { Informers } from '../informers.ts';
import { FakeWorld } from '../world.fake.ts';
import { controllerContext } from './context.ts';
import { podGarbageCollector, surplusTerminated } from './pod-gc.ts';

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(() => world.stop());

test('a pod that is deleted before it had a node goes', async () => {
  await world.startControllers();
  await world.api.create(pods, {
    metadata: { name: 'held', namespace: 'default', finalizers: ['test/hold'] },
    spec: { containers: [] },
  });
  await world.api.delete(pods, 'held', 'default');
  await world.api.patch(pods, 'held', 'default', 'merge', { metadata: { finalizers: [] } });
  await world.until(
    'gone',
    () => world.pods(),
    (all) => all.length === 0,
    false,
  );
});

test('pods of a node that is gone go after the quarantine, and by force', async () => {
  const abort = new AbortController();
  const informers = new Informers(world.api, () => {});
  const context = controllerContext({ client: world.api, informers, log: () => {}, signal: abort.signal });
  const collector = podGarbageCollector(context, 100);
  await world.addNode('stays');
  await world.addNode('goes');
  for (const nodeName of ['stays', 'goes', 'back']) {
    const metadata = { name: `on-${nodeName}`, namespace: 'default' };
    await world.api.create(pods, { metadata, spec: { containers: [], nodeName } });
  }
  await informers.start(abort.signal);
  collector.start();
  try {
    // Registered again within the quarantine.
    await world.addNode('back');
    await world.api.delete(nodes, 'goes');
    const deletedAt = Date.now();
    await world.until(
      'gone',
      () => world.pods(),
      (all) => all.length === 2,
      false,
    );
    expect(Date.now() - deletedAt).toBeGreaterThanOrEqual(95);
    expect((await world.pods()).map((pod) => pod.metadata!.name)).toEqual(['on-stays', 'on-back']);
  } finally {
    abort.abort();
  }
});

test('a pod whose node was only late is left alone', async () => {
  await world.api.create(pods, {
    metadata: { name: 'early', namespace: 'default' },
    spec: { containers: [], nodeName: 'late' },
  });
  await world.startControllers();
  await world.api.create(nodes, { metadata: { name: 'late' } });
  const { spec } = await world.until(
    'subnet given, so the controllers have seen the node',
    () => world.api.get(nodes, 'late'),
    (node) => Boolean(node.spec?.podCIDR),
    false,
  );
  expect(spec?.podCIDR).toBeDefined();
  expect(
    world.api.requests.filter(({ method, path }) => method === 'DELETE' && path.includes('/pods/')),
  ).toEqual([]);
});

test('of ended pods the oldest beyond the limit are surplus', () => {
  const pod = (name: string, phase: string, created: string): Pod => ({
    metadata: { name, creationTimestamp: created as never },
    status: { phase },
  });
  const all = [
    pod('c', 'Failed', '3'),
    pod('a', 'Succeeded', '1'),
    pod('b', 'Failed', '2'),
    pod('r', 'Running', '0'),
  ];
  expect(surplusTerminated(all, 1).map((each) => each.metadata!.name)).toEqual(['a', 'b']);
  expect(surplusTerminated(all, 3)).toEqual([]);
});
