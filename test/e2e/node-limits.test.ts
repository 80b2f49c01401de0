import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultLimits, readMachineSize } from '../../src/lab/cluster/node-limits.ts';
import { MACHINE_WIDE } from '../../src/lab/cluster/node-spec.ts';
import { clusterPaths } from '../../src/lab/cluster/paths.ts';
import { cgroupHierarchies, cgroupMode } from '../../src/sys/cgroups.ts';
import { readProcFile } from '../../src/sys/processes.ts';
import { eventually } from './eventually.ts';
import { EXAMPLE, Lab, labMissing, leftovers, PROGRAM } from './lab.ts';
import { pidIn, pidsIn } from './node-view.ts';

const missing = labMissing();
const MIB = 1024 * 1024;
const CONTROL_PLANE = 'limits-control-plane';
const WORKER = 'limits-worker';
/** Twice what a node may have, and no more. */
const RUNAWAY = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=600M', 'count=1'];

describe.skipIf(missing !== undefined)(`what a node can take${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('limits');

  beforeAll(async () => {
    const config = lab.file(
      'config.yaml',
      'kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha4\nnodes: [{role: control-plane}, {role: worker}]\n',
    );
    await lab.must('create', 'cluster', '--name', lab.name, '--config', config, '--node-memory', '300Mi');
    const ran = await lab.kubectl(['apply', '-f', '-'], { stdin: podOn('steady', WORKER) });
    expect(ran.stderr).toBe('');
    await kubectl('wait', '--for=condition=Ready', 'pod/steady', '--timeout=60s');
  });
  afterAll(() => lab.delete());

  async function kubectl(...words: string[]): Promise<string> {
    const ran = await lab.kubectl(words);
    if (ran.code !== 0) throw new Error(`kubectl ${words.join(' ')}: exit ${ran.code}\n${ran.stderr}`);
    return ran.stdout.trim();
  }
  /** A file of a node's cgroup in the hierarchy that has a controller. */
  function limitFile(node: string, controller: string, files: { 1: string; 2: string }): string {
    const found = cgroupHierarchies().find(({ controllers }) => controllers.includes(controller))!;
    return join(found.mount, `hostport-${lab.name}-${node}`, files[found.version]);
  }
  const numberIn = (path: string) => Number(readFileSync(path, 'utf8'));
  const tasks = (node: string, what: 'max' | 'current') =>
    limitFile(node, 'pids', { 1: `pids.${what}`, 2: `pids.${what}` });
  const daemons = (node: string, ...names: string[]) => names.map((name) => pidIn(lab, node, name));
  const controlPlane = () => daemons(CONTROL_PLANE, 'etcd', 'kube-apiserver', 'containerd', 'kubelet');

  /** A pod of the class that is killed last when memory runs out: everything else is killed first. */
  function podOn(name: string, node: string): string {
    return `apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  nodeName: ${node}
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'trap "exit 3" TERM; while :; do sleep 0.2; done', ${name}]
    resources: {requests: {cpu: 10m, memory: 10Mi}, limits: {cpu: 10m, memory: 10Mi}}
