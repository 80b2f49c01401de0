import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  configMaps,
  daemonSets,
  deployments,
  endpointSlices,
  endpoints,
  namespaces,
  nodes,
  pods,
  replicaSets,
  replicationControllers,
  serviceAccounts,
  services,
} from '../../kube/resources.ts';
import type { DaemonSet, Deployment, Pod, PodTemplateSpec, ReplicaSet } from '../../kube/types.ts';
import { FakeWorld } from '../world.fake.ts';

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(() => world.stop());

const template = (image = 'one', port?: number): PodTemplateSpec => ({
  metadata: { labels: { app: 'a' } },
  spec: {
    containers: [
      {
        name: 'c',
        image,
        ...(port ? { ports: [{ containerPort: 8080, hostPort: port, protocol: 'TCP' }] } : {}),
      },
    ],
  },
});
const selector = { matchLabels: { app: 'a' } };
const deployment = (spec: Partial<NonNullable<Deployment['spec']>> = {}): Deployment => ({
  metadata: { name: 'd', namespace: 'default' },
  spec: { replicas: 3, selector, template: template(), ...spec },
});
const running = (all: Pod[]) =>
  all.filter((pod) => pod.status?.phase === 'Running' && !pod.metadata?.deletionTimestamp);
const images = (all: Pod[]) => all.map((pod) => pod.spec!.containers[0]!.image!).sort();
const getDeployment = () => world.api.get(deployments, 'd', 'default');
const finished = (object: Deployment) =>
  object.status?.conditions?.some(({ reason }) => reason === 'NewReplicaSetAvailable') === true &&
  object.status.observedGeneration === object.metadata?.generation &&
  object.status.updatedReplicas === object.spec!.replicas &&
  object.status.availableReplicas === object.spec!.replicas &&
  object.status.replicas === object.spec!.replicas;
const rolledOut = () => world.until('rolled out', getDeployment, finished);
const change = (spec: object) => world.api.patch(deployments, 'd', 'default', 'merge', { spec });
const sets = async (): Promise<ReplicaSet[]> => (await world.api.list(replicaSets)).items;

async function start(...names: string[]): Promise<void> {
  await world.api.create(namespaces, { metadata: { name: 'default' } });
  for (const name of names) await world.addNode(name);
  await world.startControllers();
  await world.startScheduler();
}

