import { dlopen } from 'bun:ffi';

/** Every function of libc that is called, by what it takes and returns. Sizes here are far below what 32 bits hold. */
const FUNCTIONS = {
  __errno_location: { args: [], returns: 'ptr' },
  bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  chroot: { args: ['cstring'], returns: 'i32' },
  close: { args: ['i32'], returns: 'i32' },
  connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  flock: { args: ['i32', 'i32'], returns: 'i32' },
  getsockname: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' },
  getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
  memfd_create: { args: ['cstring', 'u32'], returns: 'i32' },
  mount: { args: ['cstring', 'cstring', 'ptr', 'u64', 'ptr'], returns: 'i32' },
  poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' },
  recv: { args: ['i32', 'ptr', 'usize', 'i32'], returns: 'i32' },
  send: { args: ['i32', 'ptr', 'usize', 'i32'], returns: 'i32' },
  setns: { args: ['i32', 'i32'], returns: 'i32' },
  setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  syscall: { args: ['i64', 'i64', 'i64', 'i64', 'i64', 'i64'], returns: 'i64' },
  unshare: { args: ['i32'], returns: 'i32' },
  waitpid: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
} as const;

type Name = keyof typeof FUNCTIONS;
type Functions<Some extends Name> = ReturnType<typeof dlopen<Pick<typeof FUNCTIONS, Some>>>['symbols'];

/**
 * Some functions of libc. They are opened when first asked for, since that compiles a stub for each, and stay open: in another root, the
 * file of the library would not be found again.
 */
export function libc<Some extends Name>(...names: readonly Some[]): () => Functions<Some> {
  let opened: Functions<Some> | undefined;
  return () => {
    opened ??= dlopen(
      'libc.so.6',
      Object.fromEntries(names.map((name) => [name, FUNCTIONS[name]])) as Pick<typeof FUNCTIONS, Some>,
    ).symbols;
    return opened;
  };
}
