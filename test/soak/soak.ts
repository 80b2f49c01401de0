/**
 * `make soak`: faults at random for 20 minutes, on portmap and on a lab, and what must hold after each. SOAK_SECONDS says how long this run lasts, and
 * the next one continues; SOAK_ON is `portmap` or `lab` for one of them alone; SOAK_SEED begins with other numbers; SOAK_STATE is where the counts
 * are. Ends with the counts, and writes them into docs/quality.md unless they are elsewhere. Exit status 1 if anything was violated.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { growthLimit } from './growth.ts';
import { soakLab } from './lab.ts';
import { soakPlugin } from './plugin.ts';
import { soakSection } from './report.ts';
import { Random, Tally } from './tally.ts';

const ROOT = join(import.meta.dir, '../..');
const PAGE = join(ROOT, 'docs/quality.md');
/** Seconds of a whole soak. */
const WHOLE = 1200;
/** Of each piece on portmap. */
const PIECE = 30;
/** Share of a run that one lab has: it takes time until anything grows. */
const LAB = 0.8;

const tally = new Tally(
  process.env.SOAK_STATE ?? join(ROOT, 'dist/soak.json'),
  Number(process.env.SOAK_SEED ?? Math.floor(Math.random() * 2 ** 31)),
);
const { soak } = tally;
const seconds = Number(process.env.SOAK_SECONDS ?? Math.max(PIECE, WHOLE - soak.seconds));
console.log(`seed ${soak.seed}; ${soak.seconds} of ${WHOLE} seconds were before, ${seconds} follow`);
const began = Date.now();
const end = began + seconds * 1000;
// Each run draws others.
const random = new Random(soak.seed + 7919 * soak.runs++);
const { SOAK_ON: on } = process.env;
const grown = soak.growth.length;
const within = (share: number) => Math.min(end, Date.now() + share * 1000);
try {
  while (Date.now() < end) {
    for (const backend of on === 'lab' ? [] : (['nftables', 'iptables'] as const)) {
      if (Date.now() < end) await soakPlugin(tally, random, backend, within(Math.min(PIECE, seconds / 6)));
    }
    if (Date.now() < end && on !== 'portmap')
      await soakLab(tally, random, within(Math.max(4 * PIECE, LAB * seconds)));
  }
  for (const growth of soak.growth.slice(grown))
    for (const problem of growthLimit(growth)) tally.violation(problem);
} finally {
  soak.seconds += Math.round((Date.now() - began) / 1000);
  tally.save();
  console.log(soakSection(soak));
}
if (process.env.SOAK_STATE === undefined) {
  const page = readFileSync(PAGE, 'utf8');
  const section = (_: string, head: string, tail: string) => `${head}${soakSection(soak)}\n${tail}`;
  writeFileSync(PAGE, page.replace(/(<!-- Soak: .*? -->\n)[\s\S]*?(<!-- End of the soak -->)/, section));
}
process.exit(soak.violations.length === 0 ? 0 : 1);
