import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from './exec.ts';
import { type FileLock, tryFileLock } from './file-lock.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-lock-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function taken(path: string, holder: string): FileLock {
  const lock = tryFileLock(path, holder);
  if ('heldBy' in lock) throw new Error(`held by ${lock.heldBy}`);
  return lock;
}

describe('a file lock', () => {
  test('is one holder at a time, who is named to the others, and leaves no file', () => {
    const path = join(scratch, 'not/there/yet');
    const first = taken(path, 'first');
    expect(tryFileLock(path, 'second')).toEqual({ heldBy: 'first' });
    first.release();
    expect(existsSync(path)).toBe(false);
    const second = taken(path, 'second');
    expect(tryFileLock(path, 'third')).toEqual({ heldBy: 'second' });
    second.release();
    expect(existsSync(path)).toBe(false);
  });

  test('a FIFO in its place is an error that names it, not a wait for ever', async () => {
    const path = join(scratch, 'fifo');
    await output(realExec, ['mkfifo', path]);
    const source = `
      import { tryFileLock } from ${JSON.stringify(join(import.meta.dir, 'file-lock.ts'))};
      try { tryFileLock(${JSON.stringify(path)}, 'me'); } catch (error) { console.log(error.message); }`;
    const { stdout } = await realExec.run([process.execPath, '-e', source], { timeoutMs: 10_000 });
    expect(stdout.trim()).toBe(`cannot open ${path}: it is a FIFO, not a regular file; remove it`);
  });

  test('comes back from a process that was killed, though a program it started still runs', async () => {
    const path = join(scratch, 'killed');
    const source = `
      import { tryFileLock } from ${JSON.stringify(join(import.meta.dir, 'file-lock.ts'))};
      const lock = tryFileLock(${JSON.stringify(path)}, 'the other');
      const child = Bun.spawn(['sleep', '60']);
      console.log(child.pid);
      await child.exited;`;
    const other = Bun.spawn([process.execPath, '-e', source], { stdout: 'pipe' });
    const { value } = await other.stdout.getReader().read();
    const child = Number(new TextDecoder().decode(value));
    try {
      expect(tryFileLock(path, 'me')).toEqual({ heldBy: 'the other' });
      other.kill('SIGKILL');
      await other.exited;
      taken(path, 'me').release();
    } finally {
      process.kill(child, 'SIGKILL');
    }
  });
});
