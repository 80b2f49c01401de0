import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { columns } from '../src/cli/printer/wrap.ts';
import { shellLine } from '../src/util/shell-line.ts';

/** What a command line shows on a terminal. */
export interface Shown {
  words: string;
  lines: string[];
}

const MARK = '=====';

/**
 * Runs command lines of a program one after the other on one pseudo terminal of so many columns, by script(1); returns what each shows. Nothing
 * is typed there. `env` is added to a small environment.
 */
export async function onTerminal(
  program: string,
  lines: readonly (readonly string[])[],
  width: number,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Shown[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'hostport-pty-'));
  try {
    const file = join(scratch, 'script');
    const script = lines.map((words) => `${shellLine([program, ...words])}; echo ${MARK}`).join('\n');
    writeFileSync(file, `stty cols ${width} rows 50\n${script}\n`);
    const child = Bun.spawn(['script', '-qec', `sh ${file}`, '/dev/null'], {
      env: { PATH: process.env.PATH ?? '', HOME: scratch, TERM: 'xterm', ...env },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'inherit',
    });
    const text = await new Response(child.stdout).text();
    await child.exited;
    const parts = text.replaceAll('\r\n', '\n').split(`${MARK}\n`);
    if (parts.length !== lines.length + 1)
      throw new Error(`${parts.length - 1} of ${lines.length} ran:\n${text}`);
    return lines.map((words, i) => ({ words: words.join(' '), lines: parts[i]!.split('\n') }));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** The lines that are wider than the terminal, each after the command that it is of. A line with one word behind its label cannot be broken. */
export function tooWide(shown: readonly Shown[], width: number): string[] {
  const isOneWord = (line: string) => line.trim().split(/\s+/).length <= 2;
  return shown.flatMap(({ words, lines }) =>
    lines.filter((line) => columns(line) > width && !isOneWord(line)).map((line) => `${words}: ${line}`),
  );
}
