/**
 * What the agent costs and how fast it is: `bun bench/agent.bench.ts [IDLE_SECONDS]` (default 120, as root, built beforehand). On
 * the worker of a cluster of two nodes, as `hostport agent install --heal` installs it: CPU (with every program it runs) and memory while
 * nothing happens; how long a hostPort does not answer after its mapping was flushed, and how long a plugin is missing.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../test/e2e/eventually.ts';
import { cpuSecondsWithChildren, processesOf, pssBytes } from './processes.ts';
import { median } from './statistics.ts';

const root = join(import.meta.dir, '..');
const program = join(root, 'bin/hostport');
const CLUSTER = 'watch-bench';
const NODE = `${CLUSTER}-worker`;
const idleSeconds = Number(process.argv[2] ?? 120);
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
  run(program, 'agent', 'install', '--name', CLUSTER, '--heal');
  const agent = await agentOf(NODE);
  await measureIdle(agent);
  await measureHealing();
  console.log(`memory afterwards: ${megabytes(pssBytes(agent))} MB PSS`);
} finally {
  run(program, 'delete', 'cluster', '--name', CLUSTER);
  rmSync(scratch, { recursive: true, force: true });
}

async function measureIdle(agent: number): Promise<void> {
  // Its first looks are over.
  await Bun.sleep(5000);
  const before = cpuSecondsWithChildren(agent);
  const began = performance.now();
  await Bun.sleep(idleSeconds * 1000);
  const used = cpuSecondsWithChildren(agent) - before;
  const share = (100 * used) / ((performance.now() - began) / 1000);
  console.log(
    `at rest for ${idleSeconds} s: ${share.toFixed(2)} % of one core (${used.toFixed(2)} s), ${megabytes(pssBytes(agent))} MB PSS`,
  );
}

async function measureHealing(): Promise<void> {
  const address = run('kubectl', 'get', 'node', NODE, '-o', 'jsonpath={.status.addresses[0].address}');
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
