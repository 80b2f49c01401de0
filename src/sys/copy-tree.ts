import {
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';

/**
 * Copies a directory tree: links as links, and regular files that `isShared` accepts (by name) as hard links, all others as
 * copies. Where source and target are on different file systems everything is a copy. The target must not exist.
 * Synchronous: hundreds of calls of some microseconds each, which a thread pool would only make slower.
 */
export function copyTree(from: string, to: string, isShared: (name: string) => boolean): void {
  const { mode, uid, gid } = lstatSync(from);
  mkdirSync(to);
  // mkdir(2) masks the mode with the umask and forgets the owner; an image's directories are as the image says.
  if (uid !== 0 || gid !== 0) chownSync(to, uid, gid);
  chmodSync(to, mode & 0o7777);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory()) copyTree(source, target, isShared);
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else if (isShared(entry.name)) linkOrCopy(source, target);
    else copyFileSync(source, target);
  }
}

function linkOrCopy(source: string, target: string): void {
  try {
    linkSync(source, target);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EXDEV') throw cause;
    copyFileSync(source, target);
  }
}
