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
 * Copies a directory tree. Regular files that `isShared` accepts (by name) and symbolic links, which cannot be written to,
 * become hard links: a new inode costs ext4 up to a millisecond when many were freed in the minutes before, a new name does
 * not. All others are copies, as is everything where source and target are on different file systems, or where an inode
 * has as many names as it may. The target must not exist.
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
    else if (entry.isSymbolicLink()) linkOr(source, target, () => symlinkSync(readlinkSync(source), target));
    else if (isShared(entry.name)) linkOr(source, target, () => copyFileSync(source, target));
    else copyFileSync(source, target);
  }
}

function linkOr(source: string, target: string, copy: () => void): void {
  try {
    linkSync(source, target);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'EXDEV' && code !== 'EMLINK') throw cause;
    copy();
  }
}
