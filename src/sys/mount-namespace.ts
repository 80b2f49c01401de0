import { libc } from './libc.ts';

const CLONE_NEWNS = 0x00020000;

const calls = libc('unshare');

/**
 * Gives the calling thread a mount namespace of its own; processes started afterwards have it, too. Mounts still propagate
 * until the caller makes them private. Needs CAP_SYS_ADMIN. Source: unshare(2).
 */
export function unshareMounts(): void {
  if (calls().unshare(CLONE_NEWNS) !== 0)
    throw new Error('cannot unshare the mount namespace: refused by the kernel; needs CAP_SYS_ADMIN');
}
