/**
 * How the doctor does on a large cluster: `bun bench/doctor.bench.ts [NODES] [PODS_PER_NODE] [RUNS]` (default 1000, 30 and 3; built
 * beforehand). Prints time and peak memory of `hostport doctor --from` on the made-up cluster's bundle, and on a tenth of it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FAULTS, writeLargeCluster } from './large-cluster.ts';
import { median } from './statistics.ts';

const program = join(import.meta.dir, '../bin/hostport');
const [nodes, podsPerNode, runs] = [1000, 30, 3].map((value, i) => Number(process.argv[2 + i] ?? value)) as [
  number,
  number,
  number,
];

const scratch = mkdtempSync(join(tmpdir(), 'hostport-bench-'));
try {
  const [tenth, whole] = [Math.ceil(nodes / 10), nodes].map((count) => measure(count));
  console.log(
    `time per pod, ${nodes} nodes against ${Math.ceil(nodes / 10)}: ${(whole!.seconds / whole!.pods / (tenth!.seconds / tenth!.pods)).toFixed(2)}x`,
  );
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function measure(count: number) {
  const directory = join(scratch, String(count));
  writeLargeCluster(directory, { nodes: count, podsPerNode, brokenEvery: 20 }, { probed: false });
  const seconds: number[] = [];
  let peak = 0;
  for (let run = 0; run < runs; run++) {
    const begin = performance.now();
    const result = Bun.spawnSync([program, 'doctor', '--from', directory, '--no-probe', '-o', 'json'], {
      stdout: 'pipe',
      stderr: 'inherit',
    });
    seconds.push((performance.now() - begin) / 1000);
    peak = Math.max(peak, result.resourceUsage?.maxRSS ?? 0);
    if (result.exitCode !== 1)
      throw new Error(`doctor: exit ${result.exitCode}, want 1: broken nodes are in the bundle`);
    const { paths, findings } = JSON.parse(result.stdout.toString()) as {
      paths: unknown[];
      findings: { code: string }[];
    };
    const codes = new Set(findings.map(({ code }) => code));
    if (
      paths.length !== count * podsPerNode ||
      !FAULTS.every((code) => codes.has(code)) ||
      codes.size > FAULTS.length
    ) {
      throw new Error(`doctor: ${paths.length} mappings, found ${[...codes].join(', ')}`);
    }
  }
  const pods = count * podsPerNode;
  console.log(
    `${count} nodes, ${pods} pods: ${median(seconds).toFixed(2)} s (median of ${runs}), peak ${(peak / 1e6).toFixed(0)} MB`,
  );
  return { seconds: median(seconds), pods };
}
