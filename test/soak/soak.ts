/**
 * `make soak`: faults at random for 20 minutes, on portmap and on a lab, and what must hold after each. One run. Ends with the counts, and writes them
 * into docs/quality.md. SOAK_SECONDS: how long instead; what is shorter is too short to measure growth, and is not written. SOAK_SEED repeats the
 * numbers of another run. SOAK_ON is `portmap` or `lab` for one of them alone. Exit status 1 if anything was violated.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { COUNTS_AFTER, growthProblems } from './growth.ts';
import { soakLab } from './lab.ts';
import { soakPlugin } from './plugin.ts';
import { soakLine, soakSection } from './report.ts';
import { Random, Tally } from './tally.ts';

const PAGE = join(import.meta.dir, '../../docs/quality.md');
/** Seconds of a whole soak. */
const WHOLE = 1200;
/** Shares of it: of each backend of portmap; until the lab's processes are warm; while their growth is measured. The lab's faults have the rest. */
const PORTMAP = 0.05;
const WARM_UP = 0.13;
const MEASURED = 0.29;

const seconds = Number(process.env.SOAK_SECONDS ?? WHOLE);
const { SOAK_ON: on } = process.env;
const seed = Number(process.env.SOAK_SEED ?? Math.floor(Math.random() * 2 ** 31));
const tally = new Tally(seed);
const random = new Random(seed);
const began = performance.now();
const within = (share: number) => performance.now() + share * seconds * 1000;
const { soak } = tally;
console.log(`seed ${seed}, ${seconds} seconds`);
try {
  for (const backend of on === 'lab' ? [] : (['nftables', 'iptables'] as const))
    await soakPlugin(tally, random, backend, within(on === 'portmap' ? 0.5 : PORTMAP));
  const shares = { warmUpMs: WARM_UP * seconds * 1000, measuredMs: MEASURED * seconds * 1000 };
  if (on !== 'portmap') await soakLab(tally, random, { ...shares, until: began + seconds * 1000 });
  const mustMeasure = on !== 'portmap' && MEASURED * seconds >= COUNTS_AFTER;
  for (const problem of mustMeasure ? soak.growth.flatMap(growthProblems) : []) tally.violation(problem);
} catch (cause) {
  tally.violation(`the soak ended: ${cause instanceof Error ? cause.stack : cause}`);
}
soak.seconds = (performance.now() - began) / 1000;
console.log(soakSection(soak));
console.log(soakLine(soak));
if (seconds >= WHOLE && on === undefined) {
  const page = readFileSync(PAGE, 'utf8');
  const section = (_: string, head: string, tail: string) => `${head}${soakSection(soak)}\n${tail}`;
  writeFileSync(PAGE, page.replace(/(<!-- Soak: .*? -->\n)[\s\S]*?(<!-- End of the soak -->)/, section));
}
process.exit(soak.violations.length === 0 ? 0 : 1);
