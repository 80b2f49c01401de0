/** Five minutes of `make fuzz`, each time with another seed. */
import { describe, expect, test } from 'bun:test';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { FUZZ_TARGETS } from '../fuzz/targets.ts';

const SECONDS = 300;
/** More than there is time for. */
const RUNS = 10_000_000;

describe('fuzzing', () => {
  test(
    'what strangers write, at random, for five minutes',
    async () => {
      const seed = String(randomInt(2 ** 31));
      const child = Bun.spawn([process.execPath, 'test', '--timeout=600000', './test/fuzz.test.ts'], {
        cwd: join(import.meta.dir, '../..'),
        env: {
          ...process.env,
          ...{
            FUZZ_RUNS: String(RUNS),
            FUZZ_SEED: seed,
            FUZZ_SECONDS: String(SECONDS / FUZZ_TARGETS.length),
          },
        },
        stdout: 'inherit',
        stderr: 'inherit',
      });
      expect({ seed, code: await child.exited }).toEqual({ seed, code: 0 });
    },
    2 * SECONDS * 1000,
  );
});
