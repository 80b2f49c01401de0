import { expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';

// Each case starts the program from its sources.
setDefaultTimeout(30_000);

const PROGRAM = `'${process.execPath}' '${join(import.meta.dir, 'main.ts')}'`;

/** What a line of bash exits with and says on standard error; `$P` is this program. */
async function outcome(line: string): Promise<{ status: number; said: string }> {
  const child = Bun.spawn(['bash', '-c', line.replaceAll('$P', PROGRAM)], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  });
  return { said: await new Response(child.stderr).text(), status: await child.exited };
}

test.each([
  ['version', 1],
  ['--help', 1],
  ['faults', 1],
  ['faults -o json', 1],
  ['node-report', 1],
  ['doctor --explain plugin-missing', 2],
] as const)('%s to a full disk: an error, and status %i', async (words, status) => {
  const { said, status: got } = await outcome(`$P ${words} > /dev/full`);
  expect(said).toMatch(/^error: cannot write the output: the disk is full; .*\n$/);
  expect(got).toBe(status);
});

test.each(['version', 'faults', 'doctor --explain plugin-missing'])(
  '%s to a reader that has gone: nothing is said',
  async (words) => {
    // The program starts once its reader has exited.
    const line = `exec 3> >(exit); wait $!; $P ${words} >&3`;
    expect(await outcome(line)).toEqual({ said: '', status: 0 });
  },
);
