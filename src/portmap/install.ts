import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { discard } from '../sys/discard.ts';
import { fileProblem } from '../sys/file-problem.ts';
import { openLinkedFile, openRegularFile } from '../sys/regular-file.ts';
import { messageOf } from '../util/errors.ts';

/** Where the plugin's image finds the node's directory of plugins, unless `CNI_BIN_DIR` says otherwise. */
const DIRECTORY = '/host/opt/cni/bin';
const NAME = 'portmap';
/** What was there before the first installation. */
const REPLACED = 'portmap.replaced';
const CHUNK = 1 << 20;
/** How often somebody may have removed or replaced it, in milliseconds. */
const EVERY_MS = 30_000;
/** O_DSYNC, which the names of node:fs lack: after a crash, a name must not lead to an empty file. The same on amd64 and arm64. */
const O_DSYNC = 0o10000;

/** What an installation needs of its process. */
export interface InstallIo {
  env: Readonly<Record<string, string | undefined>>;
  /** This executable, which is what is installed. */
  self: string;
  say(line: string): void;
  sleep(ms: number): Promise<void>;
}

/**
 * Puts this executable into the node's directory of CNI plugins as `portmap`, at once and whole, and keeps a copy of another plugin that it
 * replaces. Idempotent. Returns what it did; undefined when it was there. Throws with the directory and what is the matter with it.
 */
export function install({ env, self }: Pick<InstallIo, 'env' | 'self'>): string | undefined {
  const directory = env.CNI_BIN_DIR || DIRECTORY;
  const path = `${directory}/${NAME}`;
  try {
    const own = bytesOf(self);
    const there = existsSync(path) ? bytesOf(path) : undefined;
    if (there !== undefined && isSame(own, there)) return undefined;
    const replaced = `${directory}/${REPLACED}`;
    const isKept = there !== undefined && !existsSync(replaced);
    if (isKept) put(there, replaced);
    put(own, path);
    return `installed ${path}${isKept ? `; what was there is ${replaced}` : ''}`;
  } catch (cause) {
    throw new Error(
      `cannot install ${path}: ${fileProblem(cause) ?? messageOf(cause)}; mount the node's directory of CNI plugins, and name it in CNI_BIN_DIR`,
    );
  }
}

/** Installs, and installs again whenever it is gone or replaced. Ends with the process; what fails is said and tried again. */
export async function keepInstalled(io: InstallIo): Promise<never> {
  for (;;) {
    try {
      const done = install(io);
      if (done !== undefined) io.say(done);
    } catch (cause) {
      io.say(messageOf(cause));
    }
    await io.sleep(EVERY_MS);
  }
}

function bytesOf(path: string): Uint8Array {
  const fd = openLinkedFile(path, constants.O_RDONLY);
  try {
    const bytes = new Uint8Array(fstatSync(fd).size);
    let done = 0;
    while (done < bytes.length) {
      const read = readSync(fd, bytes, done, Math.min(CHUNK, bytes.length - done), null);
      if (read === 0) throw new Error(`${path} became shorter while it was read`);
      done += read;
    }
    return bytes;
  } finally {
    closeSync(fd);
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}

/** Writes a program beside its place, and renames it: a runtime that calls it meanwhile finds the old one or the new one. */
function put(bytes: Uint8Array, path: string): void {
  const temporary = `${path.replace(/[^/]*$/, '')}.${NAME}.${process.pid}`;
  rmSync(temporary, { force: true });
  const { O_WRONLY, O_CREAT, O_EXCL } = constants;
  try {
    const fd = openRegularFile(temporary, O_WRONLY | O_CREAT | O_EXCL | O_DSYNC, 0o755);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (cause) {
    // A full disk must not keep a part of it as well.
    discard(temporary);
    throw cause;
  }
}