`;
  }

  test('is what its Node says it has, and the limits of its cgroup', async () => {
    for (const node of [CONTROL_PLANE, WORKER]) {
      const memory = limitFile(node, 'memory', { 1: 'memory.limit_in_bytes', 2: 'memory.max' });
      expect(numberIn(memory)).toBe(300 * MIB);
      expect(numberIn(tasks(node, 'max'))).toBe(defaultLimits(readMachineSize(), 2).tasks);
      expect(await kubectl('get', 'node', node, '-o', 'jsonpath={.status.capacity.memory}')).toBe('300Mi');
    }
  });

  test('its pods are in its cgroup, in every hierarchy', async () => {
    const cgroups = readFileSync(`/proc/${pidOf('steady')}/cgroup`, 'utf8')
      .trim()
      .split('\n');
    for (const line of cgroups) expect(line).toContain(`:/hostport-${lab.name}-${WORKER}`);
  });

  test('sees as the root of cgroups of version 2 its own, below that of the machine', async () => {
    const machine = cgroupHierarchies().find(({ version }) => version === 2)!;
    const own = statSync(join(machine.mount, `hostport-${lab.name}-${WORKER}`)).ino;
    const inside = cgroupMode() === 'unified' ? '/sys/fs/cgroup' : '/sys/fs/cgroup/unified';
    const ran = await lab.inNode(WORKER, 'stat', '-c', '%i', inside);
    expect(Number(ran.stdout)).toBe(own);
  });

  test("can change no setting that is the machine's", async () => {
    const machine = ['abi', 'debug', 'dev', 'fs', 'kernel', 'user', 'vm'].map((name) => `/proc/sys/${name}`);
    const there = [...machine, '/sys/kernel', '/sys/module'].filter((path) => existsSync(path));
    const ran = await lab.inNode(WORKER, 'find', ...there, '-type', 'f', '-writable');
    expect(ran.stdout).toBe('');
    const attempt = await lab.inNode(
      WORKER,
      'sh',
      '-c',
      'echo 1 >/proc/sys/kernel/unprivileged_bpf_disabled',
    );
    expect(attempt.stderr).not.toBe('');
    // Of the network, a node has what is its namespace's.
    const network = await lab.inNode(WORKER, 'sh', '-c', 'ls -d /proc/sys/net/core/bpf_*');
    expect(network.stdout).toBe('');
    const forwarding = await lab.inNode(WORKER, 'sysctl', '-w', 'net.ipv4.ip_forward=1');
    expect(forwarding.code).toBe(0);
  });

  test("has privileged pods that can change no setting that is the machine's", async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'privileged' },
      spec: {
        nodeName: WORKER,
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'all',
            image: 'busybox',
            imagePullPolicy: 'IfNotPresent',
            command: ['sleep', '1000'],
            securityContext: { privileged: true },
          },
        ],
      },
    };
    const ran = await lab.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(pod) });
    expect(ran.stderr).toBe('');
    await kubectl('wait', '--for=condition=Ready', 'pod/privileged', '--timeout=60s');
    // By its mounts, and nothing written: it would be the machine's.
    const mounts = (await kubectl('exec', 'privileged', '--', 'cat', '/proc/self/mountinfo')).split('\n');
    const readOnly = mounts
      .map((line) => line.split(' '))
      .filter(([, , , , , options]) => options!.split(',').includes('ro'))
      .map(([, , , , path]) => path!);
    expect(readOnly).toEqual(expect.arrayContaining(MACHINE_WIDE.filter((path) => existsSync(path))));
    // Of the network it has what is its namespace's, as a node has.
    await kubectl('exec', 'privileged', '--', 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward');
    await kubectl('delete', 'pod', 'privileged', '--timeout=60s');
  });

  test("has a file system for pinned programs of its own, the kernel's log, and an identity", async () => {
    const pinned = '/sys/fs/bpf/limits';
    expect((await lab.inNode(WORKER, 'mkdir', pinned)).code).toBe(0);
    expect(existsSync(pinned)).toBe(false);
    expect((await lab.inNode(CONTROL_PLANE, 'test', '-e', pinned)).code).toBe(1);
    expect((await lab.inNode(WORKER, 'test', '-c', '/dev/kmsg')).code).toBe(0);
    // Mounts that appear later are seen by the pods that ask for them.
    const mounts = await lab.inNode(WORKER, 'cat', '/proc/self/mountinfo');
    expect(mounts.stdout).toMatch(/^\d+ \d+ \S+ \S+ \/ \S+ shared:/m);
    const ids = await Promise.all(
      [CONTROL_PLANE, WORKER].map((node) => lab.inNode(node, 'cat', '/etc/machine-id')),
    );
    for (const { stdout } of ids) expect(stdout).toMatch(/^[0-9a-f]{32}\n$/);
    expect(ids[0]!.stdout).not.toBe(ids[1]!.stdout);
  });

  test('a process that takes more memory is killed, and nothing else is harmed', async () => {
    const before = [...controlPlane(), ...daemons(WORKER, 'containerd', 'kubelet')];
    const ran = await lab.inNode(WORKER, ...RUNAWAY);
    expect(ran.code).toBe(137);
    expect([...controlPlane(), ...daemons(WORKER, 'containerd', 'kubelet')]).toEqual(before);
    expect(await podState('steady')).toBe('Running 0');
  });

  test('a daemon that is killed for it dies alone and is started again; the node works on', async () => {
    const before = controlPlane();
    const [containerd] = daemons(WORKER, 'containerd');
    // As if it were the runaway: the one that the kernel takes first.
    writeFileSync(`/proc/${containerd}/oom_score_adj`, '1000');
    await lab.inNode(WORKER, ...RUNAWAY);
    await eventually('another containerd', () => pidIn(lab, WORKER, 'containerd') !== containerd);
    expect(controlPlane()).toEqual(before);
    expect(await podState('steady')).toBe('Running 0');
    await works('after-memory');
  });

  test('processes beyond its tasks are not started, and others start theirs', async () => {
    const max = tasks(WORKER, 'max');
    const usual = readFileSync(max, 'utf8');
    // A limit that is reached with few.
    writeFileSync(max, String(numberIn(tasks(WORKER, 'current')) + 60));
    try {
      const ran = await lab.inNode(WORKER, 'sh', '-c', 'for i in $(seq 100); do sleep 2 & done');
      expect(ran.code).not.toBe(0);
      expect(ran.stderr).toMatch(/fork/);
      expect(numberIn(tasks(WORKER, 'current'))).toBeLessThanOrEqual(numberIn(max));
      expect((await lab.inNode(CONTROL_PLANE, 'true')).code).toBe(0);
    } finally {
      writeFileSync(max, usual);
    }
    await works('after-tasks');
  });

  test('a container that outlived it and ends by itself is not said to have been killed', async () => {
    process.kill(pidOf('steady'), 'SIGTERM');
    await eventually('it to be started again', async () => (await podState('steady')).endsWith(' 1'));
    const last = '.status.containerStatuses[0].lastState.terminated';
    const path = `jsonpath={${last}.exitCode} {${last}.reason}`;
    expect(await kubectl('get', 'pod', 'steady', '-o', path)).toBe('3 Error');
  });

  test.each(['255Mi', '-1Gi', 'much', ''])(
    '--node-memory %p is refused before anything is made',
    async (size) => {
      const ran = await lab.hostport('create', 'cluster', '--name', 'limits-not', '--node-memory', size);
      expect(ran.stderr).toContain('want a size of at least 256Mi, as 512Mi or 2Gi.');
      expect(ran.code).toBe(2);
      expect(leftovers('limits-not')).toEqual([]);
    },
  );

  test('leaves no cgroup in any hierarchy, of no container', async () => {
    const containers = await Promise.all(
      [CONTROL_PLANE, WORKER].map((node) =>
        lab.inNode(node, 'ctr', '-n', 'k8s.io', 'containers', 'ls', '-q'),
      ),
    );
    const ids = containers.flatMap(({ stdout }) => stdout.split('\n').filter(Boolean));
    expect(ids.length).toBeGreaterThan(1);
    await lab.must('delete', 'cluster', '--name', lab.name);
    const names = cgroupHierarchies().flatMap(({ mount }) => readdirSync(mount));
    expect(names.filter((name) => ids.includes(name) || name.startsWith('hostport-limits-'))).toEqual([]);
    expect(leftovers(lab.name)).toEqual([]);
  });

  test('is as much as it likes where the machine has only cgroups of version 2 and no such controllers, which is said', async () => {
    const script = `umount -l /sys/fs/cgroup/* 2>/dev/null; umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
trap '${PROGRAM} delete cluster --name ${lab.name}; find /sys/fs/cgroup -name "hostport-${lab.name}-*"' EXIT
${PROGRAM} create cluster --name ${lab.name} --config ${unified()} || exit 1
kubectl run early --image=busybox --restart=Never -- sleep 1000
kubectl wait --for=condition=Ready pod/early --timeout=60s
${PROGRAM} exec ${CONTROL_PLANE} -- cat /proc/1/cgroup
cat /proc/$(cat ${clusterPaths(lab.name).node(CONTROL_PLANE).pidFile})/cgroup | grep '^0:'
`;
    const ran = await lab.command(['unshare', '-m', 'sh', '-c', script]);
    for (const [what, controller] of [
      ['memory', 'memory'],
      ['tasks', 'pids'],
    ]) {
      const warning = `warning: cannot limit the ${what} of nodes: no cgroup hierarchy has the controller "${controller}"; a runaway`;
      expect(ran.stderr.split(warning).length).toBe(2);
    }
    expect(ran.stdout).toContain('pod/early condition met');
    // Its own processes are in a leaf, beside those of its pods.
    expect(ran.stdout).toMatch(/^0::\/init$/m);
    expect(ran.stdout).toMatch(/^0::\/hostport-limits-limits-[a-z-]+\/init$/m);
    expect(ran.stdout).not.toContain('/sys/fs/cgroup/hostport');
    expect(ran.code).toBe(0);
    expect(leftovers(lab.name)).toEqual([]);
  });

  function unified(): string {
    const cni = join(EXAMPLE, 'kind/cni/cilium.yaml');
    return lab.file(
      'unified.yaml',
      `kind: Cluster
apiVersion: kind.sigs.k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts: [{hostPath: ${cni}, containerPath: /kind/manifests/default-cni.yaml}]
- role: worker
`,
    );
  }

  /** PID of what runs in a pod of the worker. */
  function pidOf(pod: string): number {
    const pids = pidsIn(lab, WORKER, 'sh').filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').endsWith(`\0${pod}\0`),
    );
    // A shell that is about to run a program is there twice for a moment.
    const first = pids.filter((pid) => !pids.includes(parentOf(pid)));
    if (first.length !== 1) throw new Error(`${first.length} processes of pod ${pod}`);
    return first[0]!;
  }

  function parentOf(pid: number): number {
    return Number(/^PPid:\s+(\d+)$/m.exec(readProcFile(`/proc/${pid}/status`))?.[1]);
  }

  /** Phase and restarts of a pod. */
  function podState(name: string): Promise<string> {
    const path = '{.status.phase} {.status.containerStatuses[0].restartCount}';
    return kubectl('get', 'pod', name, '-o', `jsonpath=${path}`);
  }

  /** The worker takes a pod and runs it. */
  async function works(pod: string): Promise<void> {
    expect((await lab.kubectl(['apply', '-f', '-'], { stdin: podOn(pod, WORKER) })).code).toBe(0);
    await kubectl('wait', '--for=condition=Ready', `pod/${pod}`, '--timeout=60s');
    await kubectl('wait', '--for=condition=Ready', `node/${WORKER}`, '--timeout=60s');
    await kubectl('delete', 'pod', pod, '--timeout=60s');
  }
});