describe('Deployment', () => {
  test('rolls out, with what kubectl rollout reads', async () => {
    await start('n1', 'n2', 'n3');
    await world.api.create(deployments, deployment());
    const done = await rolledOut();
    expect(done.metadata!.annotations!['deployment.kubernetes.io/revision']).toBe('1');
    expect(done.status!.conditions!.map(({ type, status, reason }) => [type, status, reason]).sort()).toEqual(
      [
        ['Available', 'True', 'MinimumReplicasAvailable'],
        ['Progressing', 'True', 'NewReplicaSetAvailable'],
      ],
    );
    const all = await world.pods();
    expect(all.map((pod) => pod.spec!.nodeName).sort()).toEqual(['n1', 'n2', 'n3']);
    const [set] = await sets();
    expect(set!.metadata!.name).toBe(`d-${set!.metadata!.labels!['pod-template-hash']}`);
    expect(all.every((pod) => pod.metadata!.name!.startsWith(`${set!.metadata!.name}-`))).toBe(true);
    const scaled = await world.until(
      'event',
      () => world.events('ScalingReplicaSet'),
      (seen) => seen.length > 0,
    );
    expect(scaled).toEqual([`Scaled up replica set ${set!.metadata!.name} from 0 to 3`]);
  });

  test('a new template replaces all pods and never has too few or too many', async () => {
    await start('n1', 'n2', 'n3');
    await world.api.create(
      deployments,
      deployment({ replicas: 4, strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } } }),
    );
    await rolledOut();
    let most = 0;
    let fewest = Number.POSITIVE_INFINITY;
    await change({ template: template('two') });
    const look = async () => {
      const all = await world.pods();
      most = Math.max(most, all.filter((pod) => !pod.metadata?.deletionTimestamp).length);
      fewest = Math.min(fewest, running(all).length);
      return getDeployment();
    };
    await world.until('rolled out', look, finished);
    expect(images(await world.pods())).toEqual(['two', 'two', 'two', 'two']);
    expect(most).toBeLessThanOrEqual(5);
    expect(fewest).toBeGreaterThanOrEqual(3);
    expect((await getDeployment()).metadata!.annotations!['deployment.kubernetes.io/revision']).toBe('2');
  });

  test('going back takes the old ReplicaSet at a new revision, and keeps its history', async () => {
    await start('n1');
    await world.api.create(deployments, deployment({ replicas: 1 }));
    await rolledOut();
    const [first] = await sets();
    await change({ template: template('two') });
    await rolledOut();
    await change({ template: template('one') });
    await rolledOut();
    const all = await sets();
    expect(all).toHaveLength(2);
    const back = all.find((set) => set.metadata!.uid === first!.metadata!.uid)!;
    expect(back.spec!.replicas).toBe(1);
    expect(back.metadata!.annotations).toMatchObject({
      'deployment.kubernetes.io/revision': '3',
      'deployment.kubernetes.io/revision-history': '1',
    });
  });

  test('Recreate ends every old pod before it starts a new one', async () => {
    await start('n1', 'n2');
    await world.api.create(deployments, deployment({ replicas: 2, strategy: { type: 'Recreate' } }));
    await rolledOut();
    await change({ template: template('two') });
    const mixed: string[][] = [];
    const look = async () => {
      const seen = new Set(images(await world.pods()));
      if (seen.size > 1) mixed.push([...seen]);
      return getDeployment();
    };
    await world.until('rolled out', look, finished);
    expect(mixed).toEqual([]);
    expect(images(await world.pods())).toEqual(['two', 'two']);
  });

  test('hostPort with maxSurge 0 rolls although every node is full', async () => {
    await start('n1', 'n2', 'n3');
    const strategy = { rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } };
    await world.api.create(deployments, deployment({ template: template('one', 80), strategy }));
    await rolledOut();
    await change({ template: template('two', 80) });
    await rolledOut();
    const all = await world.pods();
    expect(images(all)).toEqual(['two', 'two', 'two']);
    expect(all.map((pod) => pod.spec!.nodeName).sort()).toEqual(['n1', 'n2', 'n3']);
  });

  test('paused: the template waits, the size does not; resumed: it rolls', async () => {
    await start('n1', 'n2');
    await world.api.create(deployments, deployment({ replicas: 1 }));
    await rolledOut();
    await change({ paused: true, template: template('two') });
    await change({ replicas: 2 });
    await world.until(
      'scaled',
      () => world.pods(),
      (all) => running(all).length === 2,
    );
    expect(images(await world.pods())).toEqual(['one', 'one']);
    const paused = await world.until(
      'says so',
      getDeployment,
      (seen) => seen.status?.conditions?.some(({ reason }) => reason === 'DeploymentPaused') ?? false,
    );
    expect(paused.status!.conditions!.find(({ type }) => type === 'Progressing')!.status).toBe('Unknown');
    await change({ paused: false });
    await rolledOut();
    expect(images(await world.pods())).toEqual(['two', 'two']);
  });

  test('keeps no more old ReplicaSets than revisionHistoryLimit', async () => {
    await start('n1');
    await world.api.create(deployments, deployment({ replicas: 1, revisionHistoryLimit: 1 }));
    await rolledOut();
    for (const image of ['two', 'three', 'four']) {
      await change({ template: template(image) });
      await rolledOut();
    }
    const left = await world.until('cleaned up', sets, (seen) => seen.length === 2);
    expect(left.map((set) => set.spec!.template!.spec!.containers[0]!.image).sort()).toEqual([
      'four',
      'three',
    ]);
  });

  test('a name that is taken by something else is gone round', async () => {
    await start('n1');
    await world.api.create(deployments, deployment({ replicas: 1 }));
    await rolledOut();
    const [set] = await sets();
    await world.api.delete(deployments, 'd', 'default', { propagationPolicy: 'Background' });
    await world.until(
      'collected',
      () => world.pods(),
      (all) => all.length === 0,
    );
    await world.until('collected', sets, (all) => all.length === 0);
    const foreign = { matchLabels: { other: 'x' } };
    await world.api.create(replicaSets, {
      metadata: { name: set!.metadata!.name, namespace: 'default' },
      spec: {
        replicas: 0,
        selector: foreign,
        template: { metadata: { labels: foreign.matchLabels }, spec: { containers: [] } },
      },
    });
    await world.api.create(deployments, deployment({ replicas: 1 }));
    const done = await rolledOut();
    expect(done.status!.collisionCount).toBe(1);
  });
});

