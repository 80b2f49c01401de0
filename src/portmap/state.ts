import { lstatSync, type Stats } from 'node:fs';
import { unlessMissing } from '../sys/errno.ts';
import { fileProblem } from '../sys/file-problem.ts';

/** Where portmap keeps what it remembers, and its lock. */
export const STATE_DIRECTORY = '/run/hostport';

/** What to do when that cannot be written to. */
export const PROVIDE_STATE = `run portmap as root, with ${STATE_DIRECTORY} a directory that it can write to`;

/** What portmap remembers cannot be written: the directory is missing, read-only, full or not a directory. */
export class StateUnusable extends Error {
  override name = 'StateUnusable';
}

/** Does what changes something at `path`; what the system reports about it becomes {@link StateUnusable}. */
export function changingState<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const problem = fileProblem(cause);
    throw problem === undefined ? cause : new StateUnusable(`cannot write to ${path}: ${problem}`, { cause });
  }
}

/** What is at a path; undefined for nothing, also where a part of the path is not a directory. */
export function statsOf(path: string): Stats | undefined {
  return unlessMissing(() => lstatSync(path), ['ENOTDIR']);
}
