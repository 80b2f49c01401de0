/**
 * How the doctor does on a cluster of many nodes, from a kubeconfig on: `bun bench/scale.bench.ts [NODES…]` (default 1000 and 5000; built beforehand).
 * The API server is made up and served over HTTPS on loopback (test/simulated/api.ts): every request, and every question to a node, takes 100 ms
 * longer than it would. Prints time by phase, peak memory and requests; then time and peak memory of a diagnosis of what was saved.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linesOf } from '../src/sys/lines.ts';
import { FAULTS } from './large-cluster.ts';

const PODS_PER_NODE = 30;
const LATENCY_MS = 100;
const program = join(import.meta.dir, '../bin/hostport');
const given = process.argv.slice(2).map(Number);
const sizes = given.length > 0 ? given : [1000, 5000];

const { version } = JSON.parse(Bun.spawnSync([program, 'version', '-o', 'json']).stdout.toString()) as {
  version: string;
};

for (const nodes of sizes) await measure(nodes);

async function measure(nodes: number): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'hostport-scale-'));
  const server = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dir, 'scale/server.ts'),
      ...[nodes, PODS_PER_NODE, LATENCY_MS, version].map(String),
    ],
    { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' },
  );
  try {
    const lines = linesOf(server.stdout, 1024 * 1024);
    const next = async () => (await lines.next()).value ?? '';
    const kubeconfig = join(scratch, 'kubeconfig');
    writeFileSync(kubeconfig, await next());
    const bundle = join(scratch, 'bundle');
    const pods = nodes * PODS_PER_NODE;
    console.log(`\n${nodes} nodes, ${pods} pods with hostPorts, ${LATENCY_MS} ms a request`);
    const collected = await doctor(['--kubeconfig', kubeconfig, '--save', bundle], pods);
    console.log(`from a kubeconfig: ${describe(collected)}`);
    for (const [phase, seconds] of collected.phases)
      console.log(`  ${seconds.toFixed(1).padStart(6)} s  ${phase}`);
    server.stdin.write('\n');
    server.stdin.flush();
    const requests = JSON.parse(await next()) as Record<string, number>;
    console.log(
      `requests: ${Object.entries(requests)
        .map(([what, count]) => `${count} ${what}`)
        .join(', ')}`,
    );
    console.log(`once collected: ${describe(await doctor(['--from', bundle], pods))}`);
  } finally {
    server.kill();
    await server.exited;
    rmSync(scratch, { recursive: true, force: true });
  }
}

interface Measured {
  seconds: number;
  /** Of the processor. */
  cpuSeconds: number;
  bytes: number;
  /** Phases in their order, and how long each took. */
  phases: [string, number][];
}

function describe({ seconds, cpuSeconds, bytes }: Measured): string {
  return `${seconds.toFixed(1)} s (${cpuSeconds.toFixed(1)} s of CPU), peak ${(bytes / 1e6).toFixed(0)} MB`;
}

async function doctor(words: readonly string[], pods: number): Promise<Measured> {
  const begin = performance.now();
  const ran = Bun.spawn([program, 'doctor', ...words, '-o', 'json'], { stdout: 'pipe', stderr: 'pipe' });
  const text = new Response(ran.stdout).text();
  const seen: [string, number][] = [];
  for await (const line of linesOf(ran.stderr, 1024 * 1024)) {
    // On a busy machine, requests are tried again.
    if (line.startsWith('WARNING: ')) continue;
    const phase = line.replace(/ \d+\/.*$/, '');
    if (seen.at(-1)?.[0] !== phase) seen.push([phase, performance.now()]);
  }
  const code = await ran.exited;
  const end = performance.now();
  const { paths, findings } = JSON.parse(await text) as { paths: unknown[]; findings: { code: string }[] };
  const codes = new Set(findings.map((finding) => finding.code));
  if (
    code !== 1 ||
    paths.length !== pods ||
    codes.size < FAULTS.length ||
    !FAULTS.every((one) => codes.has(one))
  )
    throw new Error(`doctor: exit ${code}, ${paths.length} mappings, found ${[...codes].join(', ')}`);
  const used = ran.resourceUsage();
  return {
    seconds: (end - begin) / 1000,
    cpuSeconds: Number(used?.cpuTime.total ?? 0) / 1e6,
    bytes: used?.maxRSS ?? 0,
    phases: seen.map(([phase, at], i) => [phase, ((seen[i + 1]?.[1] ?? end) - at) / 1000]),
  };
}
