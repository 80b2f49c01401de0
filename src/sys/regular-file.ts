import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { isErrno } from './errno.ts';

const { O_CREAT, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** Of open(2): names what is there without opening it. The same for x86-64 and arm64; node:fs does not have it. */
const O_PATH = 0o10000000;

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
  const refuse = (found: Stats) => inTheWay(path, found);
  if ((flags & O_CREAT) === 0) return openChecked(path, flags | O_NOFOLLOW, refuse);
  // With O_EXCL nothing that exists is opened. What comes and goes between the two is in somebody's way already.
  for (let attempt = 1; ; attempt++) {
    try {
      if ((flags & O_EXCL) === 0) return openChecked(path, (flags & ~O_CREAT) | O_NOFOLLOW, refuse);
    } catch (cause) {
      if (!isErrno(cause, 'ENOENT')) throw cause;
    }
    try {
      return openSync(path, flags | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode);
    } catch (cause) {
      if (!isErrno(cause, 'EEXIST')) throw cause;
      if ((flags & O_EXCL) !== 0) {
        // A file is in the way as its caller knows it; anything else is named.
        closeSync(openChecked(path, O_PATH | O_NOFOLLOW, refuse));
        throw cause;
      }
      if (attempt === MAX_ATTEMPTS) throw cause;
    }
  }
}

/** How often a file is opened or created that others create and remove meanwhile. */
const MAX_ATTEMPTS = 10;

/**
 * Opens a regular file wherever links lead; anything else there is an error, without waiting for a FIFO: of a file that a user named, or that is read
 * on their behalf by its path. `name`: what errors call it. `flags` are those of open(2).
 */
export function openLinkedFile(path: string, flags: number, name = path): number {
  return openChecked(path, flags, () => new Error(`${name}: not a regular file`));
}

/**
 * Opens what is at a path once it is known to be a regular file: opening a device can have an effect. `flags` are those of open(2), without O_CREAT;
 * `refuse`: the error of anything else.
 */
function openChecked(path: string, flags: number, refuse: (found: Stats) => Error): number {
  const named = onlyFile(openSync(path, O_PATH | (flags & O_NOFOLLOW)), refuse);
  if ((flags & O_PATH) !== 0) return named;
  try {
    const reopened = `/proc/self/fd/${named}`;
    const how = (flags & ~O_NOFOLLOW) | O_NONBLOCK | O_NOCTTY;
    try {
      return onlyFile(openSync(reopened, how), refuse);
    } catch (cause) {
      if (!isErrno(cause, 'ENOENT')) throw at(path, reopened, cause);
      // Where there is no /proc of this process: what is at the path may be something else by now, and is opened for a moment then.
      return onlyFile(openSync(path, flags | O_NONBLOCK | O_NOCTTY), refuse);
    }
  } finally {
    closeSync(named);
  }
}

/** The descriptor if it is of a regular file; closes any other. */
function onlyFile(fd: number, refuse: (found: Stats) => Error): number {
  const found = fstatSync(fd);
  if (found.isFile()) return fd;
  closeSync(fd);
  throw refuse(found);
}

/** An error of a descriptor's name as one of the path that it was opened by. */
function at(path: string, reopened: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || !('path' in cause)) return cause;
  cause.message = cause.message.replace(reopened, path);
  return Object.assign(cause, { path });
}

/** The text of a regular file of at most `limit` bytes; a longer one is an error. */
export function readRegularFile(path: string, limit: number): string {
  const [first, ...rest] = readRegularFileChunks(path, limit, limit);
  // Nearly always all of it comes at once.
  return (rest.length === 0 ? (first ?? Buffer.alloc(0)) : Buffer.concat([first!, ...rest])).toString('utf8');
}

/** How many bytes are read at a time. */
const CHUNK = 1024 * 1024;

/** As {@link readRegularFile}, its bytes, some at a time. */
export function* readRegularFileChunks(path: string, limit: number, chunk = CHUNK): Generator<Buffer> {
  const fd = openRegularFile(path, O_RDONLY);
  try {
    yield* chunksOf(fd, path, limit, chunk);
  } finally {
    closeSync(fd);
  }
}

/** As {@link readRegularFileChunks}, wherever links lead. */
export function* readLinkedChunks(path: string, limit: number): Generator<Buffer> {
  const fd = openLinkedFile(path, O_RDONLY);
  try {
    yield* chunksOf(fd, path, limit);
  } finally {
    closeSync(fd);
  }
}

/** The bytes of an open file of at most `limit` bytes, some at a time; a longer one is an error, which calls it `name`. */
export function* chunksOf(fd: number, name: string, limit: number, chunk = CHUNK): Generator<Buffer> {
  const { size } = fstatSync(fd);
  if (size > limit) throw new Error(`${name}: longer than ${limit} bytes`);
  for (let left = size; left > 0; ) {
    const bytes = Buffer.allocUnsafe(Math.min(left, chunk));
    const read = readSync(fd, bytes, 0, bytes.length, null);
    if (read === 0) return;
    left -= read;
    yield bytes.subarray(0, read);
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
