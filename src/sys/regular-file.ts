import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats } from 'node:fs';

const { O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** The path is not a regular file. */
export class NotRegularFile extends Error {
  override name = 'NotRegularFile';
  /** What is there, without the path. */
  readonly problem: string;

  constructor(path: string, kind: string) {
    const problem = `it is ${kind}, not a regular file`;
    super(`cannot open ${path}: ${problem}; remove it`);
    this.problem = problem;
  }
}

/**
 * Opens a regular file at exactly this path. Whatever else is there is a {@link NotRegularFile}, which names it: a FIFO, whose open(2) would wait
 * for somebody at its other end, a symbolic link, which leads elsewhere, a directory, a socket, a device. `flags` are those of open(2).
 */
export function openRegularFile(path: string, flags: number, mode?: number): number {
  let fd: number;
  try {
    fd = openSync(path, flags | O_NOFOLLOW | O_NONBLOCK, mode);
  } catch (cause) {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined || found.isFile()) throw cause;
    throw inTheWay(path, found);
  }
  const opened = fstatSync(fd);
  if (opened.isFile()) return fd;
  closeSync(fd);
  throw inTheWay(path, opened);
}

/**
 * Opens a regular file wherever links lead; anything else there is an error, without waiting for a FIFO: of a file that a user named, or that is read
 * on their behalf by its path. `name`: what errors call it. `flags` are those of open(2).
 */
export function openLinkedFile(path: string, flags: number, name = path): number {
  const fd = openSync(path, flags | O_NONBLOCK | O_NOCTTY);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new Error(`${name}: not a regular file`);
}

/** The text of a regular file of at most `limit` bytes; a longer one is an error. */
export function readRegularFile(path: string, limit: number): string {
  return Buffer.concat([...readRegularFileChunks(path, limit, limit)]).toString('utf8');
}

/** How many bytes are read at a time. */
const CHUNK = 1024 * 1024;

/** As {@link readRegularFile}, its bytes, some at a time. */
export function* readRegularFileChunks(path: string, limit: number, chunk = CHUNK): Generator<Buffer> {
  const fd = openRegularFile(path, O_RDONLY);
  try {
    const { size } = fstatSync(fd);
    if (size > limit) throw new Error(`${path}: longer than ${limit} bytes`);
    for (let left = size; left > 0; ) {
      const bytes = Buffer.allocUnsafe(Math.min(left, chunk));
      const read = readSync(fd, bytes, 0, bytes.length, null);
      if (read === 0) return;
      left -= read;
      yield bytes.subarray(0, read);
    }
  } finally {
    closeSync(fd);
  }
}

function inTheWay(path: string, found: Stats): NotRegularFile {
  const kind = found.isFIFO()
    ? 'a FIFO'
    : found.isDirectory()
      ? 'a directory'
      : found.isSymbolicLink()
        ? 'a symbolic link'
        : found.isSocket()
          ? 'a socket'
          : 'a device';
  return new NotRegularFile(path, kind);
}
