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

  test.each(['SIGTERM', 'SIGHUP'] as const)('passes %s on, and returns how that ended', async (signal) => {
    const trap = `trap 'exit 9' ${signal.slice(3)}; echo ready >&2; while :; do sleep 0.01; done`;
    const script = `
      import { captureForeground } from ${JSON.stringify(`${import.meta.dir}/foreground.ts`)};
      const ran = captureForeground(['/bin/sh', '-c', process.argv.at(-1)], { env: process.env, stdin: 'ignore' });
      console.log((await ran).status, process.listenerCount(${JSON.stringify(signal)}));`;
    const child = Bun.spawn([process.execPath, '-e', script, trap], { stdout: 'pipe', stderr: 'pipe' });
    const { value } = await child.stderr.getReader().read();
    expect(new TextDecoder().decode(value)).toBe('ready\n');
    child.kill(signal);
    expect(await new Response(child.stdout).text()).toBe('9 0\n');
  });

  test('an abort ends it', async () => {
    const controller = new AbortController();
    const options = { env: { PATH: process.env.PATH }, stdin: 'ignore', signal: controller.signal } as const;
    const ran = captureForeground(['/bin/sleep', '1000'], options);
    controller.abort();
    expect(await ran).toEqual({ status: 143, stdout: '' });
    await expect(captureForeground(['/bin/sleep', '1000'], options)).rejects.toBe(controller.signal.reason);
  });

  test('ends a command that prints without end', async () => {
    await expect(sh('exec cat /dev/zero')).rejects.toThrow('printed more than 4194304 bytes, killed');
  });
});
