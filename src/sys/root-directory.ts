import { dlopen } from 'bun:ffi';

/**
 * Makes a directory the root of this process and of those that it starts, and its working directory. Programs and libraries that are loaded
 * already stay as they are. Needs CAP_SYS_CHROOT. Source: chroot(2).
 */
export function enterRoot(directory: string): void {
  const library = dlopen('libc.so.6', { chroot: { args: ['cstring'], returns: 'i32' } });
  // Not closed: what enters namespaces later finds the library as one that is loaded, and would not find its file in the new root.
  if (library.symbols.chroot(Buffer.from(`${directory}\0`)) !== 0) {
    throw new Error(`cannot make ${directory} the root: refused by the kernel; needs CAP_SYS_CHROOT`);
  }
  process.chdir('/');
}