describe('ReplicaSet', () => {
  const replicaSet = (replicas: number): ReplicaSet => ({
    metadata: { name: 'r', namespace: 'default' },
    spec: { replicas, selector, template: template() },
  });

  test('adopts what matches, lets go what does not, replaces what is gone', async () => {
    await start('n1');
    await world.api.create(pods, {
      metadata: { name: 'stray', namespace: 'default', labels: { app: 'a' } },
      spec: { containers: [{ name: 'c' }] },
    });
    await world.api.create(replicaSets, replicaSet(2));
    await world.until(
      'two',
      () => world.pods(),
      (all) => running(all).length === 2,
    );
    expect((await world.pod('stray')).metadata!.ownerReferences![0]!.name).toBe('r');
    await world.api.patch(pods, 'stray', 'default', 'merge', { metadata: { labels: { app: 'b' } } });
    await world.until(
      'released',
      () => world.pod('stray'),
      (pod) => pod.metadata!.ownerReferences!.length === 0,
    );
    await world.until(
      'three',
      () => world.pods(),
      (all) => running(all).length === 3,
    );
  });

  test('a creation without an answer is not made twice', async () => {
    await start('n1');
    let lost = 0;
    world.api.intercept = async (request) => {
      if (request.method !== 'POST' || !request.path.endsWith('/pods') || lost > 2) return;
      lost++;
      world.api.intercept = undefined;
      await world.api.fetch(request.method, request.path, request.body);
      throw new TypeError('connection reset');
    };
    const before = world.api.requests.length;
    await world.api.create(replicaSets, replicaSet(1));
    await world.until(
      'one',
      () => world.pods(),
      (all) => running(all).length === 1,
    );
    const status = () => world.api.get(replicaSets, 'r', 'default');
    await world.until('counted', status, (set) => set.status?.availableReplicas === 1);
    const created = world.api.requests
      .slice(before)
      .filter((r) => r.method === 'POST' && r.path.endsWith('/pods'));
    // The lost one is seen twice: once as asked for, once as carried out.
    expect(created).toHaveLength(2);
    expect(await world.pods()).toHaveLength(1);
  });

  test('scales to many and back without one too many', async () => {
    await start('n1');
    await world.api.create(replicaSets, replicaSet(30));
    await world.until(
      'thirty',
      () => world.pods(),
      (all) => running(all).length === 30,
    );
    const created = world.api.requests.filter((r) => r.method === 'POST' && r.path.endsWith('/default/pods'));
    expect(created).toHaveLength(30);
    await world.api.patch(replicaSets, 'r', 'default', 'merge', { spec: { replicas: 0 } });
    await world.until(
      'none',
      () => world.pods(),
      (all) => all.length === 0,
    );
  });

  test('what cannot be created is said in condition and event', async () => {
    await start('n1');
    world.api.intercept = (request) => {
      if (request.method === 'POST' && request.path.endsWith('/default/pods'))
        throw new Error('no more pods');
    };
    await world.api.create(replicaSets, replicaSet(1));
    const get = () => world.api.get(replicaSets, 'r', 'default');
    const failed = await world.until('condition', get, (set) => (set.status?.conditions?.length ?? 0) > 0);
    expect(failed.status!.conditions![0]).toMatchObject({
      type: 'ReplicaFailure',
      status: 'True',
      reason: 'FailedCreate',
    });
    world.api.intercept = undefined;
    const fine = await world.until('recovered', get, (set) => set.status?.availableReplicas === 1);
    expect(fine.status!.conditions ?? []).toEqual([]);
    expect(await world.events('FailedCreate')).toEqual(['Error creating: no more pods']);
  });
});

