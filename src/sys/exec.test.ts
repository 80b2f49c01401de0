import { describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeadlineError, ExecError, output, realExec } from './exec.ts';

describe('realExec', () => {
  test('returns what a command printed and how it ended', async () => {
    const result = await realExec.run(['sh', '-c', 'echo out; echo err >&2; exit 3']);
    expect(result).toEqual({ code: 3, stdout: 'out\n', stderr: 'err\n' });
  });

  test('hands over standard input', async () => {
    expect(await output(realExec, ['cat'], { stdin: 'through' })).toBe('through');
  });

  test('a command that fails says what was run and what it said', async () => {
    const failing = output(realExec, ['sh', '-c', 'echo why >&2; exit 2']);
    const error = await failing.catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ExecError);
    expect(error.message).toBe('sh -c echo why >&2; exit 2: exit status 2: why');
  });

  test('a command that is not there says so', async () => {
    const error = await realExec.run(['/no/such/command']).catch((thrown) => thrown);
    expect(error.message).toContain('/no/such/command: could not start');
  });

  test.each([
    ['ENOEXEC', 0o755],
    ['EACCES', 0o644],
  ])('one that cannot be started says why: %s', async (code, mode) => {
    const directory = mkdtempSync(join(tmpdir(), 'hostport-exec-'));
    try {
      const file = join(directory, 'program');
      writeFileSync(file, 'no executable', { mode });
      const error = await realExec.run([file]).catch((thrown) => thrown);
      expect(error).toBeInstanceOf(ExecError);
      expect(error.message).toStartWith(`${file}: could not start: ${code}`);
      expect(error.cause).toMatchObject({ code });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('a deadline ends the whole process group, even when another process holds the pipes', async () => {
    const begin = performance.now();
    const error = await realExec
      .run(['sh', '-c', 'sleep 20 & sleep 20'], { timeoutMs: 200 })
      .catch((thrown) => thrown);
    expect(error).toBeInstanceOf(DeadlineError);
    expect(error.message).toContain('no answer within 200 ms, killed');
    expect(performance.now() - begin).toBeLessThan(5000);
  });

  test.each([
    ['yes', '>&1'],
    ['yes in a process of its own', '& wait'],
    ['yes on standard error', '>&2'],
  ])('one that prints without end is killed before it fills the memory: %s', async (_, how) => {
    const error = await realExec
      .run(['sh', '-c', `yes ${how}`], { maxBytes: 1 << 20 })
      .catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ExecError);
    expect(error.message).toBe(`sh -c yes ${how}: printed more than 1048576 bytes, killed`);
    expect(error.result.stdout).toBe('');
  });

  test('what is printed is bounded where nobody says so', async () => {
    const error = await realExec.run(['yes']).catch((thrown) => thrown);
    expect(error.message).toBe('yes: printed more than 67108864 bytes, killed');
  });

  test('just as much as may be printed is taken', async () => {
    const { stdout } = await realExec.run(['sh', '-c', 'printf 1234; printf 5678 >&2'], { maxBytes: 8 });
    expect(stdout).toBe('1234');
  });

  test('output that is too long for a string is an error of the command, and ends nothing else', async () => {
    const whole = Buffer.prototype.toString;
    const child = realExec.run(['echo', 'long']);
    Buffer.prototype.toString = () => {
      throw new Error('longer than a string');
    };
    try {
      expect(await child.catch((thrown) => thrown.message)).toBe('longer than a string');
    } finally {
      Buffer.prototype.toString = whole;
    }
  });

  test('a signal cancels', async () => {
    const error = await realExec
      .run(['sleep', '20'], { signal: AbortSignal.timeout(100) })
      .catch((thrown) => thrown);
    expect(error).not.toBeInstanceOf(DeadlineError);
    expect(error.message).toContain('cancelled, killed');
  });
});
