import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync,
  type Stats,
} from 'node:fs';

/** The first bytes of a regular file, at most so many. */
export function readHead(path: string, limit: number): Buffer {
  return withFile(path, path, constants.O_RDONLY, (fd) => readUpTo(fd, limit).bytes);
}

/**
 * The content of a regular file of at most `limit` bytes that lies below `root`, a path without links. A link is followed as long as it stays
 * there: reading a directory on behalf of a user must not disclose a file outside it.
 */
export function readBelow(root: string, path: string, limit: number): { bytes: Buffer; stat: Stats } {
  const real = realpathSync(path);
  if (!isBelow(root, real)) throw leadsOut(path, real);
  // Opening a device can have an effect; a FIFO is opened without waiting, in case it has come since.
  if (!lstatSync(real).isFile()) throw new Error(`${path}: not a regular file`);
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

function withFile<T>(path: string, real: string, flags: number, read: (fd: number) => T): T {
  // A FIFO among configuration files would keep whoever opens it waiting for a writer for ever.
  const fd = openSync(real, flags | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    if (!fstatSync(fd).isFile()) throw new Error(`${path}: not a regular file`);
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
