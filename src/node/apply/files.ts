import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { NodeAction } from '../../path/model/action.ts';
import { aboutPath } from '../../sys/errno.ts';
import { type FileOwner, writeFileAtomic } from '../../sys/files.ts';
import { mountIdOf } from '../../sys/mounts.ts';
import { openLinkedFile, readLinkedChunks } from '../../sys/regular-file.ts';
import { LEFT_OUT } from '../report/secrets.ts';
import { MAX_FILE_BYTES } from './backup.ts';
import type { ApplyContext } from './context.ts';
import { sha256Of, sha256OfFile } from './digest.ts';
import type { Applied } from './result.ts';

type Action<Do extends NodeAction['do']> = Extract<NodeAction, { do: Do }>;

/** Writes a file atomically: a reader sees the old content or the new. */
export async function writeFileAction(action: Action<'write-file'>, context: ApplyContext): Promise<Applied> {
  const { path, content } = action;
  if (content.includes(LEFT_OUT)) {
    throw new Error(`${path}: its content has secrets that the report left out; edit it by hand`);
  }
  const before = statSync(path, { throwIfNoEntry: false });
  const mode = action.mode === undefined ? before && before.mode & 0o777 : Number.parseInt(action.mode, 8);
  const bytes = Buffer.from(content);
  const wanted = { size: bytes.length, sha256: sha256Of(bytes) };
  if (before?.isFile() && hasContent(path, wanted) && modeOf(path) === (mode ?? modeOf(path))) {
    return { changed: false, detail: `${path} has this content` };
  }
  const backup = context.backups.keepFile(path);
  await replaceFile(path, () => [bytes], mode ?? 0o644);
  return { changed: true, detail: `wrote ${path}`, ...(backup && { backup }) };
}

/** Writes a file atomically, or in place where it is a mount of its own, which cannot be replaced. `content` is asked for its pieces for each try. */
export async function replaceFile(
  path: string,
  content: () => Iterable<Uint8Array>,
  mode: number,
  owner?: FileOwner,
): Promise<void> {
  try {
    await writeFileAtomic(path, content(), mode, owner);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EBUSY') throw cause;
    writeInPlace(path, content());
    // Only where they differ: who may write a file may not always do these.
    const { uid, gid } = statSync(path);
    if (owner !== undefined && (uid !== owner.uid || gid !== owner.gid))
      chownSync(path, owner.uid, owner.gid);
    if (modeOf(path) !== mode) chmodSync(path, mode);
    stirDirectory(path);
  }
}

/** Moves a file; what is at the target is kept first. Moved already is fine. */
export async function renameFileAction(
  { from, to }: Action<'rename-file'>,
  context: ApplyContext,
): Promise<Applied> {
  if (lstatSync(from, { throwIfNoEntry: false }) === undefined) {
    if (lstatSync(to, { throwIfNoEntry: false }) === undefined) throw new Error(`${from}: no such file`);
    return { changed: false, detail: `${to} is there, ${from} is not` };
  }
  const backup = context.backups.keepFile(to);
  renameSync(from, to);
  return { changed: true, detail: `renamed ${from} to ${to}`, ...(backup && { backup }) };
}

/** Sets permission bits. */
export async function setModeAction({ path, mode }: Action<'set-mode'>): Promise<Applied> {
  const before = modeOf(path);
  const wanted = Number.parseInt(mode, 8);
  if (before === wanted) return { changed: false, detail: `${path} has mode ${mode}` };
  chmodSync(path, wanted);
  return { changed: true, detail: `${path}: mode ${octal(before)} is now ${mode}` };
}

/**
 * Writes a file's content again, in place: a runtime watches for the end of a write (IN_CLOSE_WRITE) and may have missed a file that was
 * moved in. The directory gets no notification for a file that is a mount of its own, whoever writes it: there, another file is created and
 * removed beside it.
 */
export async function rewriteFileAction(
  { path }: Action<'rewrite-file'>,
  context: ApplyContext,
): Promise<Applied> {
  const mount = mountIdOf(path);
  if (mount === undefined) throw new Error(`${path}: no such file`);
  if (mount !== mountIdOf(dirname(path))) {
    stirDirectory(path);
    return { changed: true, detail: `let a file come and go beside ${path}, which is mounted` };
  }
  const backup = context.backups.keepFile(path);
  if (backup === undefined) throw new Error(`${path}: not a regular file`);
  writeInPlace(path, readLinkedChunks(backup, MAX_FILE_BYTES));
  return { changed: true, detail: `wrote ${path} again`, backup };
}

/** Puts a plugin that belongs to this program into a plugin directory, executable, in one step. */
export async function installPluginAction(
  { name, directory }: Action<'install-plugin'>,
  context: ApplyContext,
): Promise<Applied> {
  const source = join(context.ownPlugins, name);
  const target = join(directory, name);
  const found = statSync(source, { throwIfNoEntry: false });
  if (found?.isFile() !== true) {
    throw new Error(`${name} is not one of this program's plugins (${context.ownPlugins})`);
  }
  if (hasContent(target, { size: found.size, sha256: sha256OfFile(source) }) && modeOf(target) === 0o755) {
    return { changed: false, detail: `${target} is this plugin` };
  }
  const backup = context.backups.keepFile(target);
  await writeFileAtomic(target, readLinkedChunks(source, MAX_FILE_BYTES), 0o755);
  return { changed: true, detail: `installed ${target}`, ...(backup && { backup }) };
}

/**
 * Creates and removes a file beside another: a runtime that watches the directory reads all of it again. Its name is not a configuration's.
 * Source: containerd, pkg/cri/server/cni_conf_syncer.go (writes, renames and removals of whatever name).
 */
function stirDirectory(path: string): void {
  const beside = join(dirname(path), `.hostport.${process.pid}.tmp`);
  writeFileSync(beside, '', { mode: 0o600 });
  rmSync(beside);
}

/** Whether a regular file has this content. */
function hasContent(path: string, wanted: { size: number; sha256: string }): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.isFile() === true && found.size === wanted.size && sha256OfFile(path) === wanted.sha256;
}

/** Over what is there, which is the same: a write that fails on the way, on a full disk, has changed nothing. */
function writeInPlace(path: string, pieces: Iterable<Uint8Array>): void {
  const fd = openLinkedFile(path, constants.O_RDWR);
  try {
    for (const piece of pieces) writeFileSync(fd, piece);
    fsyncSync(fd);
  } catch (cause) {
    throw aboutPath(cause, path);
  } finally {
    closeSync(fd);
  }
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

function octal(mode: number): string {
  return `0${mode.toString(8).padStart(3, '0')}`;
}
