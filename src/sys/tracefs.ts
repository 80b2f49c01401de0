import { ptr } from 'bun:ffi';
import { closeSync } from 'node:fs';
import { libc } from './libc.ts';

// The numbers of these calls are the same on every architecture (asm-generic/unistd.h).
const SYS_FSOPEN = 430n;
const SYS_FSCONFIG = 431n;
const SYS_FSMOUNT = 432n;
const FSOPEN_CLOEXEC = 1n;
const FSCONFIG_CMD_CREATE = 6n;
const FSMOUNT_CLOEXEC = 1n;

const calls = libc('syscall');

/** The kernel's tracing file system, seen by this process alone. */
export interface Tracefs {
  /** Its root directory, as a path of this process. */
  path: string;
  close(): void;
}

/**
 * Mounts tracefs in no directory: only whoever has the descriptor sees the mount, and it ends with the descriptor, however the process ends.
 * @throws where the kernel has none (Linux 5.2, CONFIG_TRACING), or does not allow it (CAP_SYS_ADMIN). Source: fsopen(2), fsmount(2).
 */
export function openTracefs(): Tracefs {
  const { syscall } = calls();
  const call = (number: bigint, ...args: bigint[]) => {
    const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n] = args;
    return Number(syscall(number, a, b, c, d, e));
  };
  const name = Buffer.from('tracefs\0');
  const context = call(SYS_FSOPEN, BigInt(ptr(name)), FSOPEN_CLOEXEC);
  if (context < 0) throw new Error('the kernel has no tracefs, or needs CAP_SYS_ADMIN for it');
  try {
    const created = call(SYS_FSCONFIG, BigInt(context), FSCONFIG_CMD_CREATE);
    const mount = created === 0 ? call(SYS_FSMOUNT, BigInt(context), FSMOUNT_CLOEXEC) : -1;
    if (mount < 0) throw new Error('the kernel does not let this process mount tracefs');
    return { path: `/proc/self/fd/${mount}`, close: () => closeSync(mount) };
  } finally {
    closeSync(context);
  }
}
