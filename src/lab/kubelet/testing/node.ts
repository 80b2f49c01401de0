import { join } from 'node:path';
import { connectRuntime } from '../../../cri/client.ts';
import { BUSYBOX_IMAGE, NODE_IP, type TestContainerd } from '../../../cri/testing/containerd.ts';
import type { FakeApi } from '../../../kube/client.fake.ts';
import { pods } from '../../../kube/resources.ts';
import type { Pod } from '../../../kube/types.ts';
import { realClock } from '../../../sys/clock.ts';
import { realExec } from '../../../sys/exec.ts';
import { Kubelet } from '../kubelet.ts';
import { readMachine } from '../node-status.ts';
import { realMounts } from '../volumes/mounts.ts';

export const NODE_NAME = 'node-1';

/** A kubelet as {@link import('../main.ts').main} makes it, over a test's containerd and a fake API. */
export function startKubelet(
  containerd: TestContainerd,
  client: FakeApi,
): { kubelet: Kubelet; lines: string[]; stop(): Promise<void> } {
  const runtime = connectRuntime(containerd.socket);
  const lines: string[] = [];
  const kubelet = new Kubelet({
    client,
    runtime,
    clock: realClock,
    mounts: realMounts(realExec),
    identity: { name: NODE_NAME, ip: NODE_IP, labels: {}, taints: [] },
    machine: readMachine({ osRelease: 'PRETTY_NAME="Test"' }),
    directories: {
      root: join(containerd.directory, 'kubelet'),
      podLogs: join(containerd.directory, 'log/pods'),
      containerLogs: join(containerd.directory, 'log/containers'),
    },
    dns: { servers: ['10.96.0.10'], domain: 'cluster.local' },
    kubeletPort: 10250,
    cniDirectory: containerd.cniConf,
    log: (line) => {
      lines.push(`${new Date().toISOString()} ${line}`);
      if (process.env.KUBELET_LOG !== undefined) process.stderr.write(`${lines.at(-1)}\n`);
    },
  });
  const running = kubelet.run();
  return {
    kubelet,
    lines,
    async stop() {
      await kubelet.stop();
      await running;
      runtime.close();
    },
  };
}

/** A pod of one busybox container that is bound to the test's node. */
export function busyboxPod(name: string, command: string[], more: Partial<Pod['spec'] & object> = {}): Pod {
  return {
    metadata: { name, namespace: 'default' },
    spec: {
      nodeName: NODE_NAME,
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 1,
      ...more,
      containers: more.containers ?? [
        { name: 'main', image: BUSYBOX_IMAGE, imagePullPolicy: 'Never', command, ports: [] },
      ],
    },
  };
}

/** Waits until a pod satisfies `holds`, looking at every change. @throws with the pod as last seen when it is too late. */
export async function waitForPod(
  api: FakeApi,
  name: string,
  holds: (pod: Pod | undefined) => boolean,
  timeoutMs = 20_000,
): Promise<Pod | undefined> {
  const deadline = performance.now() + timeoutMs;
  let last: Pod | undefined;
  for (;;) {
    last = (await api.list(pods, { namespace: 'default' })).items.find((pod) => pod.metadata?.name === name);
    if (holds(last)) return last;
    if (performance.now() > deadline) {
      throw new Error(
        `pod ${name} is not as expected within ${timeoutMs} ms: ${JSON.stringify(last?.status ?? last, null, 1)}`,
      );
    }
    await realClock.sleep(15);
  }
}
