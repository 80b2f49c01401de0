import { dlopen } from 'bun:ffi';

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

const openLibc = () => dlopen('libc.so.6', { flock: { args: ['i32', 'i32'], returns: 'i32' } });
/** Opened once: whoever waits for a lock asks a thousand times. */
let libc: ReturnType<typeof openLibc> | undefined;

/**
 * Locks an open file or directory until it is closed, or this process ends; false when somebody else has it locked. Several may hold a
 * shared lock, and nobody an exclusive one then. Source: flock(2).
 */
export function tryLockOpenFile(fd: number, kind: 'shared' | 'exclusive' = 'exclusive'): boolean {
  libc ??= openLibc();
  return libc.symbols.flock(fd, (kind === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0;
}
