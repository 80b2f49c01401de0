/**
 * What strangers write (nodes, bundles, configurations, clients), at random: nothing crashes on it, hangs, or discloses what it must not. FUZZ_RUNS says
 * how many of it, FUZZ_SECONDS for how long each target is tried at most, FUZZ_SEED repeats a run that failed. `make fuzz` has 100,000.
 */
import { expect, test } from 'bun:test';
import { FUZZ_TARGETS } from './fuzz/targets.ts';

const RUNS = Number(process.env.FUZZ_RUNS ?? 2000);
const SEED = Number(process.env.FUZZ_SEED ?? 20261101);
const SECONDS = process.env.FUZZ_SECONDS === undefined ? undefined : Number(process.env.FUZZ_SECONDS);
/** Milliseconds that one run may take, on a machine that does much else. */
const RUN_MS = 100;

test.each(FUZZ_TARGETS.map((each) => [each.name, each] as const))(
  '%s',
  async (name, target) => {
    const numRuns = Math.max(1, Math.ceil(RUNS * target.share));
    const runs = await target.run({
      numRuns,
      seed: SEED,
      ...(SECONDS === undefined
        ? {}
        : { interruptAfterTimeLimit: SECONDS * 1000, markInterruptAsFailure: false }),
    });
    console.log(`${name}: ${runs} runs, seed ${SEED}`);
    expect(runs).toBeGreaterThan(0);
  },
  60_000 + RUNS * RUN_MS,
);