describe('ReplicationController', () => {
  test('keeps its number of pods, and counts them', async () => {
    await start('n1');
    await world.api.create(replicationControllers, {
      metadata: { name: 'rc', namespace: 'default' },
      spec: { replicas: 2, selector: selector.matchLabels, template: template() },
    });
    const get = () => world.api.get(replicationControllers, 'rc', 'default');
    await world.until('two', get, ({ status }) => status?.availableReplicas === 2);
    const [first] = await world.pods();
    expect(first!.metadata!.ownerReferences![0]).toMatchObject({
      apiVersion: 'v1',
      kind: 'ReplicationController',
      name: 'rc',
    });
    await world.api.delete(pods, first!.metadata!.name!, 'default');
    const name = first!.metadata!.name;
    const replaced = (all: Pod[]) =>
      running(all).length === 2 && all.every(({ metadata }) => metadata?.name !== name);
    await world.until('replaced', () => world.pods(), replaced);
    await world.api.patch(replicationControllers, 'rc', 'default', 'merge', { spec: { replicas: 0 } });
    await world.until('none', get, ({ status }) => status?.replicas === 0);
    await world.until(
      'gone',
      () => world.pods(),
      (all) => all.length === 0,
    );
  });
});

describe('DaemonSet', () => {
  const daemonSet = (spec: Partial<NonNullable<DaemonSet['spec']>> = {}): DaemonSet => ({
    metadata: { name: 'ds', namespace: 'default' },
    spec: { selector, template: template(), ...spec },
  });
  const get = () => world.api.get(daemonSets, 'ds', 'default');

  test('one a node, new nodes too, none where it may not be', async () => {
    await start('n1', 'n2');
    await world.addNode('tainted', { taints: [{ key: 'k', effect: 'NoSchedule' }] });
    await world.api.create(daemonSets, daemonSet());
    await world.until('two available', get, (set) => set.status?.numberAvailable === 2);
    await world.addNode('n3', { unschedulable: true });
    const full = await world.until('three available', get, (set) => set.status?.numberAvailable === 3);
    expect(full.status).toMatchObject({
      desiredNumberScheduled: 3,
      currentNumberScheduled: 3,
      updatedNumberScheduled: 3,
      numberReady: 3,
      numberMisscheduled: 0,
      observedGeneration: 1,
    });
    expect((await world.pods()).map((pod) => pod.spec!.nodeName).sort()).toEqual(['n1', 'n2', 'n3']);
    await world.api.patch(nodes, 'n1', undefined, 'merge', {
      spec: { taints: [{ key: 'x', effect: 'NoExecute' }] },
    });
    await world.until(
      'left n1',
      () => world.pods(),
      (all) => all.every((pod) => pod.spec!.nodeName !== 'n1'),
    );
  });

  test('updates one after another', async () => {
    await start('n1', 'n2', 'n3');
    await world.api.create(daemonSets, daemonSet());
    await world.until('available', get, (set) => set.status?.numberAvailable === 3);
    await world.api.patch(daemonSets, 'ds', 'default', 'merge', { spec: { template: template('two') } });
    let fewest = 3;
    const look = async () => {
      fewest = Math.min(fewest, running(await world.pods()).length);
      return get();
    };
    const updated = (set: DaemonSet) =>
      set.status?.updatedNumberScheduled === 3 && set.status.numberAvailable === 3;
    await world.until('updated', look, (set) => updated(set) && set.status?.observedGeneration === 2);
    expect(images(await world.pods())).toEqual(['two', 'two', 'two']);
    expect(fewest).toBe(2);
  });

  test('OnDelete waits for somebody to delete', async () => {
    await start('n1');
    await world.api.create(daemonSets, daemonSet({ updateStrategy: { type: 'OnDelete' } }));
    await world.until('available', get, (set) => set.status?.numberAvailable === 1);
    await world.api.patch(daemonSets, 'ds', 'default', 'merge', { spec: { template: template('two') } });
    await world.until(
      'seen',
      get,
      (set) => set.status?.observedGeneration === 2 && !set.status.updatedNumberScheduled,
    );
    expect(images(await world.pods())).toEqual(['one']);
    const [pod] = await world.pods();
    await world.api.delete(pods, pod!.metadata!.name!, 'default');
    await world.until(
      'replaced',
      () => world.pods(),
      (all) => images(running(all)).join() === 'two',
    );
  });
});

