import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXAMPLE, Lab, labMissing } from './lab.ts';

const missing = labMissing();
const REPLICAS = 4;

/** Who is killed, and on which node. */
const VICTIMS = [
  ['kube-apiserver', 'survive-control-plane'],
  ['etcd', 'survive-control-plane'],
  ['containerd', 'survive-worker'],
  ['kubelet', 'survive-worker'],
  ['cilium-agent', 'survive-worker'],
] as const;

interface PodFacts {
  name: string;
  ip: string;
  node: string;
  uid: string;
  started: string;
  restarts: number;
}

describe.skipIf(missing !== undefined)(`kill -9 during a rollout${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('survive');

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
    const bystander = lab.file(
      'bystander.yaml',
      `apiVersion: v1
kind: Pod
metadata: {name: bystander}
spec:
  nodeName: survive-worker
  containers: [{name: echo, image: inanimate/echo-server, ports: [{containerPort: 8080, hostPort: 80}]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: ${REPLICAS}
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: echo, image: inanimate/echo-server, readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}}]
`,
    );
    await kubectl('apply', '-f', bystander);
    await kubectl('rollout', 'status', 'deployment/echo', '--timeout=60s');
    await kubectl('wait', '--for=condition=Ready', 'pod/bystander', '--timeout=60s');
  });
  afterAll(() => lab.delete());

  async function kubectl(...words: string[]): Promise<string> {
    const ran = await lab.kubectl(words);
    if (ran.code !== 0)
      throw new Error(`kubectl ${words.join(' ')}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }

  async function pods(selector: string): Promise<PodFacts[]> {
    const { items } = JSON.parse(
      await kubectl('get', 'pods', '-o', 'json', ...selector.split(' ').filter(Boolean)),
    );
    // biome-ignore lint/suspicious/noExplicitAny: a document of kubectl
    return items.map((pod: any) => ({
      name: pod.metadata.name,
      uid: pod.metadata.uid,
      ip: pod.status.podIP,
      node: pod.spec.nodeName,
      started: pod.status.containerStatuses?.[0]?.state?.running?.startedAt,
      restarts: pod.status.containerStatuses?.[0]?.restartCount,
    }));
  }

  for (const [round, [victim, node]] of VICTIMS.entries()) {
    test(`${victim} on ${node}: it converges; no pod is lost or doubled, no address given twice, nobody else restarted`, async () => {
      const before = (await pods('--field-selector metadata.name=bystander'))[0]!;
      await kubectl('set', 'env', 'deployment/echo', `ROUND=${round}`);
      const pid = pidIn(node, victim);
      process.kill(pid, 'SIGKILL');
      await eventually(`${victim} to be back`, () => pidIn(node, victim) !== pid);
      await eventually(
        'the API to answer',
        async () => (await lab.kubectl(['get', '--raw', '/readyz'])).code === 0,
      );
      await kubectl('rollout', 'status', 'deployment/echo', '--timeout=90s');
      await eventually('old pods to be gone', async () => (await pods('-l app=echo')).length === REPLICAS);
      const now = await pods('-l app=echo');
      const addresses = (await pods('')).map(({ ip }) => ip);
      expect(new Set(addresses).size).toBe(addresses.length);
      expect(now.every(({ restarts }) => restarts === 0)).toBe(true);
      expect((await pods('--field-selector metadata.name=bystander'))[0]).toEqual(before);
      const answer = await lab.inLab('curl', '-sS', '--max-time', '3', '172.17.0.3');
      expect(answer.stdout).toContain('My hostname is: bystander');
      await eventually('the sandboxes to be those of the pods', async () => {
        const { stdout } = await lab.inNode(node, 'ctr', '-n', 'k8s.io', 'containers', 'ls');
        const sandboxes = stdout.split('\n').filter((line) => line.includes('registry.k8s.io/pause'));
        const wanted = JSON.parse(
          await kubectl('get', 'pods', '-A', '-o', 'json', '--field-selector', `spec.nodeName=${node}`),
        ).items.length;
        return sandboxes.length === wanted;
      });
    });
  }

  /** PID of a process by its name, in a node's cgroup; throws when there is none. */
  function pidIn(node: string, comm: string): number {
    const pid = findPid(node, comm);
    if (pid === undefined) throw new Error(`no ${comm} runs in ${node}`);
    return pid;
  }
});

function findPid(node: string, comm: string): number | undefined {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (readFileSync(`/proc/${entry}/comm`, 'utf8').trim() !== comm) continue;
      // The whole component: survive-worker is the beginning of survive-worker2, too.
      const cgroup = readFileSync(`/proc/${entry}/cgroup`, 'utf8');
      if (new RegExp(`-${node}(/|$)`, 'm').test(cgroup)) return Number(entry);
    } catch (cause) {
      if (!['ENOENT', 'ESRCH'].includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
    }
  }
  return undefined;
}

async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      if (await condition()) return;
      last = 'not so';
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}; last seen: ${last}`);
    await Bun.sleep(100);
  }
}
