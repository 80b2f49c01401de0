import { dlopen } from 'bun:ffi';

const MS_BIND = 0x1000;

/**
 * Shows a directory at the place of another, in this process's mount namespace: for it and those that it starts. Needs CAP_SYS_ADMIN.
 * Source: mount(2).
 */
export function bindMount(source: string, target: string): void {
  const library = dlopen('libc.so.6', {
    mount: { args: ['cstring', 'cstring', 'ptr', 'u64', 'ptr'], returns: 'i32' },
  });
  try {
    const path = (text: string) => Buffer.from(`${text}\0`);
    if (library.symbols.mount(path(source), path(target), null, MS_BIND, null) !== 0) {
      throw new Error(
        `cannot mount ${source} over ${target}: refused by the kernel; needs CAP_SYS_ADMIN, and no profile of AppArmor that forbids mounts`,
      );
    }
  } finally {
    library.close();
  }
}
