import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FakeApi } from '../kube/client.fake.ts';
import { events, nodes, pods, services } from '../kube/resources.ts';
import { output, realExec } from '../sys/exec.ts';
import { connectRuntime } from './cri/client.ts';
import { BUSYBOX_IMAGE, startContainerd, type TestContainerd, testConflist } from './testing/containerd.ts';
import { busyboxPod, NODE_NAME, startKubelet, waitForPod } from './testing/node.ts';

/** One node through its life, in order: the tests build on one another as a node's days do. */
describe('a kubelet on real containerd', () => {
  let containerd: TestContainerd;
  const api = new FakeApi();
  let node: ReturnType<typeof startKubelet>;
  const inNode = (...argv: string[]) =>
    realExec.run(['nsenter', `--net=/run/netns/${containerd.netns}`, ...argv], { timeoutMs: 10_000 });
  const ready = async () =>
    (await api.get(nodes, NODE_NAME)).status?.conditions?.find(({ type }) => type === 'Ready');

  beforeAll(async () => {
    containerd = await startContainerd('kubelet');
    await api.create(services, {
      metadata: { name: 'kubernetes', namespace: 'default' },
      spec: { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443, protocol: 'TCP' }] },
    });
    node = startKubelet(containerd, api);
  }, 30_000);

  afterAll(async () => {
    await node?.stop();
    await containerd?.stop();
  }, 30_000);

  test('registers a node that is not ready while there is no network configuration', async () => {
    await until(async () => (await ready())?.status === 'False');
    expect(await ready()).toMatchObject({
      reason: 'KubeletNotReady',
      message:
        'container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized',
    });
  });

  test('is ready soon after a conflist appears', async () => {
    await writeFile(join(containerd.cniConf, '10-test.conflist'), testConflist(containerd.directory));
    const begun = Date.now();
    await until(async () => (await ready())?.status === 'True');
    expect(Date.now() - begun).toBeLessThan(1_500);
  });

  test('runs a pod whose host port answers through portmap', async () => {
    const pod = busyboxPod('echo', [], {
      containers: [
        {
          name: 'echo',
          image: BUSYBOX_IMAGE,
          imagePullPolicy: 'Never',
          command: ['sh', '-c', 'while :; do echo answered | nc -l -p 8080; done'],
          ports: [{ containerPort: 8080, hostPort: 80, protocol: 'TCP' }],
        },
      ],
    });
    await api.create(pods, pod);
    const running = await waitForPod(api, 'echo', (found) => found?.status?.phase === 'Running');
    expect(running?.status?.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'PodReadyToStartContainers=True',
      'Initialized=True',
      'Ready=True',
      'ContainersReady=True',
      'PodScheduled=True',
    ]);
    expect(running?.status).toMatchObject({
      hostIP: '172.17.0.2',
      qosClass: 'BestEffort',
      podIP: expect.stringMatching(/^10\.99\.0\./),
      containerStatuses: [
        { name: 'echo', ready: true, started: true, restartCount: 0, image: BUSYBOX_IMAGE },
      ],
    });
    const { podIP } = running!.status!;
    await until(
      async () => (await inNode('busybox', 'nc', '-w', '2', podIP!, '8080')).stdout === 'answered\n',
    );
    const rules = (await inNode('iptables-save')).stdout;
    expect(rules).toContain('--dports 80');
    expect(rules).toContain(`--to-destination ${running!.status!.podIP}:8080`);
  });
});

async function until(holds: () => Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      if (await holds()) return;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`not so within ${timeoutMs} ms`, { cause: last });
    await Bun.sleep(15);
  }
}
void [cp, readdir, rm, output, connectRuntime, events];
