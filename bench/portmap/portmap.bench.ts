/**
 * Our portmap and the reference side by side: `bun bench/portmap/portmap.bench.ts [RUNS] [--docs]` (default 20 runs, as root, built
 * beforehand). Plugins are called in turns, each in network namespaces of its own. Prints the figures, and those that have bounds with them; with
 * --docs it also draws docs/figures/portmap-*.svg and puts the tables into docs/portmap.md.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { type CallCosts, measureCalls } from './adds.ts';
import { type Burst, measureBurst } from './burst.ts';
import { type ConnectTime, measureConnects } from './connect.ts';
import { measureFloor } from './floor.ts';
import { emptyRun, isIsolated, runIsolated } from './isolation.ts';
import { measurePeaks, type Peak } from './memory.ts';
import { makeSandbox } from './node.ts';
import { plots, tables } from './report.ts';
import { measureStart } from './start.ts';
import { type Backend, currentReference, findSubjects } from './subjects.ts';
import { FOREIGN, targetsOf, targetTable } from './targets.ts';

const BACKENDS: readonly Backend[] = ['iptables', 'nftables'];
/** Mappings that are there, and how many times fewer calls are made with so many. */
const CALLS: Record<Backend, readonly [mappings: number, fewer: number][]> = {
  iptables: [
    [1, 1],
    [100, 1],
    [500, 2],
    [1000, 2],
    [5000, 5],
  ],
  nftables: [
    [1, 1],
    [100, 1],
    [1000, 1],
    [10_000, 4],
  ],
};
/** Ports of a pod that has many. */
const MANY_PORTS = 100;
const PODS = [10, 50, 110];
const PEAKS = [1, 1000];
const CONNECTS = [1, 100, 1000, 5000, 10_000];

const root = join(import.meta.dir, '../..');
const words = process.argv.slice(2);
const runs = Number(words.find((word) => /^\d+$/.test(word)) ?? 20);

if (isIsolated()) await measure();
else {
  const current = await currentReference();
  process.exitCode = runIsolated(import.meta.path, current === undefined ? {} : { CURRENT_PORTMAP: current });
}

async function measure(): Promise<void> {
  await emptyRun();
  const loads: number[] = [];
  const load = () => {
    loads.push(loadavg()[0]!);
    console.log(`load ${loads.at(-1)!.toFixed(1)}`);
  };
  const subjects = await findSubjects(process.env.CURRENT_PORTMAP);
  const sandbox = await makeSandbox();
  load();
  const start = measureStart(subjects, 2 * runs);
  const calls: CallCosts[] = [];
  for (const backend of BACKENDS) {
    for (const [mappings, fewer] of CALLS[backend]) {
      const few = Math.max(3, Math.round(runs / fewer));
      calls.push(...(await measureCalls(subjects, backend, mappings, few, sandbox)));
    }
  }
  for (const backend of BACKENDS) {
    calls.push(...(await measureCalls(subjects, backend, 1, runs, sandbox, { ports: MANY_PORTS })));
    calls.push(...(await measureCalls(subjects, backend, 1, runs, sandbox, { foreign: FOREIGN })));
  }
  const floor = await measureFloor(subjects[0]!, runs);
  const peaks: Peak[] = [];
  for (const backend of BACKENDS) {
    for (const mappings of PEAKS) peaks.push(...(await measurePeaks(subjects, backend, mappings, sandbox)));
  }
  load();
  const bursts: Burst[] = [];
  for (const backend of BACKENDS) {
    for (const pods of PODS) {
      bursts.push(
        ...(await measureBurst(subjects, backend, pods, Math.max(1, Math.round(runs / 10)), sandbox)),
      );
    }
  }
  load();
  const connects: ConnectTime[] = await measureConnects(subjects, CONNECTS, runs);
  load();
  const figures = { subjects, start, calls, bursts, connects, peaks, floor };
  const targets = targetsOf(figures);
  const bounds =
    targets.length === 0
      ? ''
      : `What has bounds, by the least time that a call took:\n\n${targetTable(targets)}\n`;
  const text = `${bounds}${tables(figures)}`;
  console.log(`\n${text}`);
  if (words.includes('--docs')) {
    const page = join(root, 'docs/portmap.md');
    const marked = /(<!-- figures, by bench\/portmap -->\n)[\s\S]*(<!-- end of figures -->)/;
    const before = readFileSync(page, 'utf8');
    if (!marked.test(before)) throw new Error(`${page} has no place for the figures`);
    const [least, most] = [Math.min(...loads), Math.max(...loads)].map((value) => value.toFixed(0));
    const cores = `On ${availableParallelism()} cores; load average between the parts of the run: ${least} to ${most}.

`;
    writeFileSync(
      page,
      before.replace(marked, (_, from, to) => `${from}\n${cores}${text}\n${to}`),
    );
    mkdirSync(join(root, 'docs/figures'), { recursive: true });
    for (const [name, svg] of plots(figures)) writeFileSync(join(root, 'docs/figures', `${name}.svg`), svg);
  }
}
