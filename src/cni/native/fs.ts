/** What plugins use of node:fs, with the errors of node:fs. The bundle for the native executable has this in its place. */
import { isErrno } from '../../sys/errno.ts';
import { Bytes } from './buffer.ts';
import { type Facts, port } from './port.ts';

const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const S_IFSOCK = 0o140000;

/** Bytes that are read at once. */
const CHUNK = 16_384;

export const constants = port.flags;

class Stats {
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly size: number;

  constructor({ dev, ino, mode, size }: Facts) {
    this.dev = dev;
    this.ino = ino;
    this.mode = mode;
    this.size = size;
  }

  isFile = () => (this.mode & S_IFMT) === S_IFREG;
  isDirectory = () => (this.mode & S_IFMT) === S_IFDIR;
  isFIFO = () => (this.mode & S_IFMT) === S_IFIFO;
  isSymbolicLink = () => (this.mode & S_IFMT) === S_IFLNK;
  isSocket = () => (this.mode & S_IFMT) === S_IFSOCK;
}

/** Flags of open(2) for the words that plugins use. */
function flagsOf(words: string | number): number {
  if (typeof words === 'number') return words;
  const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_TRUNC, O_APPEND } = port.flags;
  if (words === 'r') return O_RDONLY;
  if (words === 'w') return O_WRONLY | O_CREAT | O_TRUNC;
  if (words === 'wx') return O_WRONLY | O_CREAT | O_EXCL;
  if (words === 'a') return O_WRONLY | O_CREAT | O_APPEND;
  throw new TypeError(`no flags ${words} here`);
}

export function openSync(path: string, flags: string | number, mode = 0o666): number {
  return port.open(path, flagsOf(flags), mode);
}

export function closeSync(fd: number): void {
  port.close(fd);
}

export function readSync(fd: number, into: Uint8Array, offset = 0, length = into.length - offset): number {
  return port.read(fd, into, offset, length);
}

/** Waits where its opener said not to: what a plugin has to say has to be said. */
export function writeSync(fd: number, from: Uint8Array, offset = 0): number {
  for (;;) {
    try {
      return port.write(fd, from, offset);
    } catch (cause) {
      if (!isErrno(cause, 'EAGAIN')) throw cause;
      port.wait(fd, true);
    }
  }
}

export function readFileSync(path: string, _encoding: 'utf8'): string {
  const fd = port.open(path, port.flags.O_RDONLY, 0);
  try {
    const chunks: Uint8Array[] = [];
    for (;;) {
      const chunk = new Bytes(CHUNK);
      const size = port.read(fd, chunk, 0, CHUNK);
      if (size === 0) return Bytes.concat(chunks).toString();
      chunks.push(chunk.subarray(0, size));
    }
  } finally {
    port.close(fd);
  }
}

export function writeFileSync(
  path: string,
  text: string,
  options: { mode?: number; flag?: string } = {},
): void {
  const fd = openSync(path, options.flag ?? 'w', options.mode);
  try {
    const bytes = port.encode(text);
    for (let done = 0; done < bytes.length; ) done += port.write(fd, bytes, done);
  } finally {
    port.close(fd);
  }
}

export function statSync(path: string): Stats {
  return new Stats(port.stat(path, true));
}

export function lstatSync(path: string, options: { throwIfNoEntry?: boolean } = {}): Stats | undefined {
  try {
    return new Stats(port.stat(path, false));
  } catch (cause) {
    if (options.throwIfNoEntry === false && isErrno(cause, 'ENOENT')) return undefined;
    throw cause;
  }
}

export function fstatSync(fd: number): Stats {
  return new Stats(port.fstat(fd));
}

export function statfsSync(path: string): { type: number } {
  return { type: port.statfs(path) };
}

export function existsSync(path: string): boolean {
  try {
    port.stat(path, true);
    return true;
  } catch {
    return false;
  }
}

export function realpathSync(path: string): string {
  return port.realpath(path);
}

export function readdirSync(path: string): string[] {
  return port.readdir(path);
}

export function renameSync(from: string, to: string): void {
  port.rename(from, to);
}

export function mkdirSync(path: string, options: { recursive?: boolean; mode?: number } = {}): void {
  const { recursive = false, mode = 0o777 } = options;
  try {
    port.mkdir(path, mode);
  } catch (cause) {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (recursive && isErrno(cause, 'ENOENT') && parent !== '') {
      mkdirSync(parent, options);
      mkdirSync(path, options);
    } else if (!recursive || !isErrno(cause, 'EEXIST') || !isDirectory(path)) throw cause;
  }
}

function isDirectory(path: string): boolean {
  // A link that leads nowhere is none.
  return existsSync(path) && statSync(path).isDirectory();
}

export function rmSync(path: string, options: { recursive?: boolean; force?: boolean } = {}): void {
  const { recursive = false, force = false } = options;
  try {
    if (!new Stats(port.stat(path, false)).isDirectory()) port.unlink(path);
    else {
      if (!recursive) throw new Error(`cannot remove ${path}: it is a directory`);
      for (const name of port.readdir(path)) rmSync(`${path}/${name}`, options);
      port.rmdir(path);
    }
  } catch (cause) {
    if (!force || !isErrno(cause, 'ENOENT')) throw cause;
  }
}
