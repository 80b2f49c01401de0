/**
 * How fast and how large the lab is: `bun bench/lab.bench.ts [RUNS]` (default 5, as root, built beforehand). Prints medians:
 * the how-to's cluster to all nodes Ready; one with its three workers as they should be to three hostPorts answering; deletion;
 * CPU seconds of the nodes until Ready, which a busy machine changes less than the time; memory and CPU at rest.
 */
import { existsSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuSeconds, nodeCpuSeconds, processesOf, pssBytes } from './processes.ts';
import { median } from './statistics.ts';

const root = join(import.meta.dir, '..');
const program = join(root, 'bin/hostport');
const example = join(root, 'examples/kind-cilium-portmap');
const CLUSTER = 'bench';
const IDLE_SECONDS = 20;
const runs = Number(process.argv[2] ?? 5);

if (existsSync(`/var/lib/hostport/clusters/${CLUSTER}`))
  throw new Error(`cannot measure: cluster ${CLUSTER} already exists; delete it first`);
const scratch = await mkdtemp(join(tmpdir(), 'hostport-bench-'));

const mount = (path: string, file: string) =>
  `  - {containerPath: ${path}, hostPath: ${join(example, 'kind/cni', file)}, readOnly: true, type: File}\n`;
const conflist = mount('/etc/cni/net.d/000-cilium-portmap.conflist', '000-cilium-portmap.conflist');
const empty = join(scratch, 'empty');
const good = `- role: worker\n  extraMounts:\n${conflist}`;
const config = (workers: string) => `kind: Cluster
apiVersion: kind.sigs.k8s.io/v1alpha4
name: ${CLUSTER}
networking: {podSubnet: 192.168.0.0/16}
nodes:
- role: control-plane
  extraMounts:
${mount('/kind/manifests/default-cni.yaml', 'cilium.yaml')}${conflist}${workers}`;
/** The how-to's workers: a good one, one that lacks the plugins, one that lacks the conflist. */
const howTo = join(scratch, 'how-to.yaml');
await writeFile(
  howTo,
  config(
    `${good}- role: worker\n  extraMounts:\n  - {containerPath: /opt/cni, hostPath: ${empty}}\n${conflist}- role: worker\n`,
  ),
);
/** Three good ones, so that all three hostPorts answer. */
const three = join(scratch, 'three.yaml');
await writeFile(three, config(good.repeat(3)));
const manifests = join(scratch, 'manifests');
await mkdir(manifests);
for (const name of await readdir(join(example, 'manifests/static'))) {
  const text = await readFile(join(example, 'manifests/static', name), 'utf8');
  await writeFile(join(manifests, name), text.replaceAll('nodeName: kind-', `nodeName: ${CLUSTER}-`));
}
const env = { ...process.env, KUBECONFIG: join(scratch, 'kubeconfig') };

const steps = new Map<string, number[]>();
const record = (name: string, seconds: number) => steps.set(name, [...(steps.get(name) ?? []), seconds]);
let idle: { pss: number; cpu: number; byName: Map<string, number> } | undefined;
try {
  for (let run = 0; run < runs; run++) {
    await mkdir(empty);
    create(howTo, "how-to's cluster");
    remove();
    rmSync(empty, { recursive: true });
    const begin = create(three, 'three good workers');
    hostport('run', '--name', CLUSTER, '--', 'kubectl', 'apply', '-f', manifests);
    await allAnswer();
    record('three good workers to three hostPorts answering', (performance.now() - begin) / 1000);
    if (run === 0) idle = await measureIdle();
    record('delete', remove());
  }
} finally {
  hostport('delete', 'cluster', '--name', CLUSTER);
  rmSync(scratch, { recursive: true, force: true });
}

console.log(`\nmedian of ${runs} runs`);
for (const [name, seconds] of steps) {
  console.log(
    `${name.padEnd(66)} ${median(seconds).toFixed(2)} s   (${Math.min(...seconds).toFixed(2)} to ${Math.max(...seconds).toFixed(2)})`,
  );
}
console.log(`${'memory at rest (PSS of all processes)'.padEnd(66)} ${(idle!.pss / 1e6).toFixed(0)} MB`);
for (const [name, bytes] of [...idle!.byName].sort((a, b) => b[1] - a[1])) {
  console.log(`  ${name.padEnd(64)} ${(bytes / 1e6).toFixed(0)} MB`);
}
console.log(
  `${`CPU at rest over ${IDLE_SECONDS} s`.padEnd(66)} ${(idle!.cpu * 100).toFixed(1)} % of one core`,
);

/** Creates the cluster and notes its steps; returns when it began. */
function create(file: string, what: string): number {
  const begin = performance.now();
  const progress = hostport('create', 'cluster', '--config', file);
  record(`${what} to all nodes Ready`, (performance.now() - begin) / 1000);
  for (const match of progress.matchAll(/✓ (.+?) ([\d.]+)s$/gm))
    record(`  ${what}: ${match[1]}`, Number(match[2]));
  record(`  ${what}: CPU of the nodes`, nodeCpuSeconds(CLUSTER));
  return begin;
}

/** Deletes the cluster and looks whether something is left; returns how many seconds it took. */
function remove(): number {
  const begin = performance.now();
  hostport('delete', 'cluster', '--name', CLUSTER);
  const seconds = (performance.now() - begin) / 1000;
  const left = processesOf(CLUSTER);
  if (left.length > 0) throw new Error(`after delete: ${left.map(({ name, pid }) => `${name} ${pid}`)}`);
  return seconds;
}

/** Resolves when every hostPort answers; throws with the table of answers after a minute. */
async function allAnswer(): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const { exitCode, stdout } = Bun.spawnSync([program, 'answers', '--name', CLUSTER], { env });
    if (exitCode === 0) return;
    if (performance.now() > deadline) throw new Error(`not every hostPort answers:\n${stdout}`);
    await Bun.sleep(50);
  }
}

/** Runs the program and returns what it printed on standard error; throws when it fails. */
function hostport(...words: string[]): string {
  const { exitCode, stderr, stdout } = Bun.spawnSync([program, ...words], { env });
  const text = stderr.toString();
  if (exitCode !== 0) throw new Error(`hostport ${words.join(' ')}: exit ${exitCode}\n${stdout}${text}`);
  return text;
}

async function measureIdle() {
  await Bun.sleep(3000); // what was started needs a moment to come to rest; rest is what is measured
  const processes = processesOf(CLUSTER);
  const before = processes.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  await Bun.sleep(IDLE_SECONDS * 1000);
  const cpu = (processes.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0) - before) / IDLE_SECONDS;
  const byName = new Map<string, number>();
  for (const { pid, name } of processes) byName.set(name, (byName.get(name) ?? 0) + pssBytes(pid));
  return { pss: [...byName.values()].reduce((a, b) => a + b, 0), cpu, byName };
}
