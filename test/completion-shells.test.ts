/** Completion in real shells, with the program that was built. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SHELLS } from '../src/cli/completion/scripts.ts';
import { output, realExec } from '../src/sys/exec.ts';
import { PROMPT, typedInto } from './typed-into.ts';

const ROOT = join(import.meta.dir, '..');
const scratch = mkdtempSync(join(tmpdir(), 'hostport-completion-'));
const env = { ...process.env, PATH: `${ROOT}/bin:${process.env.PATH}`, HOME: scratch, TERM: 'dumb' };

beforeAll(async () => {
  for (const shell of SHELLS)
    writeFileSync(
      join(scratch, `_hostport.${shell}`),
      await output(realExec, ['hostport', 'completion', shell], { env }),
    );
  mkdirSync(join(scratch, 'data', 'inner'), { recursive: true });
  writeFileSync(join(scratch, 'data', 'file.tar'), '');
  mkdirSync(join(scratch, 'functions'));
  symlinkSync(join(scratch, '_hostport.zsh'), join(scratch, 'functions/_hostport'));
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** What each shell reads at its start, so that it completes as a user's does, but without colours and questions. */
const STARTS: Readonly<Record<'bash' | 'zsh', { file: string; text: string; argv: string[] }>> = {
  bash: {
    file: 'bashrc',
    text: `. ./_hostport.bash\nbind 'set enable-bracketed-paste off' 'set show-all-if-ambiguous on'\nPS1='${PROMPT}'\n`,
    argv: ['bash', '--noprofile', '--rcfile', 'bashrc', '-i'],
  },
  zsh: {
    file: '.zshrc',
    text: `unset zle_bracketed_paste\nfpath=(~/functions $fpath)\nautoload -Uz compinit\ncompinit -u\nPS1='${PROMPT}'\nunsetopt prompt_sp\n`,
    argv: ['zsh', '--no-globalrcs', '-i'],
  },
};

const LINES: [what: string, line: string, want: RegExp][] = [
  ['a command', 'hostport node-r', /node-report/],
  ['an option', 'hostport doctor --expl', /--explain/],
  ['a code', 'hostport break plugin-miss', /plugin-missing/],
  ['a value after "="', 'hostport doctor --output=js', /--output=json/],
  ['a file', 'hostport load image-archive data/fi', /data\/file\.tar/],
  ['a directory', 'hostport export logs dat', /data\//],
];

describe.each(['bash', 'zsh'] as const)('%s completes', (shell) => {
  test.each(LINES)('%s: %s', async (_, line, want) => {
    const { file, text, argv } = STARTS[shell];
    writeFileSync(join(scratch, file), text);
    // Were nothing added, this would wait until the test's deadline.
    expect(await typedInto({ argv, cwd: scratch, env }, line, want)).toMatch(want);
  });
});

describe('fish completes', () => {
  test.each(LINES)('%s: %s', async (_, line, want) => {
    const argv = ['fish', '--no-config', '-c', 'source _hostport.fish; complete -C $argv[1]', line];
    expect(await output(realExec, argv, { env, cwd: scratch })).toMatch(want);
  });
});

test('no candidates, no words of an error', async () => {
  const argv = ['fish', '--no-config', '-c', 'source _hostport.fish; complete -C $argv[1]'];
  expect(await output(realExec, [...argv, 'hostport no-such-command '], { env, cwd: scratch })).toBe('');
});
