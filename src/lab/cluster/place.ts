import {
  chmod,
  lstat,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rmdir,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { discard } from '../../sys/discard.ts';
import { aboutPath, ignoring, isErrno } from '../../sys/errno.ts';
import { type Exec, output } from '../../sys/exec.ts';
import { UserError } from '../../util/errors.ts';
import { PROBLEMS } from '../../util/system-error.ts';

/**
 * Moves what a directory holds into another on the same file system, over what has the same name there, and removes it.
 * @throws UserError before anything is moved when a directory would replace something else, or something else a directory.
 */
export async function moveInto(from: string, to: string): Promise<void> {
  await refuseConflicts(from, to);
  await moveAll(from, to);
}

async function refuseConflicts(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const at = join(to, entry.name);
    const there = await lstat(at).catch(ignoring('ENOENT'));
    if (there === undefined) continue;
    if (there.isDirectory() !== entry.isDirectory()) {
      const is = there.isDirectory() ? 'it is a directory' : 'it is not a directory';
      throw new UserError(
        `cannot write ${at}: ${is}, and what would replace it is of another kind; remove it first`,
      );
    }
    if (there.isDirectory()) await refuseConflicts(join(from, entry.name), at);
  }
}

async function moveAll(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) {
    try {
      await rename(join(from, name), join(to, name));
    } catch (cause) {
      // A directory takes the place of an empty one only: rename(2).
      if (!isErrno(cause, 'ENOTEMPTY', 'EEXIST')) throw cause;
      await moveAll(join(from, name), join(to, name));
    }
  }
  await rmdir(from);
}

/**
 * Unpacks a tar archive of `.` at a path: a new directory, or into one that is there, which gets the mode of `.` as well. When it cannot be unpacked, on a
 * full disk for instance, or does not suit what is there, nothing of it stays. Into a directory that is there, its entries are moved one by one: should
 * that fail in the middle, at a mounted file for instance, those that were moved stay.
 */
export async function placeTree(exec: Exec, archive: Uint8Array, path: string): Promise<void> {
  const isNew = (await stat(path).catch(ignoring('ENOENT'))) === undefined;
  // On the same file system, which a directory that is there may be alone.
  const beside = isNew ? join(dirname(path), `.${basename(path)}-`) : join(path, '.hostport-');
  const unpacked = await mkdtemp(beside);
  try {
    await output(exec, ['tar', '-C', unpacked, '-xf', '-'], { stdin: archive });
    if (isNew) await rename(unpacked, path);
    else {
      const { mode } = await stat(unpacked);
      await moveInto(unpacked, path);
      await chmod(path, mode & 0o7777);
    }
  } catch (cause) {
    // What tar says of it is how many bytes were missing.
    const isFull = (await statfs(dirname(unpacked))).bavail === 0;
    discard(unpacked);
    throw isFull ? new UserError(`cannot write ${path}: ${PROBLEMS.ENOSPC}`, { cause }) : cause;
  }
}

/**
 * Writes a file that is there in its place: it may be a mount, or the target of a link. When that fails, on a full disk for instance, what was there is put
 * back: it had room.
 */
export async function overwrite(path: string, content: Uint8Array, mode: number): Promise<void> {
  const before = (await stat(path)).isFile() ? await readFile(path) : undefined;
  try {
    await writeFile(path, content);
    await chmod(path, mode);
  } catch (cause) {
    if (before !== undefined && !isErrno(cause, 'EROFS')) await writeFile(path, before);
    throw aboutPath(cause, path);
  }
}
