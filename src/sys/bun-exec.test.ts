import { expect, test } from 'bun:test';
import { bunExec } from './bun-exec.ts';
import { ExecError } from './exec.ts';

test('returns what a command printed and how it ended', async () => {
  const result = await bunExec.run(['sh', '-c', 'cat; echo err >&2; exit 3'], { stdin: 'in' });
  expect(result).toEqual({ code: 3, stdout: 'in', stderr: 'err\n' });
});

test('one that prints without end is killed before it fills the memory', async () => {
  const error = await bunExec.run(['yes'], { maxBytes: 1 << 20 }).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(ExecError);
  expect(error.message).toBe('yes: printed more than 1048576 bytes, killed');
});
