import { chmod, mkdtemp, readdir, readFile, rename, rmdir, stat, statfs, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { discard } from '../../sys/discard.ts';
import { aboutPath, ignoring, isErrno } from '../../sys/errno.ts';
import { type Exec, output } from '../../sys/exec.ts';
import { UserError } from '../../util/errors.ts';
import { PROBLEMS } from '../../util/system-error.ts';

/** Moves what a directory holds into another on the same file system, over what has the same name there, and removes it. */
export async function moveInto(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) {
    try {
      await rename(join(from, name), join(to, name));
    } catch (cause) {
      // A directory takes the place of an empty one only: rename(2).
      if (!isErrno(cause, 'ENOTEMPTY', 'EEXIST')) throw cause;
      await moveInto(join(from, name), join(to, name));
    }
  }
  await rmdir(from);
}

/** Unpacks a tar archive at a path: a new directory, or into one that is there. When that fails, on a full disk for instance, nothing of it stays. */
export async function placeTree(exec: Exec, archive: Uint8Array, path: string): Promise<void> {
  const isNew = (await stat(path).catch(ignoring('ENOENT'))) === undefined;
  // On the same file system, which a directory that is there may be alone.
  const beside = isNew ? join(dirname(path), `.${basename(path)}-`) : join(path, '.hostport-');
  const unpacked = await mkdtemp(beside);
  try {
    await output(exec, ['tar', '-C', unpacked, '-xf', '-'], { stdin: archive });
    if (isNew) await rename(unpacked, path);
    else await moveInto(unpacked, path);
  } catch (cause) {
    // What tar says of it is how many bytes were missing.
    const isFull = (await statfs(unpacked)).bavail === 0;
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
