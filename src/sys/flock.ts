import { dlopen } from 'bun:ffi';

const LOCK_EX = 2;
const LOCK_NB = 4;

const openLibc = () => dlopen('libc.so.6', { flock: { args: ['i32', 'i32'], returns: 'i32' } });
/** Opened once: whoever waits for a lock asks a thousand times. */
let libc: ReturnType<typeof openLibc> | undefined;

/** Locks an open file or directory until it is closed, or this process ends; false when somebody else has it locked. Source: flock(2). */
export function tryLockOpenFile(fd: number): boolean {
  libc ??= openLibc();
  return libc.symbols.flock(fd, LOCK_EX | LOCK_NB) === 0;
}
