/**
 * What the agent costs and how fast it is: `bun bench/agent.bench.ts [IDLE_SECONDS] [PODS]` (default 300 and 100, as root, built beforehand). On
 * the worker of a cluster of two nodes, as `hostport agent install` installs it: CPU (with every program it runs) and memory while nothing
 * happens, in both modes; how long a hostPort does not answer after its mapping was flushed, and how long a plugin is missing; and the same with
 * many pods, which start at once.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../test/e2e/eventually.ts';
import { cpuSeconds, cpuSecondsWithChildren, processesOf, pssBytes } from './processes.ts';
import { median } from './statistics.ts';

const root = join(import.meta.dir, '..');
const program = join(root, 'bin/hostport');
const CLUSTER = 'watch-bench';
const NODE = `${CLUSTER}-worker`;
/** As long as from one look to the next: each takes what twenty glances take. */
const idleSeconds = Number(process.argv[2] ?? 300);
const manyPods = Number(process.argv[3] ?? 100);
const FIRST_PORT = 10_000;
/** Fewer within a minute than what the agent takes for a fight. */
const RUNS = 4;
const PORTMAP = '/opt/cni/bin/portmap';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-bench-'));
const env = { ...process.env, KUBECONFIG: join(scratch, 'kubeconfig') };
const config = join(scratch, 'config.yaml');
writeFileSync(
  config,
  'kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n- role: worker\n',
);
const pod = join(scratch, 'pod.yaml');
writeFileSync(
  pod,
  `apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  nodeName: ${NODE}
  containers:
  - name: echo
    image: inanimate/echo-server
    ports:
    - {containerPort: 8080, hostPort: 80}
`,
);

try {
  run(program, 'create', 'cluster', '--name', CLUSTER, '--config', config);
  run('kubectl', 'apply', '-f', pod);
  for (const mode of ['observe', 'heal']) {
    run(program, 'agent', 'install', '--name', CLUSTER, `--${mode}`);
    await measureIdle(`${mode}, one pod`, await agentOf(NODE));
  }
  await measureHealing();
  await measureMany();
} finally {
  run(program, 'delete', 'cluster', '--name', CLUSTER);
  rmSync(scratch, { recursive: true, force: true });
}

async function measureIdle(what: string, agent: number): Promise<void> {
  // Its first looks are over.
  await Bun.sleep(5000);
  const before = cpuSecondsWithChildren(agent);
  const ownBefore = cpuSeconds(agent);
  const began = performance.now();
  await Bun.sleep(idleSeconds * 1000);
  const used = cpuSecondsWithChildren(agent) - before;
  const own = cpuSeconds(agent) - ownBefore;
  const share = (100 * used) / ((performance.now() - began) / 1000);
  console.log(
    `${what}, at rest for ${idleSeconds} s: ${share.toFixed(2)} % of one core (${used.toFixed(2)} s, of which ${(used - own).toFixed(2)} s are programs that it runs), ${megabytes(pssBytes(agent))} MB PSS`,
  );
}

/** Many pods with a hostPort each, which start at once: how long after the last of them all answer, and after all mappings were flushed. */
async function measureMany(): Promise<void> {
  const agent = await agentOf(NODE);
  const pods = Array.from({ length: manyPods }, (_, i) => manyPod(`many-${i}`, FIRST_PORT + i));
  const file = join(scratch, 'many.json');
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: pods }));
  await whileAsked(async (allAnswered) => {
    const before = cpuSecondsWithChildren(agent);
    const began = Date.now();
    run('kubectl', 'apply', '-f', file);
    const labelled = ['get', 'pods', '-l', 'many=yes'];
    const phases = 'jsonpath={range .items[*]}{.status.phase}{"\\n"}{end}';
    await eventually(
      'all pods to run',
      () =>
        run('kubectl', ...labelled, '-o', phases)
          .split('\n')
          .every((phase) => phase === 'Running'),
      { timeoutMs: 240_000, intervalMs: 100 },
    );
    const ran = Date.now();
    await eventually('all to answer', () => allAnswered() > 0, { timeoutMs: 60_000, intervalMs: 20 });
    console.log(
      `${manyPods} pods at once: all run after ${((ran - began) / 1000).toFixed(1)} s, and answer ${Math.max(0, allAnswered() - ran)} ms later; the agent took ${(cpuSecondsWithChildren(agent) - before).toFixed(1)} s of one core`,
    );
  });
  // Thousands of connections to them are remembered for two minutes, and each look would read them.
  const connections = () => Number(inNode('cat', '/proc/sys/net/netfilter/nf_conntrack_count'));
  await eventually('the connections to be forgotten', () => connections() < 2 * manyPods, {
    timeoutMs: 300_000,
    intervalMs: 1000,
  });
  await measureIdle(`heal, ${manyPods} pods`, agent);
  await whileAsked(async (allAnswered) => {
    await eventually('all to answer', () => allAnswered() > 0, { timeoutMs: 60_000, intervalMs: 20 });
    const flushed = Date.now();
    inNode('iptables', '-t', 'nat', '-F', 'CNI-HOSTPORT-DNAT');
    await eventually('all to answer again', () => allAnswered() > flushed, {
      timeoutMs: 120_000,
      intervalMs: 20,
    });
    console.log(`all ${manyPods} mappings flushed: all answer again after ${allAnswered() - flushed} ms`);
  });
  console.log(`memory afterwards: ${megabytes(pssBytes(agent))} MB PSS`);
}

