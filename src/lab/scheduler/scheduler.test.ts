import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { ApiError } from '../../kube/client.ts';
import { nodes, pods } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { FakeWorld } from '../world.fake.ts';

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(() => world.stop());

const wantsPort = (hostPort: number, hostIP?: string): Partial<NonNullable<Pod['spec']>> => ({
  containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 8080, hostPort, hostIP }] }],
});
const bound = (count: number) => (all: Pod[]) => all.filter((pod) => pod.spec?.nodeName).length === count;
const condition = (pod: Pod) => pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');

describe('Scheduler', () => {
  test('a burst of pods with one host port never shares a node, whatever the API has shown so far', async () => {
    for (const name of ['n1', 'n2', 'n3']) await world.addNode(name);
    for (let i = 0; i < 5; i++) await world.addPod(`p${i}`, wantsPort(80));
    await world.startScheduler();
    const all = await world.until('three bound', () => world.pods(), bound(3), false);
    expect(
      all
        .map((pod) => pod.spec?.nodeName)
        .filter(Boolean)
        .sort(),
    ).toEqual(['n1', 'n2', 'n3']);
    const waiting = await world.until(
      'the others say why',
      () => world.pods(),
      (seen) => seen.filter((pod) => condition(pod)?.status === 'False').length === 2,
      false,
    );
    const message =
      "0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports. " +
      'preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.';
    expect(waiting.map((pod) => condition(pod)?.message).filter(Boolean)).toEqual([message, message]);
    await world.until(
      'events',
      () => world.events('FailedScheduling'),
      (seen) => seen.length === 2,
      false,
    );
    expect((await world.events('Scheduled')).sort()[0]).toMatch(/^Successfully assigned default\/p0 to n\d$/);
  });

  test('a pod that waited gets the port when its holder is gone, and when a node comes', async () => {
    await world.addNode('n1');
    for (const name of ['p0', 'p1', 'p2']) await world.addPod(name, wantsPort(80));
    await world.startScheduler();
    await world.until('first bound', () => world.pods(), bound(1), false);
    const [holder] = (await world.pods()).filter((pod) => pod.spec?.nodeName);
    await world.api.delete(pods, holder!.metadata!.name!, 'default', { gracePeriodSeconds: 0 });
    await world.until('next bound', () => world.pods(), bound(1), false);
    await world.addNode('n2');
    await world.until('last bound', () => world.pods(), bound(2), false);
  });

  test('a holder that is still ending keeps its port', async () => {
    await world.addNode('n1');
    await world.addPod('p0', wantsPort(80));
    await world.startScheduler();
    await world.until('bound', () => world.pods(), bound(1), false);
    await world.api.delete(pods, 'p0', 'default');
    await world.addPod('p1', wantsPort(80));
    await world.until(
      'refused',
      () => world.pod('p1'),
      (pod) => condition(pod)?.status === 'False',
      false,
    );
    await world.kubelets();
    await world.until(
      'bound',
      () => world.pod('p1'),
      (pod) => pod.spec?.nodeName === 'n1',
      false,
    );
  });

  test('uncordoning and a label that appears wake what waits', async () => {
    await world.addNode('n1', { unschedulable: true });
    await world.addPod('p0', { nodeSelector: { disk: 'ssd' } });
    await world.startScheduler();
    await world.until(
      'refused',
      () => world.pod('p0'),
      (pod) =>
        condition(pod)?.message?.startsWith('0/1 nodes are available: 1 node(s) were unschedulable.') ??
        false,
      false,
    );
    await world.api.patch(nodes, 'n1', undefined, 'merge', { spec: { unschedulable: false } });
    await world.until(
      'refused for another reason',
      () => world.pod('p0'),
      (pod) => condition(pod)?.message?.includes("didn't match Pod's node affinity/selector") ?? false,
      false,
    );
    await world.api.patch(nodes, 'n1', undefined, 'merge', { metadata: { labels: { disk: 'ssd' } } });
    await world.until(
      'bound',
      () => world.pod('p0'),
      (pod) => pod.spec?.nodeName === 'n1',
      false,
    );
  });

  test('a binding without an answer keeps the place until it is known what became of it', async () => {
    await world.addNode('n1');
    let broken = false;
    world.api.intercept = async (request) => {
      if (broken || !request.path.endsWith('/p0/binding')) return;
      broken = true;
      // The write happens, its answer is lost.
      await world.api.fetch('POST', request.path, request.body);
      throw new TypeError('connection reset');
    };
    await world.addPod('p0', wantsPort(80));
    await world.addPod('p1', wantsPort(80));
    await world.startScheduler();
    await world.until(
      'p0 bound',
      () => world.pod('p0'),
      (pod) => pod.spec?.nodeName === 'n1',
      false,
    );
    await world.until(
      'p1 refused',
      () => world.pod('p1'),
      (pod) => condition(pod)?.status === 'False',
      false,
    );
    expect((await world.pod('p1')).spec?.nodeName).toBeUndefined();
  });

  test('a binding that was refused is tried again', async () => {
    await world.addNode('n1');
    let refusals = 1;
    world.api.intercept = (request) => {
      if (!request.path.endsWith('/binding') || refusals-- <= 0) return;
      throw new ApiError('POST', request.path, 500, { reason: 'InternalError', message: 'etcd away' });
    };
    await world.addPod('p0');
    await world.startScheduler();
    await world.until(
      'bound',
      () => world.pod('p0'),
      (pod) => pod.spec?.nodeName === 'n1',
      false,
    );
  });

  test('it is not for other schedulers, gated or bound pods', async () => {
    await world.addNode('n1');
    await world.addPod('other', { schedulerName: 'other' });
    await world.addPod('gated', { schedulingGates: [{ name: 'g' }] } as object);
    await world.addPod('bound', { nodeName: 'elsewhere' });
    await world.addPod('ours');
    await world.startScheduler();
    await world.until(
      'ours bound',
      () => world.pod('ours'),
      (pod) => pod.spec?.nodeName === 'n1',
      false,
    );
    const bindings = world.api.requests.filter((request) => request.path.endsWith('/binding'));
    expect(bindings.map((request) => request.path)).toEqual(['/api/v1/namespaces/default/pods/ours/binding']);
  });

  test('without nodes it says so', async () => {
    await world.addPod('p0');
    await world.startScheduler();
    await world.until(
      'said',
      () => world.pod('p0'),
      (pod) => condition(pod)?.message === 'no nodes available to schedule pods',
      false,
    );
  });
});
