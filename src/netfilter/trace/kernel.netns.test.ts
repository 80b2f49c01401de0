import { afterAll, beforeAll, expect, test } from 'bun:test';
import fc from 'fast-check';
import { figuresOf, storeFigures } from '../../../test/figures.ts';
import { compareWithKernel } from './testing/agreement.ts';
import { KernelTrace } from './testing/kernel-trace.ts';
import { type Draw, draws } from './testing/rule-sets.ts';

// The kernel is asked what it does with random rules, rule by rule (`meta nftrace set 1`); the evaluator must have said so.
// TRACE_RULE_SETS and TRACE_SEED choose more rule sets and others; of a thousand or more, UPDATE_GOLDEN=1 stores what the run had for docs/quality.md.

const RULE_SETS = Number(process.env.TRACE_RULE_SETS ?? 300);
const SEED = Number(process.env.TRACE_SEED ?? 20_261_130);
/** Nodes at work at a time: loading rules is mostly waiting for the kernel. */
const LANES = 4;

const kernels: KernelTrace[] = [];
beforeAll(async () => {
  for (let i = 0; i < LANES; i++) kernels.push(await KernelTrace.create());
});
afterAll(async () => {
  for (const kernel of kernels) await kernel.dispose();
});

test(`the kernel takes packets through ${RULE_SETS} random rule sets as the evaluator says`, async () => {
  const counts = {
    ...{ refused: 0, loaded: 0, packets: 0, known: 0, steps: 0 },
    ...{ accept: 0, drop: 0, unroutable: 0 },
  };
  const check = async (kernel: KernelTrace, seed: number): Promise<void> => {
    let isShrinking = false;
    const agreement = async (draw: Draw): Promise<void> => {
      const compared = await compareWithKernel(kernel, draw);
      if (compared === undefined) {
        counts.refused++;
        fc.pre(false);
        return;
      }
      for (const { difference, known, verdict, steps } of compared) {
        if (difference !== undefined) {
          isShrinking = true;
          throw new Error(difference);
        }
        if (isShrinking) continue;
        counts.packets++;
        counts.steps += steps;
        counts[verdict]++;
        if (known) counts.known++;
      }
      counts.loaded++;
    };
    const numRuns = Math.ceil(RULE_SETS / LANES);
    const details = await fc.check(fc.asyncProperty(draws, agreement), { seed, numRuns, maxSkipsPerRun: 1 });
    if (!details.failed) return;
    const [draw] = details.counterexample ?? [];
    const where = `seed ${seed}, path ${details.counterexamplePath}`;
    throw new Error([String(details.errorInstance), ...(draw ? [paste(draw)] : []), where].join('\n'));
  };
  await Promise.all(kernels.map((kernel, lane) => check(kernel, SEED + lane)));
  console.log(`${counts.loaded} rule sets: ${JSON.stringify(counts)}`);
  if (RULE_SETS >= 1000) {
    const { loaded: ruleSets, packets, known, steps } = counts;
    storeFigures('agreement', () => ({
      ...figuresOf('agreement'),
      [SEED]: { ruleSets, packets, known, steps },
    }));
  }
  // Otherwise the comparison would say little.
  expect(counts.known / counts.packets).toBeGreaterThan(0.75);
  expect(counts.accept / counts.packets).toBeWithin(0.2, 0.8);
  expect(counts.steps / counts.packets).toBeGreaterThan(1);
  expect(counts.refused / (counts.refused + counts.loaded)).toBeLessThan(0.2);
}, 7_200_000);

/** A rule set as its tools read it, and its packets. */
function paste({ documents, probes }: Draw): string {
  const { nft, ip, ip6 } = documents;
  const parts = [
    ...(nft === undefined ? [] : [`nft -f - <<'EOF'\n${withoutUnused(nft)}EOF`]),
    ...(ip === undefined ? [] : [`iptables-nft-restore <<'EOF'\n${ip}EOF`]),
    ...(ip6 === undefined ? [] : [`ip6tables-nft-restore <<'EOF'\n${ip6}EOF`]),
    ...probes.map((probe) => JSON.stringify(probe)),
  ];
  return parts.join('\n');
}

/** Without the sets that no rule asks and the chains that no rule leads to. */
function withoutUnused(document: string): string {
  return document
    .replace(/^(?:set|map) (\S+) .*\n/gm, (line, name: string) => (document.includes(`@${name}`) ? line : ''))
    .replace(/^chain (u\d) \{\n\s*\}\n/gm, (chain, name: string) =>
      new RegExp(`(jump|goto) ${name}`).test(document) ? chain : '',
    );
}
