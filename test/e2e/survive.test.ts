import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient, ListOptions } from '../../src/kube/client.ts';
import { pods as podResource } from '../../src/kube/resources.ts';
import { requireRecord } from '../../src/lab/cluster/record.ts';
import { labClient } from '../../src/lab/doctor/source.ts';
import { eventually } from './eventually.ts';
import { EXAMPLE, Lab, labMissing } from './lab.ts';
import { holdings, pidIn } from './node-view.ts';

const missing = labMissing();
const REPLICAS = 4;
const CONTROL_PLANE = 'survive-control-plane';
const WORKER = 'survive-worker';
const WORKER_ADDRESS = '172.17.0.3';

/** Who is killed during a rollout, and on which node. */
const VICTIMS = [
  ['kube-apiserver', CONTROL_PLANE],
  ['etcd', CONTROL_PLANE],
  ['kube-controller', CONTROL_PLANE],
  ['kube-scheduler', CONTROL_PLANE],
  ['containerd', WORKER],
  ['kubelet', WORKER],
  ['cilium-agent', WORKER],
] as const;

/**
 * How long after pods are bound to a node its containerd is killed, in milliseconds: while it sets sandboxes up, pulls
 * the image (which it does not have), makes containers, starts them.
 */
const CONTAINERD_MOMENTS = [40, 200, 400];

interface PodFacts {
  name: string;
  uid: string;
  ip: string | undefined;
  node: string | undefined;
  deleted: boolean;
  started: string | undefined;
  restarts: number | undefined;
}

