import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  type ReadStream,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  type Stats,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { isErrno, unlessMissing } from './errno.ts';
import { type Mount, readMounts } from './mounts.ts';
import { openLinkedFile } from './regular-file.ts';

// What is read on a node is read by this file, and by regular-file.ts, which plugins have: somebody else may have written it. Nothing here waits
// for a FIFO, opens a device, or takes more memory than its caller says.

/** The text of a file of the kernel that has no size, as below /proc and /sys; a longer one is an error. Default: 64 MiB. */
export function readKernelFile(path: string, limit = KERNEL_FILE): string {
  return whole(path, readKernelHead(path, limit + 1), limit).toString('utf8');
}

/** A table of 100,000 sockets has 15 MB. */
const KERNEL_FILE = 64 * 1024 * 1024;

/** As {@link readKernelFile}: the first bytes, at most so many. */
export function readKernelHead(path: string, limit: number): Buffer {
  return withFile(path, path, constants.O_RDONLY, (fd) => {
    const chunks: Buffer[] = [];
    let length = 0;
    // Most have some bytes, and some have megabytes.
    for (let size = MIN_CHUNK; length < limit; size = Math.min(2 * size, MAX_CHUNK)) {
      const chunk = Buffer.allocUnsafe(Math.min(size, limit - length));
      const read = readSync(fd, chunk, 0, chunk.length, null);
      if (read === 0) break;
      length += read;
      chunks.push(chunk.subarray(0, read));
    }
    return Buffer.concat(chunks);
  });
}

const MIN_CHUNK = 4096;
const MAX_CHUNK = 1024 * 1024;

/** The content of a regular file of at most `limit` bytes, wherever links lead: of a file that a user named, or one of this program's own. */
export function readLinked(path: string, limit: number): Buffer {
  return withFile(path, path, constants.O_RDONLY, (fd) => whole(path, readUpTo(fd, limit + 1).bytes, limit));
}

/** The bytes of a regular file as they are read, wherever links lead: of a file that a user named, which may be of any size. */
export function streamLinked(path: string): ReadStream {
  return createReadStream(path, { fd: openLinkedFile(path, constants.O_RDONLY) });
}

/** The first bytes of a regular file, at most so many. Links are followed wherever they lead. */
export function readHead(path: string, limit: number): Buffer {
  return withFile(path, path, constants.O_RDONLY, (fd) => readUpTo(fd, limit).bytes);
}

/** Names of what is in a directory, sorted; none when there is no such directory. More than `limit` are an error. */
export function namesOfAtMost(directory: string, limit: number): string[] {
  const names = unlessMissing(() => readdirSync(directory)) ?? [];
  if (names.length > limit) throw new Error(`${directory}: has ${names.length} entries, more than ${limit}`);
  return names.sort();
}

/**
 * The content of a regular file of at most `limit` bytes that lies below `root`, a path without links. A link is followed as long as it stays
 * there: reading a directory on behalf of a user must not disclose a file outside it. `resolve`: how a path without links is found.
 */
export function readBelow(
  root: string,
  path: string,
  limit: number,
  resolve: (path: string) => string = realpathSync,
): { bytes: Buffer; stat: Stats } {
  const real = resolve(path);
  if (!isBelow(root, real)) throw leadsOut(path, real);
  return withFile(path, real, constants.O_RDONLY | constants.O_NOFOLLOW, (fd) => {
    // A directory on the way may have become a link since.
    const opened = readlinkSync(`/proc/self/fd/${fd}`);
    if (!isBelow(root, opened)) throw leadsOut(path, opened);
    const { bytes, stat } = readUpTo(fd, limit + 1);
    return { bytes: whole(path, bytes, limit), stat };
  });
}

/** Whether a path without links is in a directory, at whatever depth. */
export function isBelow(root: string, path: string): boolean {
  return path.startsWith(root.endsWith('/') ? root : `${root}/`);
}

/** The error of a link that is not followed. */
export function leadsOut(path: string, target: string): Error {
  return new Error(`${path}: a link that leads out of its directory, to ${target}: not followed`);
}

/** As many links as the kernel follows in one path: path_resolution(7). */
const MAX_LINKS = 40;

/**
 * Finds paths without links as realpath(3) does, and refuses those on file systems whose server may not answer: looking at one would stop this
 * process, past every deadline. A node whose root is such a file system works from it, so that one is fine. `mounts`: those that this process
 * sees, read once.
 */
export function localPaths(mounts: Iterable<Mount> = readMounts().values()): (path: string) => string {
  const all = [...mounts];
  const isRemote = ({ point, type }: Mount) => point !== '/' && REMOTE.test(type);
  if (!all.some(isRemote)) return (path) => realpathSync(path);
  const check = (path: string) => {
    let on: Mount | undefined;
    // Of two mounts on one point, the later one is on top.
    for (const mount of all) {
      const covers = mount.point === path || isBelow(mount.point, path);
      if (covers && mount.point.length >= (on?.point.length ?? 0)) on = mount;
    }
    if (on !== undefined && isRemote(on))
      throw new Error(`${path}: on a file system of type ${on.type}, whose server may not answer: not read`);
  };
  return (path) => {
    let found = '/';
    let links = 0;
    const left = path.split('/');
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        found = dirname(found);
        continue;
      }
      const next = join(found, name);
      check(next);
      const target = linkAt(next);
      if (target === undefined) {
        found = next;
        continue;
      }
      if (++links > MAX_LINKS) throw new Error(`${path}: its symbolic links form a loop`);
      if (target.startsWith('/')) found = '/';
      left.unshift(...target.split('/'));
    }
    return found;
  };
}

/**
 * Types of file systems that are elsewhere, or a program's, as /proc/mounts names them: a look into an autofs waits for whoever mounts there. OrangeFS is
 * pvfs2 there. fuse-overlayfs and lxcfs are of the machine itself.
 */
const REMOTE =
  /^(?:nfs4?|cifs|smb3?|smbfs|9p|afs|autofs|beegfs|ceph|coda|gfs2|gpfs|lustre|ocfs2|orangefs|panfs|pvfs2|wekafs|fuse(?:blk)?(?:\.(?!fuse-overlayfs$|lxcfs$).*)?)$/;

/** Where a link leads; undefined for what is no link. What is missing is an error, as of realpath(3). */
function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (cause) {
    if (isErrno(cause, 'EINVAL')) return undefined;
    throw cause;
  }
}

function withFile<T>(path: string, real: string, flags: number, read: (fd: number) => T): T {
  const fd = openLinkedFile(real, flags, path);
  try {
    return read(fd);
  } finally {
    closeSync(fd);
  }
}

function readUpTo(fd: number, limit: number): { bytes: Buffer; stat: Stats } {
  const stat = fstatSync(fd);
  const bytes = Buffer.allocUnsafe(Math.min(limit, stat.size));
  let length = 0;
  while (length < bytes.length) {
    const read = readSync(fd, bytes, length, bytes.length - length, null);
    if (read === 0) break;
    length += read;
  }
  return { bytes: bytes.subarray(0, length), stat };
}

function whole(path: string, bytes: Buffer, limit: number): Buffer {
  if (bytes.length > limit) throw new Error(`${path}: longer than ${limit} bytes`);
  return bytes;
}
