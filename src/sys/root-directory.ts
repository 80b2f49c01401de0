import { constants, openSync, readlinkSync } from 'node:fs';
import { unlessMissing } from './errno.ts';
import { libc } from './libc.ts';

const calls = libc('chroot');

/**
 * Makes a directory the root of this process and of those that it starts, and its working directory. Programs and libraries that are loaded
 * already stay as they are. Needs CAP_SYS_CHROOT. Source: chroot(2).
 */
export function enterRoot(directory: string): void {
  if (calls().chroot(Buffer.from(`${directory}\0`)) !== 0) {
    throw new Error(`cannot make ${directory} the root: refused by the kernel; needs CAP_SYS_CHROOT`);
  }
  process.chdir('/');
}

/**
 * Opens a directory, and returns what names it for this process and those that it starts, also after {@link enterRoot}, from where its own path
 * may lead elsewhere: by the open descriptor, in the `/proc` of that moment. Undefined when there is no such directory. Source: proc(5).
 */
export function openDirectory(path: string): (() => string) | undefined {
  const fd = unlessMissing(() => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY), ['ENOTDIR']);
  // Processes that are started have descriptors of their own: not `self`, but this process.
  return fd === undefined ? undefined : () => `/proc/${readlinkSync('/proc/self')}/fd/${fd}`;
}
