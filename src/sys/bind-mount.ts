import { libc } from './libc.ts';

const MS_BIND = 0x1000;

const calls = libc('mount');

/**
 * Shows a directory at the place of another, in this process's mount namespace: for it and those that it starts. Needs CAP_SYS_ADMIN.
 * Source: mount(2).
 */
export function bindMount(source: string, target: string): void {
  const path = (text: string) => Buffer.from(`${text}\0`);
  if (calls().mount(path(source), path(target), null, MS_BIND, null) !== 0) {
    throw new Error(
      `cannot mount ${source} over ${target}: refused by the kernel; needs CAP_SYS_ADMIN, and no profile of AppArmor that forbids mounts`,
    );
  }
}
