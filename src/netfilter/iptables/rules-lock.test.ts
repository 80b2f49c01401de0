import { afterAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from '../../sys/exec.ts';
import { takeRulesLock } from './rules-lock.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-rules-lock-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Takes the lock in a process of its own, as a wait in open(2) would hold this one; what it says. */
async function take(path: string): Promise<string> {
  const source = `
    import { takeRulesLock } from ${JSON.stringify(join(import.meta.dir, 'rules-lock.ts'))};
    await takeRulesLock(${JSON.stringify(path)}, 50).then(
      (lock) => { lock.release(); console.log('taken'); },
      (error) => console.log(error.message),
    );`;
  const { stdout } = await realExec.run([process.execPath, '-e', source], { timeoutMs: 10_000 });
  return stdout.trim();
}

describe('what is in the place of the lock is named at once and stays', () => {
  test.each<[string, (path: string) => unknown]>([
    ['a FIFO', (path) => output(realExec, ['mkfifo', path])],
    ['a directory', (path) => mkdirSync(path)],
    ['a symbolic link', (path) => symlinkSync('/dev/null', path)],
  ])('%s', async (kind, make) => {
    const path = join(scratch, crypto.randomUUID());
    await make(path);
    for (let i = 0; i < 2; i++)
      expect(await take(path)).toBe(`cannot open ${path}: it is ${kind}, not a regular file; remove it`);
  });
});

test('one at a time has it, and a file that is there already will do', async () => {
  const path = join(scratch, 'lock');
  writeFileSync(path, 'of an earlier call');
  const lock = await takeRulesLock(path);
  expect(await take(path)).toBe(`cannot lock ${path}: held by another process for more than 50 ms`);
  lock.release();
  expect(await take(path)).toBe('taken');
});
