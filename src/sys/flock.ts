import { libc } from './libc.ts';

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

const calls = libc('flock');

/**
 * Locks an open file or directory until it is closed, or this process ends; false when somebody else has it locked. Several may hold a
 * shared lock, and nobody an exclusive one then. Source: flock(2).
 */
export function tryLockOpenFile(fd: number, kind: 'shared' | 'exclusive' = 'exclusive'): boolean {
  return calls().flock(fd, (kind === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0;
}
