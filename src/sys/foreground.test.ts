import { describe, expect, test } from 'bun:test';
import { captureForeground } from './foreground.ts';

const sh = (script: string, env: Record<string, string> = {}) =>
  captureForeground(['/bin/sh', '-c', script], { env: { PATH: process.env.PATH, ...env }, stdin: 'ignore' });

describe('captureForeground', () => {
  test('returns what was printed and how it ended, in the given environment', async () => {
    expect(await sh('printf %s "$A"; cat; exit 3', { A: 'ä' })).toEqual({ status: 3, stdout: 'ä' });
    expect(await sh('kill -TERM $$')).toEqual({ status: 143, stdout: '' });
  });

  test('rejects with the error of the system when it cannot start', async () => {
    const started = captureForeground(['/nowhere/at-all'], { env: {}, stdin: 'ignore' });
    await expect(started).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('ends a command that prints without end', async () => {
    await expect(sh('exec cat /dev/zero')).rejects.toThrow('printed more than 4194304 bytes, killed');
  });
});
