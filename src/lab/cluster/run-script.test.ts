import { expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realExec } from '../../sys/exec.ts';
import { runScript } from './run-script.ts';

test('a shell hands the command its words as they are, and its output and errors to the log', async () => {
  const directory = mkdtempSync(join(tmpdir(), "run script's test "));
  try {
    const words = ['two words', "it's", '', '$HOME `id` "x"', '\\', ';', '-n'];
    const script = runScript(
      ['sh', '-c', 'printf "[%s]" "$@"; echo err >&2', 'sh', ...words],
      join(directory, 'log'),
    );
    const ran = await realExec.run(['sh'], { stdin: script });
    expect(ran).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(readFileSync(join(directory, 'log'), 'utf8')).toBe(
      `${words.map((word) => `[${word}]`).join('')}err\n`,
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
