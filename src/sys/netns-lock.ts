import { dlopen } from 'bun:ffi';
import { closeSync } from 'node:fs';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;

const openLibc = () =>
  dlopen('libc.so.6', {
    socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  });
let opened: ReturnType<typeof openLibc> | undefined;

/**
 * Takes a lock of the thread's network namespace; undefined when somebody has it. It ends with the process, however that ends: it is an
 * abstract address, of which every network namespace has its own (unix(7)).
 * @returns what gives the lock back.
 */
export function lockInNetns(name: string): (() => void) | undefined {
  opened ??= openLibc();
  const { symbols } = opened;
  const fd = symbols.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new Error('cannot open a socket for a lock');
  const address = Buffer.concat([Buffer.from([AF_UNIX, 0, 0]), Buffer.from(name)]);
  if (symbols.bind(fd, address, address.length) !== 0) {
    closeSync(fd);
    return undefined;
  }
  return () => closeSync(fd);
}
