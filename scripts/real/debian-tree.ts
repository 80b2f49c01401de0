import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { RootTree } from '../../src/lab/images/root-tree.ts';
import { isErrno } from '../../src/sys/errno.ts';
import type { TarContent } from '../../src/sys/tar.ts';

/** What no program of an image reads. */
const UNREAD = [
  ...['/usr/share/doc', '/usr/share/man', '/usr/share/locale', '/usr/share/info', '/usr/share/lintian'],
  ...['/usr/lib/udev', '/etc/init.d', '/var', '/run', '/tmp', '/proc', '/sys', '/dev'],
];

/** What Debian's packages have put below `root`, for an image's bottom layer. */
export function debianTree(root: string): RootTree {
  const tree = new RootTree().mergedUsr();
  for (const path of pathsBelow(root, '')) {
    const file = join(root, path);
    const { mode } = statSync(file, { throwIfNoEntry: false }) ?? {};
    const target = linkTarget(file);
    // Packages of Debian 12 have some things in /bin and /usr/bin, which are one.
    if (tree.has(path)) continue;
    if (target !== undefined) tree.symlink(path, target);
    else tree.file([path], mode! & 0o7777, copyOf(file));
  }
  return tree;
}

/** Files and symbolic links below a directory, by their paths in it, those that are never read left out. */
export function pathsBelow(root: string, path: string): string[] {
  return readdirSync(join(root, path), { withFileTypes: true }).flatMap((entry) => {
    const below = `${path}/${entry.name}`;
    if (UNREAD.includes(below)) return [];
    return entry.isDirectory() ? pathsBelow(root, below) : [below];
  });
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (cause) {
    if (isErrno(cause, 'EINVAL')) return undefined;
    throw cause;
  }
}

export function copyOf(path: string): TarContent {
  return { file: path, size: statSync(path).size };
}
