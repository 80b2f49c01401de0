import { readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { shellLine } from '../util/shell-line.ts';

/** What the program knows of how it was started; tests have their own. */
interface Start {
  /** The program's file; undefined when it runs from its source, under another program. */
  program: string | undefined;
  /** Its first word, as it was typed. */
  typed: string;
  /** $PATH. */
  path: string;
}

/** Names of this program under which its own commands are not understood, or only a few of them. */
const STAND_INS = ['docker', 'kind', 'sudo'];

/**
 * What to type to call this program again: `hostport` when that is found on PATH and is this program (all its names are links of one file),
 * else the word by which it was called, else its whole path; `kubectl hostport` when it was called as kubectl's plugin, whose commands use
 * the cluster of kubectl's context. Every text that suggests a command begins with it, so it is quoted for a shell.
 */
export function calledAs(start: Start = thisStart()): string {
  const { program, typed, path } = start;
  if (program === undefined) return 'hostport';
  if (basename(program) === 'kubectl-hostport') return 'kubectl hostport';
  const onPath = path
    .split(':')
    .find((directory) => directory !== '' && isThere(join(directory, 'hostport')));
  if (onPath !== undefined && isSame(join(onPath, 'hostport'), program)) return 'hostport';
  if (STAND_INS.includes(basename(program))) return shellLine([join(dirname(program), 'hostport')]);
  return shellLine([typed.includes('/') && isSame(typed, program) ? typed : program]);
}

function thisStart(): Start {
  const typed = readFileSync('/proc/self/cmdline', 'utf8').split('\0')[0] ?? '';
  // A compiled program has its source in a file system of its own.
  const isCompiled = Bun.main.startsWith('/$bunfs/');
  return { program: isCompiled ? process.execPath : undefined, typed, path: process.env.PATH ?? '' };
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isSame(a: string, b: string): boolean {
  const [first, second] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  return first !== undefined && second !== undefined && first.dev === second.dev && first.ino === second.ino;
}