describe.skipIf(missing !== undefined)(`kill -9${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('survive');
  let client: ApiClient;
  let bystander: PodFacts;
  /** What the worker holds for pods when only the bystander and the CNI agent's pod are there. */
  let quiet: Awaited<ReturnType<typeof holdings>>;

  beforeAll(async () => {
    const cni = join(EXAMPLE, 'kind/cni');
    const conflist = `{hostPath: ${cni}/000-cilium-portmap.conflist, containerPath: /etc/cni/net.d/000-cilium-portmap.conflist, readOnly: true}`;
    const config = lab.file(
      'config.yaml',
      `kind: Cluster
apiVersion: kind.sigs.k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts:
  - {hostPath: ${cni}/cilium.yaml, containerPath: /kind/manifests/default-cni.yaml}
  - ${conflist}
- role: worker
  extraMounts: [${conflist}]
- role: worker
  extraMounts: [${conflist}]
`,
    );
    await lab.must('create', 'cluster', '--name', lab.name, '--config', config);
    client = await labClient(await requireRecord(lab.name));
    await apply(podOn(WORKER, 'bystander', { image: 'inanimate/echo-server', port: 8080, hostPort: 80 }));
    await kubectl('wait', '--for=condition=Ready', 'pod/bystander', '--timeout=60s');
    bystander = (await pods({ fieldSelector: 'metadata.name=bystander' }))[0]!;
    quiet = await holdings(lab, WORKER);
    expect(quiet).toMatchObject({ echoServers: 1, links: 1, hostPorts: [80] });
  });
  afterAll(() => lab.delete());

  describe('during a rollout: it converges; no pod is lost or doubled, no address given twice, nobody else restarted', () => {
    beforeAll(async () => {
      await apply(`apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: ${REPLICAS}
  strategy: {rollingUpdate: {maxSurge: 2, maxUnavailable: 2}}
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: echo, image: inanimate/echo-server, readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}}]
`);
      await kubectl('rollout', 'status', 'deployment/echo', '--timeout=60s');
    });
    afterAll(async () => {
      await kubectl('delete', 'deployment', 'echo');
      await eventually('everything of the Deployment to be gone', async () => (await pods()).length === 1);
    });

    for (const [round, [victim, node]] of VICTIMS.entries()) {
      test(`${victim} on ${node}`, async () => {
        const before = (await pods({ labelSelector: 'app=echo' })).map(({ uid }) => uid);
        const watch = watchForSharedAddresses();
        await kubectl('set', 'env', 'deployment/echo', `ROUND=${round}`);
        await eventually('the rollout to be under way', async () =>
          (await pods({ labelSelector: 'app=echo' })).some(({ uid }) => !before.includes(uid)),
        );
        await killAndAwaitNext(node, victim);
        await kubectl('rollout', 'status', 'deployment/echo', '--timeout=90s');
        await eventually(
          'old pods to be gone',
          async () => (await pods({ labelSelector: 'app=echo' })).length === REPLICAS,
        );
        const now = await pods({ labelSelector: 'app=echo' });
        expect(now.filter(({ uid }) => before.includes(uid))).toEqual([]);
        // A container that the kubelet had created but not started when it was killed is created a second time, as upstream does.
        const inTheMaking = (pod: PodFacts) => victim === 'kubelet' && pod.node === node;
        expect(now.filter((pod) => (pod.restarts ?? 0) > (inTheMaking(pod) ? 1 : 0))).toEqual([]);
        expect(await watch.stop()).toEqual([]);
        await bystanderIsUnharmed();
        const here = now.filter((pod) => pod.node === WORKER).length;
        await workerHolds(here);
      });
    }
  });

  for (const [round, ms] of CONTAINERD_MOMENTS.entries()) {
    test(`containerd ${ms} ms after pods are bound: sandboxes, pulls and containers under way are made good, nothing of them is left over`, async () => {
      // The image is not on the node, so it is pulled, by whichever pod comes first.
      await lab.inNode(
        WORKER,
        'ctr',
        '-n',
        'k8s.io',
        'images',
        'rm',
        '--sync',
        'docker.io/library/busybox:latest',
      );
      const names = [0, 1, 2].map((index) => `new-${round}-${index}`);
      const ports = names.map((_, index) => 8000 + 10 * round + index);
      const watch = watchForSharedAddresses();
      await apply(
        names
          .map((name, index) => podOn(WORKER, name, { image: 'busybox', port: 7, hostPort: ports[index]! }))
          .join('---\n'),
      );
      await sleep(ms);
      await killAndAwaitNext(WORKER, 'containerd');
      await kubectl('wait', '--for=condition=Ready', ...names.map((name) => `pod/${name}`), '--timeout=60s');
      await bystanderIsUnharmed();
      for (const [index, name] of names.entries()) {
        const answer = await lab.inLab('curl', '-sS', '--max-time', '3', `${WORKER_ADDRESS}:${ports[index]}`);
        expect(answer).toMatchObject({ stdout: `${name}\n`, code: 0 });
      }
      expect(await watch.stop()).toEqual([]);
      await eventually('one sandbox and link a pod', async () => {
        const { sandboxes, links, hostPorts } = await holdings(lab, WORKER);
        return (
          sandboxes === quiet.sandboxes + 3 &&
          links === quiet.links + 3 &&
          hostPorts.join() === [80, ...ports].join()
        );
      });
      await kubectl('delete', ...names.map((name) => `pod/${name}`), '--timeout=60s');
      await workerHolds(0);
    });
  }

  test('the kubelet while a pod terminates: its processes get their time, then everything of it goes', async () => {
    await apply(
      podOn(WORKER, 'slow', {
        image: 'busybox',
        port: 7,
        hostPort: 8000,
        // Says goodbye for two seconds of the thirty it has.
        command: `trap 'touch /said/goodbye; sleep 2; exit 0' TERM; touch /said/hello; while :; do sleep 0.1; done`,
        graceSeconds: 30,
      }),
    );
    await kubectl('wait', '--for=condition=Ready', 'pod/slow', '--timeout=60s');
    const started = Date.now();
    await kubectl('delete', 'pod', 'slow', '--wait=false');
    await eventually(
      'it to be asked to end',
      async () => (await lab.askNode(WORKER, 'test', '-e', '/tmp/said/goodbye')).code === 0,
    );
    await killAndAwaitNext(WORKER, 'kubelet');
    await kubectl('wait', '--for=delete', 'pod/slow', '--timeout=25s');
    expect(Date.now() - started).toBeGreaterThan(2000);
    await workerHolds(0);
    await bystanderIsUnharmed();
  });

  async function kubectl(...words: string[]): Promise<string> {
    const ran = await lab.kubectl(words);
    if (ran.code !== 0)
      throw new Error(`kubectl ${words.join(' ')}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }

  async function apply(manifest: string): Promise<void> {
    const ran = await lab.kubectl(['apply', '-f', '-'], { stdin: manifest });
    if (ran.code !== 0) throw new Error(ran.stderr);
  }

  async function pods(
    selection: Pick<ListOptions, 'labelSelector' | 'fieldSelector'> = {},
  ): Promise<PodFacts[]> {
    // Asked many times a second: not with a process each time.
    const { items } = await client.list(podResource, { namespace: 'default', ...selection });
    return items.map(({ metadata, spec, status }) => ({
      name: metadata!.name!,
      uid: metadata!.uid!,
      ip: status?.podIP,
      node: spec?.nodeName,
      deleted: metadata!.deletionTimestamp !== undefined,
      started: status?.containerStatuses?.[0]?.state?.running?.startedAt,
      restarts: status?.containerStatuses?.[0]?.restartCount,
    }));
  }

  /** Kills a daemon; resolves when its successor runs and the API answers. */
  async function killAndAwaitNext(node: string, victim: string): Promise<void> {
    const pid = pidIn(lab, node, victim);
    process.kill(pid, 'SIGKILL');
    await eventually(`${victim} to be back`, () => pidIn(lab, node, victim) !== pid);
    await eventually(
      'the API to answer',
      async () => (await client.text('/readyz', AbortSignal.timeout(5000))) === 'ok',
    );
  }

  /** Keeps looking for two pods of one address among those that are not being deleted. */
  function watchForSharedAddresses() {
    const shared = new Set<string>();
    let watching = true;
    const done = (async () => {
      while (watching) {
        const byAddress = new Map<string, string>();
        // While the API server is the one that was killed there is nothing to see.
        for (const { ip, name, deleted } of await pods().catch(() => [])) {
          if (ip === undefined || deleted) continue;
          const other = byAddress.get(ip);
          if (other !== undefined) shared.add(`${ip}: ${other} and ${name}`);
          byAddress.set(ip, name);
        }
        await sleep(250);
      }
    })();
    return {
      async stop(): Promise<string[]> {
        watching = false;
        await done;
        return [...shared];
      },
    };
  }

  async function bystanderIsUnharmed(): Promise<void> {
    expect((await pods({ fieldSelector: 'metadata.name=bystander' }))[0]).toEqual(bystander);
    const answer = await lab.inLab('curl', '-sS', '--max-time', '3', WORKER_ADDRESS);
    expect(answer.stdout).toContain('My hostname is: bystander');
  }

  /** The worker comes to hold what `more` echo pods need besides the bystander, and nothing else. */
  async function workerHolds(more: number): Promise<void> {
    const wanted = {
      sandboxes: quiet.sandboxes + more,
      echoServers: quiet.echoServers + more,
      links: quiet.links + more,
      hostPorts: [80],
    };
    let seen: unknown;
    await eventually(
      'the node to hold what its pods need',
      async () => {
        seen = await holdings(lab, WORKER);
        return Bun.deepEquals(seen, wanted);
      },
      { timeoutMs: 30_000 },
    ).catch(() => expect(seen).toEqual(wanted));
  }
});

interface Server {
  image: 'inanimate/echo-server' | 'busybox';
  port: number;
  hostPort: number;
  /** What busybox runs instead of answering with its name. */
  command?: string;
  graceSeconds?: number;
}

/** A pod that is put on a node without the scheduler. */
function podOn(node: string, name: string, server: Server): string {
  const command =
    server.command ??
    `while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n%s\\n' ${name} | nc -l -p ${server.port} >/dev/null; done`;
  const busybox =
    server.image === 'busybox'
      ? `, command: [sh, -c, ${JSON.stringify(command)}], volumeMounts: [{name: said, mountPath: /said}]`
      : '';
  return `apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  nodeName: ${node}
  terminationGracePeriodSeconds: ${server.graceSeconds ?? 1}
  containers: [{name: c, image: ${server.image}, ports: [{containerPort: ${server.port}, hostPort: ${server.hostPort}}]${busybox}}]
  volumes: [{name: said, hostPath: {path: /tmp/said, type: DirectoryOrCreate}}]
`;
}