describe('garbage collection', () => {
  const map = (name: string, owner?: { name: string; uid: string }, block = false) =>
    world.api.create(configMaps, {
      metadata: {
        name,
        namespace: 'default',
        ...(owner === undefined
          ? {}
          : {
              ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', ...owner, blockOwnerDeletion: block }],
            }),
      },
    });
  const idOf = (object: { metadata?: { name?: string; uid?: string } }) => ({
    name: object.metadata!.name!,
    uid: object.metadata!.uid!,
  });
  const names = async () =>
    (await world.api.list(configMaps)).items
      .map((object) => object.metadata!.name!)
      .filter((name) => name !== 'kube-root-ca.crt')
      .sort();

  test('background: dependents go after their owner, through every level', async () => {
    await start();
    const parent = await map('parent');
    const child = await map('child', idOf(parent));
    await map('grandchild', idOf(child));
    await map('bystander');
    await world.api.delete(configMaps, 'parent', 'default');
    expect(await world.until('gone', names, (seen) => seen.length === 1)).toEqual(['bystander']);
  });

  test('an owner that never was, and one of another uid, are no owners', async () => {
    await start();
    const other = await map('other');
    await map('stale', { name: 'other', uid: 'old-uid' });
    await map('lost', { name: 'never', uid: 'x' });
    await map('kept', idOf(other));
    await world.until('gone', names, (seen) => seen.join() === 'kept,other');
  });

  test('foreground: the owner stays until what blocks it is gone', async () => {
    await start();
    const parent = await map('parent');
    await world.api.create(configMaps, {
      metadata: {
        name: 'slow',
        namespace: 'default',
        finalizers: ['test/hold'],
        ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', ...idOf(parent), blockOwnerDeletion: true }],
      },
    });
    await map('free', idOf(parent));
    await world.api.delete(configMaps, 'parent', 'default', { propagationPolicy: 'Foreground' });
    const slow = () => world.api.get(configMaps, 'slow', 'default');
    await world.until('child is ending', slow, (seen) => seen.metadata!.deletionTimestamp !== undefined);
    expect(await names()).toContain('parent');
    await world.api.patch(configMaps, 'slow', 'default', 'merge', { metadata: { finalizers: [] } });
    await world.until('all gone', names, (seen) => seen.length === 0);
  });

  test('orphan: dependents stay, without the owner', async () => {
    await start();
    const parent = await map('parent');
    await map('child', idOf(parent));
    await world.api.delete(configMaps, 'parent', 'default', { propagationPolicy: 'Orphan' });
    await world.until('parent gone', names, (seen) => seen.join() === 'child');
    expect((await world.api.get(configMaps, 'child', 'default')).metadata!.ownerReferences).toEqual([]);
  });
});

