/** A minute of `make soak`, with another seed each time. */
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { labMissing } from '../e2e/lab.ts';

const missing = labMissing();

describe.skipIf(missing !== undefined)(`faults at random${missing ? ` (${missing})` : ''}`, () => {
  test('for a minute, nothing is violated', async () => {
    const child = Bun.spawn([process.execPath, 'test/soak/soak.ts'], {
      cwd: join(import.meta.dir, '../..'),
      env: { ...process.env, SOAK_SECONDS: '60' },
      stdout: 'inherit',
      stderr: 'inherit',
    });
    expect(await child.exited).toBe(0);
  }, 600_000);
});
