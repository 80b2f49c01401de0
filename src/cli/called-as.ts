import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** What the program knows of how it was started; tests have their own. */
interface Start {
  /** The program's file. */
  program: string;
  /** Its first word, as it was typed. */
  typed: string;
  /** $PATH. */
  path: string;
}

/**
 * What to type to call this program again: `hostport` when that is found on PATH and is this program (all its names are links of one file),
 * else the word by which it was called, else its whole path.
 */
export function calledAs(start: Start = thisStart()): string {
  const onPath = start.path
    .split(':')
    .find((directory) => directory !== '' && isThere(join(directory, 'hostport')));
  if (onPath !== undefined && isSame(join(onPath, 'hostport'), start.program)) return 'hostport';
  return start.typed.includes('/') && isSame(start.typed, start.program) ? start.typed : start.program;
}

function thisStart(): Start {
  const typed = readFileSync('/proc/self/cmdline', 'utf8').split('\0')[0] ?? '';
  return { program: process.execPath, typed, path: process.env.PATH ?? '' };
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isSame(a: string, b: string): boolean {
  const [first, second] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  return first !== undefined && second !== undefined && first.dev === second.dev && first.ino === second.ino;
}