/** While all ports of the many pods are asked again and again: `allAnswered` says when all did last after some did not, 0 for never. */
async function whileAsked(work: (allAnswered: () => number) => Promise<void>): Promise<void> {
  const words = ['run', '--name', CLUSTER, '--', process.execPath, join(root, 'bench/answering.ts')];
  const probe = Bun.spawn([program, ...words, addressOf(NODE), String(FIRST_PORT), String(manyPods)], {
    ...{ env, stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' },
  });
  let printed = '';
  const read = (async () => {
    for await (const chunk of probe.stdout) printed += new TextDecoder().decode(chunk);
  })();
  try {
    await work(() => Number(printed.match(new RegExp(`(?<=^${manyPods} )\\d+$`, 'gm'))?.at(-1) ?? 0));
  } finally {
    await probe.stdin.end();
    await Promise.all([probe.exited, read]);
  }
}

function manyPod(name: string, hostPort: number): Record<string, unknown> {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { many: 'yes' } } },
    spec: {
      nodeName: NODE,
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          ...{ name: 'web', image: 'busybox', command: ['httpd', '-f', '-p', '8080', '-h', '/'] },
          ports: [{ containerPort: 8080, hostPort }],
        },
      ],
    },
  };
}

function addressOf(node: string): string {
  return run('kubectl', 'get', 'node', node, '-o', 'jsonpath={.status.addresses[0].address}');
}

async function measureHealing(): Promise<void> {
  const address = addressOf(NODE);
  const probe = Bun.spawn(
    [
      program,
      'run',
      '--name',
      CLUSTER,
      '--',
      process.execPath,
      join(root, 'test/e2e/outage.ts'),
      `http://${address}:80/`,
    ],
    { env, stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' },
  );
  let printed = '';
  const read = (async () => {
    for await (const chunk of probe.stdout) printed += new TextDecoder().decode(chunk);
  })();
  await eventually('the hostPort to answer', () => printed.startsWith('up') || printed.includes('\nup'));
  const flushed: number[] = [];
  const missing: number[] = [];
  for (let time = 0; time < RUNS; time++) {
    const from = printed.length;
    inNode('iptables', '-t', 'nat', '-F', 'CNI-HOSTPORT-DNAT');
    await eventually('it to answer again', () => /down \d+\nup \d+\n$/.test(printed.slice(from)), {
      intervalMs: 20,
    });
    const [, down, up] = /down (\d+)\nup (\d+)\n$/.exec(printed.slice(from))!;
    flushed.push(Number(up) - Number(down));
    inNode('mv', PORTMAP, '/opt/portmap.away');
    await eventually('portmap to be back', () => succeeds('exec', NODE, '--', 'test', '-x', PORTMAP), {
      intervalMs: 50,
    });
    missing.push(changedAt(PORTMAP) - changedAt('/opt/portmap.away'));
    await Bun.sleep(1000);
  }
  await probe.stdin.end();
  await Promise.all([probe.exited, read]);
  print('a flushed mapping answers again after', flushed);
  print('a removed plugin is back after', missing);
}

/** The process ID of the agent on a node. A node's processes are those in its cgroup. */
async function agentOf(node: string): Promise<number> {
  let found: number | undefined;
  await eventually('the agent to run', () => {
    found = processesOf(CLUSTER).find(({ pid }) => {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return (
        words[1] === 'agent' && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`NODE_NAME=${node}\0`)
      );
    })?.pid;
    return found !== undefined;
  });
  return found!;
}

function changedAt(path: string): number {
  return Number(inNode('stat', '-c', '%.3Z', path)) * 1000;
}

function inNode(...argv: string[]): string {
  return run(program, 'exec', NODE, '--', ...argv);
}

function print(what: string, values: number[]): void {
  console.log(
    `${what} ${median(values).toFixed(0)} ms, median of ${values.map((value) => value.toFixed(0)).join(', ')}`,
  );
}

function megabytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(0);
}

function succeeds(...words: string[]): boolean {
  return Bun.spawnSync([program, ...words], { env, stdio: ['ignore', 'ignore', 'ignore'] }).exitCode === 0;
}

function run(...argv: string[]): string {
  const ran = Bun.spawnSync(argv, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  if (ran.exitCode !== 0) throw new Error(`${argv.join(' ')}: exit ${ran.exitCode}\n${ran.stderr}`);
  return String(ran.stdout).trim();
}
