import { afterEach, beforeEach, expect, test } from 'bun:test';
import { FakeApi } from '../../../kube/client.fake.ts';
import { events, leases, nodes, pods } from '../../../kube/resources.ts';
import type { Node, Pod } from '../../../kube/types.ts';
import { Informers } from '../../informers.ts';
import { controllerContext } from '../context.ts';
import { nodeLifecycleController } from './lifecycle.ts';

const GRACE = 250;
let api: FakeApi;
let abort: AbortController;
beforeEach(() => {
  api = new FakeApi();
  abort = new AbortController();
});
afterEach(() => {
  abort.abort();
  api.disconnect();
});

async function start(): Promise<void> {
  const conditions = [{ type: 'Ready', status: 'True' }];
  await api.create(nodes, { metadata: { name: 'n' }, status: { conditions } });
  await api.create(leases, {
    metadata: { name: 'n', namespace: 'kube-node-lease' },
    spec: { renewTime: '0' as never },
  });
  const informers = new Informers(api, () => {});
  const context = controllerContext({ client: api, informers, log: () => {}, signal: abort.signal });
  const controller = nodeLifecycleController(context, GRACE);
  await informers.start(abort.signal);
  controller.start();
}

const ready = (node: Node) => node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
const effects = (node: Node) => (node.spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`).sort();
let renewals = 0;
const renew = () =>
  api.patch(leases, 'n', 'kube-node-lease', 'merge', { spec: { renewTime: `renewal ${renewals++}` } });
async function until<T>(look: () => Promise<T>, check: (seen: T) => boolean, timeoutMs = 3_000): Promise<T> {
  for (const deadline = Date.now() + timeoutMs; ; ) {
    const seen = await look();
    if (check(seen)) return seen;
    if (Date.now() > deadline)
      throw new Error(`not within ${timeoutMs} ms; last seen ${JSON.stringify(seen)}`);
    await Bun.sleep(10);
  }
}
const node = () => api.get(nodes, 'n');

test('a node that renews its lease lives; one that stops is lost, and its pods leave', async () => {
  const pod = (name: string, tolerations: NonNullable<Pod['spec']>['tolerations']) =>
    api.create(pods, {
      metadata: { name, namespace: 'default' },
      spec: { containers: [], nodeName: 'n', tolerations },
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    });
  await pod('leaves', []);
  await pod('stays', [{ operator: 'Exists' }]);
  await start();
  for (const end = Date.now() + 3 * GRACE; Date.now() < end; ) {
    await renew();
    expect(ready(await node())).toBe('True');
    await Bun.sleep(GRACE / 10);
  }
  const lost = await until(node, (seen) => effects(seen).length === 2);
  expect(ready(lost)).toBe('Unknown');
  expect(effects(lost)).toEqual([
    'node.kubernetes.io/unreachable:NoExecute',
    'node.kubernetes.io/unreachable:NoSchedule',
  ]);
  const leaving = await until(
    () => api.get(pods, 'leaves', 'default'),
    (seen) => seen.metadata?.deletionTimestamp !== undefined,
  );
  const stays = await api.get(pods, 'stays', 'default');
  expect(stays.metadata?.deletionTimestamp).toBeUndefined();
  for (const each of [leaving, stays]) {
    expect(each.status!.conditions!.find(({ type }) => type === 'Ready')!.status).toBe('False');
  }
  await until(
    async () => (await api.list(events)).items.map((event) => `${event.reason}: ${event.message}`),
    (seen) =>
      seen.includes('NodeNotReady: Node n status is now: NodeNotReady') &&
      seen.includes('TaintManagerEviction: Marking for deletion Pod default/leaves'),
  );

  // The kubelet speaks again: its status is believed, and the taints go.
  await api.patch(
    nodes,
    'n',
    undefined,
    'merge',
    { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
    'status',
  );
  await renew();
  await until(node, (seen) => effects(seen).length === 0);
});

test('silence while the API is away is no silence of the node', async () => {
  await start();
  await renew();
  api.intercept = () => {
    throw new TypeError('connection refused');
  };
  api.disconnect();
  await Bun.sleep(3 * GRACE);
  api.intercept = undefined;
  const back = Date.now();
  // The informers find their way back with back-off; the kubelet's next renewal is a while away.
  while (Date.now() - back < GRACE / 2) {
    expect(ready(await node())).toBe('True');
    await Bun.sleep(10);
  }
  await until(node, (seen) => ready(seen) === 'Unknown');
  expect(Date.now() - back).toBeGreaterThanOrEqual(GRACE / 2);
});

test('a cordoned node has its taint as long as it is cordoned', async () => {
  await start();
  await api.patch(nodes, 'n', undefined, 'merge', { spec: { unschedulable: true } });
  await until(node, (seen) => effects(seen).includes('node.kubernetes.io/unschedulable:NoSchedule'));
  await renew();
  await api.patch(nodes, 'n', undefined, 'merge', { spec: { unschedulable: null } });
  await until(node, (seen) => !effects(seen).includes('node.kubernetes.io/unschedulable:NoSchedule'));
});
