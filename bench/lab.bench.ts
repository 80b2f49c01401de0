/**
 * How fast and how large the lab is: `bun bench/lab.bench.ts [RUNS]` (default 5, as root, built beforehand).
 * Prints medians: creation to all nodes Ready by step, to three hostPorts answering, deletion, memory and CPU at rest.
 */
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuSeconds, processesOf, pssBytes } from './processes.ts';
import { median } from './statistics.ts';

const root = join(import.meta.dir, '..');
const program = join(root, 'bin/hostport');
const example = join(root, 'examples/kind-cilium-portmap');
const CLUSTER = 'kind';
const IDLE_SECONDS = 20;
const runs = Number(process.argv[2] ?? 5);

/** The how-to's cluster with its three workers as they should be, so that all three hostPorts answer. */
const mount = (path: string, file: string) =>
  `  - {containerPath: ${path}, hostPath: ${join(example, 'kind/cni', file)}, readOnly: true, type: File}\n`;
const conflist = mount('/etc/cni/net.d/000-cilium-portmap.conflist', '000-cilium-portmap.conflist');
const config = `kind: Cluster
apiVersion: kind.sigs.k8s.io/v1alpha4
networking: {podSubnet: 192.168.0.0/16}
nodes:
- role: control-plane
  extraMounts:
${mount('/kind/manifests/default-cni.yaml', 'cilium.yaml')}${conflist}${`- role: worker\n  extraMounts:\n${conflist}`.repeat(3)}`;

if (existsSync(`/var/lib/hostport/clusters/${CLUSTER}`))
  throw new Error(`a cluster ${CLUSTER} is up; it is not for a bench to take`);
const scratch = await mkdtemp(join(tmpdir(), 'hostport-bench-'));
const configFile = join(scratch, 'config.yaml');
await writeFile(configFile, config);
const env = { ...process.env, KUBECONFIG: join(scratch, 'kubeconfig') };

const steps = new Map<string, number[]>();
const record = (name: string, seconds: number) => steps.set(name, [...(steps.get(name) ?? []), seconds]);
let idle: { pss: number; cpu: number; byName: Map<string, number> } | undefined;
try {
  for (let run = 0; run < runs; run++) {
    const begin = performance.now();
    const progress = hostport('create', 'cluster', '--config', configFile);
    record('create to all nodes Ready', (performance.now() - begin) / 1000);
    for (const match of progress.matchAll(/✓ (.+?) ([\d.]+)s$/gm)) record(`  ${match[1]}`, Number(match[2]));
    hostport('run', '--', 'kubectl', 'apply', '-f', join(example, 'manifests/static'));
    await allAnswer();
    record('create to three hostPorts answering', (performance.now() - begin) / 1000);
    if (run === 0) idle = await measureIdle();
    const deletion = performance.now();
    hostport('delete', 'cluster');
    record('delete', (performance.now() - deletion) / 1000);
    const left = processesOf(CLUSTER);
    if (left.length > 0) throw new Error(`after delete: ${left.map(({ name, pid }) => `${name} ${pid}`)}`);
  }
} finally {
  hostport('delete', 'cluster');
  rmSync(scratch, { recursive: true, force: true });
}

console.log(`\nmedian of ${runs} runs`);
for (const [name, seconds] of steps) {
  console.log(
    `${name.padEnd(48)} ${median(seconds).toFixed(2)} s   (${Math.min(...seconds).toFixed(2)} to ${Math.max(...seconds).toFixed(2)})`,
  );
}
console.log(`${'memory at rest (PSS of all processes)'.padEnd(48)} ${(idle!.pss / 1e6).toFixed(0)} MB`);
for (const [name, bytes] of [...idle!.byName].sort((a, b) => b[1] - a[1])) {
  console.log(`  ${name.padEnd(46)} ${(bytes / 1e6).toFixed(0)} MB`);
}
console.log(
  `${`CPU at rest over ${IDLE_SECONDS} s`.padEnd(48)} ${(idle!.cpu * 100).toFixed(1)} % of one core`,
);

/** Resolves when every hostPort answers; throws with the table of answers after a minute. */
async function allAnswer(): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const { exitCode, stdout } = Bun.spawnSync([program, 'answers'], { env });
    if (exitCode === 0) return;
    if (performance.now() > deadline) throw new Error(`not every hostPort answers:\n${stdout}`);
    await Bun.sleep(50);
  }
}

/** Runs the program, throws when it fails, returns what it told on standard error. */
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
