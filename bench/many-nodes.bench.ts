/**
 * A cluster of many nodes: `bun bench/many-nodes.bench.ts [NODES]` (default 50, as root, built beforehand). Prints how long it
 * takes to come up with every node Ready, what memory it has then, how long deletion takes, and what is left (nothing).
 */
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processesOf, pssBytes } from './processes.ts';

const nodes = Number(process.argv[2] ?? 50);
const program = join(import.meta.dir, '../bin/hostport');
if (existsSync(`/var/lib/hostport/clusters/${'many'}`))
  throw new Error('cannot measure: cluster many already exists; delete it first');
const scratch = await mkdtemp(join(tmpdir(), 'hostport-bench-'));
const config = join(scratch, 'config.yaml');
await writeFile(
  config,
  `kind: Cluster
apiVersion: kind.sigs.k8s.io/v1alpha4
name: many
nodes:
- role: control-plane
${'- role: worker\n'.repeat(nodes - 1)}`,
);
const env = { ...process.env, KUBECONFIG: join(scratch, 'kubeconfig') };
const seconds = (since: number) => ((performance.now() - since) / 1000).toFixed(1);
try {
  const begin = performance.now();
  hostport('create', 'cluster', '--config', config, '--wait', '300s');
  console.log(`${nodes} nodes Ready after ${seconds(begin)} s`);
  const pss = processesOf('many').reduce((sum, { pid }) => sum + pssBytes(pid), 0);
  console.log(`memory (PSS of all processes): ${(pss / 1e6).toFixed(0)} MB`);
} finally {
  const begin = performance.now();
  hostport('delete', 'cluster', '--name', 'many');
  console.log(`deleted in ${seconds(begin)} s; processes left: ${processesOf('many').length}`);
  rmSync(scratch, { recursive: true, force: true });
}

function hostport(...words: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([program, ...words], { env });
  if (exitCode !== 0) throw new Error(`hostport ${words.join(' ')}: exit ${exitCode}\n${stderr}`);
}