describe('namespaces', () => {
  test('have their account and CA, and get them back', async () => {
    await start();
    const account = () =>
      world.api.list(serviceAccounts).then(({ items }) => items.map((item) => item.metadata!.name));
    await world.until('account', account, (seen) => seen.join() === 'default');
    await world.api.delete(serviceAccounts, 'default', 'default');
    await world.until('account again', account, (seen) => seen.join() === 'default');
    const ca = () => world.api.get(configMaps, 'kube-root-ca.crt', 'default').catch(() => undefined);
    await world.until('CA', ca, (seen) => seen?.data?.['ca.crt'] === 'CA');
    await world.api.patch(configMaps, 'kube-root-ca.crt', 'default', 'merge', {
      data: { 'ca.crt': 'forged' },
    });
    await world.until('CA again', ca, (seen) => seen?.data?.['ca.crt'] === 'CA');
  });

  test('go with all that is in them, pods gracefully', async () => {
    await start('n1');
    await world.api.create(namespaces, { metadata: { name: 'doomed' } });
    await world.api.create(deployments, {
      ...deployment({ replicas: 2 }),
      metadata: { name: 'd', namespace: 'doomed' },
    });
    await world.until(
      'running',
      () => world.pods(),
      (all) => running(all).length === 2,
    );
    await world.api.delete(namespaces, 'doomed');
    const left = async () => (await world.api.list(namespaces)).items.map((item) => item.metadata!.name);
    await world.until('namespace gone', left, (seen) => seen.join() === 'default', true, 9_000);
    const inside = async () =>
      [await world.pods(), await sets(), (await world.api.list(configMaps)).items]
        .flat()
        .filter((item) => item.metadata!.namespace === 'doomed');
    expect(await inside()).toEqual([]);
  }, 15_000);
});

test('every node has a pod subnet of its own, and keeps it', async () => {
  await start('n1', 'n2');
  await world.api.create(nodes, { metadata: { name: 'given' }, spec: { podCIDR: '192.168.1.0/24' } });
  await world.addNode('n3');
  const cidrs = async () =>
    Object.fromEntries(
      (await world.api.list(nodes)).items.map((node) => [node.metadata!.name, node.spec?.podCIDR]),
    );
  const before = await world.until('all', cidrs, (seen) => Object.values(seen).every(Boolean));
  expect(new Set(Object.values(before)).size).toBeGreaterThanOrEqual(3);
  await world.api.delete(nodes, 'n1');
  await world.addNode('n4');
  const after = await world.until('n4', cidrs, (seen) => Boolean(seen.n4));
  expect(after.n2).toBe(before.n2!);
  expect(after.n4).toBe(before.n1!);
});

test('endpoints follow the pods of a Service', async () => {
  await start('n1');
  await world.api.create(services, {
    metadata: { name: 's', namespace: 'default' },
    spec: { selector: { app: 'a' }, ports: [{ port: 80, targetPort: 'web', protocol: 'TCP' }] },
  });
  await world.api.create(services, {
    metadata: { name: 'external', namespace: 'default' },
    spec: { ports: [{ port: 1 }] },
  });
  const named = template();
  named.spec!.containers[0]!.ports = [{ name: 'web', containerPort: 8080 }];
  await world.api.create(deployments, deployment({ replicas: 1, template: named }));
  const get = () => world.api.get(endpoints, 's', 'default').catch(() => undefined);
  const full = await world.until(
    'address',
    get,
    (seen) => (seen?.subsets?.[0]?.addresses?.length ?? 0) === 1,
  );
  expect(full!.subsets![0]).toMatchObject({
    addresses: [{ ip: '192.168.0.9', nodeName: 'n1', targetRef: { kind: 'Pod' } }],
    ports: [{ port: 8080, protocol: 'TCP' }],
  });
  const slices = async () => (await world.api.list(endpointSlices)).items;
  const [slice] = await world.until(
    'slice',
    slices,
    (seen) => seen[0]?.endpoints[0]?.conditions?.ready === true,
  );
  expect(slice).toMatchObject({ addressType: 'IPv4', ports: [{ name: '', port: 8080, protocol: 'TCP' }] });
  expect(slice!.metadata!.labels).toMatchObject({ 'kubernetes.io/service-name': 's' });
  await change({ replicas: 0 });
  await world.until('empty', get, (seen) => (seen?.subsets ?? []).length === 0);
  await world.until('no slice', slices, (seen) => seen.length === 0);
  await world.api.delete(services, 's', 'default');
  await world.until('gone', get, (seen) => seen === undefined);
  expect((await world.api.list(endpoints)).items).toEqual([]);
});

