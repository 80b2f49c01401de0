import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** The text of a regular file of at most `limit` bytes. A longer one, and what is no file, is an error that says so. */
export function readBounded(path: string, limit: number): string {
  const bytes = readHead(path, limit + 1);
  if (bytes.length > limit) throw new Error(`${path}: longer than ${limit} bytes`);
  return bytes.toString('utf8');
}

/** The first bytes of a regular file, at most so many. */
export function readHead(path: string, limit: number): Buffer {
  // A FIFO among configuration files would keep whoever opens it waiting for a writer for ever.
  const fd = openSync(path, O_RDONLY_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error(`${path}: not a regular file`);
    const bytes = Buffer.allocUnsafe(Math.min(limit, stat.size));
    let length = 0;
    while (length < bytes.length) {
      const read = readSync(fd, bytes, length, bytes.length - length, null);
      if (read === 0) break;
      length += read;
    }
    return bytes.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}

const O_RDONLY_NONBLOCK = 0o4000;