/**
 * Caches are behind when many objects change at once. As long as what a controller works from does not show its own writes, each further one
 * would be refused.
 */
describe('what a controller knows by its own writes', () => {
  /** Lets the watches of a kind wait: the controllers then know what was listed, and nothing since. */
  function holdWatches(plural: string): void {
    world.api.intercept = ({ method, path }) => {
      const url = new URL(path, 'https://fake.invalid');
      const isHeld =
        method === 'GET' && url.pathname.endsWith(`/${plural}`) && url.searchParams.get('watch') === 'true';
      return isHeld ? new Promise(() => {}) : undefined;
    };
  }

  async function startHeld(plural: string, create: () => Promise<unknown>): Promise<void> {
    await world.api.create(namespaces, { metadata: { name: 'default' } });
    await world.addNode('n1');
    await create();
    holdWatches(plural);
    await world.startControllers();
    await world.startScheduler();
  }

  test('the status of a Deployment', async () => {
    await startHeld('deployments', () => world.api.create(deployments, deployment()));
    await world.until('available', getDeployment, ({ status }) => status?.availableReplicas === 3);
  });

  test('the status of a ReplicaSet', async () => {
    const set = {
      metadata: { name: 'rs', namespace: 'default' },
      spec: { replicas: 2, selector, template: template() },
    };
    await startHeld('replicasets', () => world.api.create(replicaSets, set));
    const get = () => world.api.get(replicaSets, 'rs', 'default');
    await world.until('available', get, ({ status }) => status?.availableReplicas === 2);
  });

  test('the status of a ReplicationController', async () => {
    const controller = {
      metadata: { name: 'rc', namespace: 'default' },
      spec: { replicas: 2, selector: selector.matchLabels, template: template() },
    };
    await startHeld('replicationcontrollers', () => world.api.create(replicationControllers, controller));
    const get = () => world.api.get(replicationControllers, 'rc', 'default');
    await world.until('available', get, ({ status }) => status?.availableReplicas === 2);
  });

  test('the Endpoints of a Service', async () => {
    const metadata = { name: 's', namespace: 'default' };
    await startHeld('endpoints', async () => {
      await world.api.create(services, { metadata, spec: { selector: { app: 'a' }, ports: [{ port: 80 }] } });
      await world.api.create(endpoints, { metadata, subsets: [] });
    });
    const count = async () => {
      const { subsets = [] } = await world.api.get(endpoints, 's', 'default');
      return subsets.flatMap(({ addresses = [] }) => addresses).length;
    };
    for (const wanted of [1, 2]) {
      const [container] = template().spec!.containers;
      await world.api.create(pods, {
        metadata: { name: `p${wanted}`, namespace: 'default', labels: { app: 'a' } },
        spec: { containers: [container!] },
      });
      await world.until(`${wanted} ready`, count, (seen) => seen === wanted);
    }
  });

  test('the status of a DaemonSet', async () => {
    const set = { metadata: { name: 'ds', namespace: 'default' }, spec: { selector, template: template() } };
    await startHeld('daemonsets', () => world.api.create(daemonSets, set));
    const get = () => world.api.get(daemonSets, 'ds', 'default');
    await world.until('available', get, ({ status }) => status?.numberAvailable === 1);
  });
});
