import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { discard } from './discard.ts';
import { aboutPath, ignoring } from './errno.ts';

/** Numbers of a file's owner and group. */
export interface FileOwner {
  uid: number;
  gid: number;
}

/** What a file is to have; pieces are asked for when they are written, so not all of it need be in memory. */
export type FileContent = string | Uint8Array | Iterable<Uint8Array>;

/**
 * Writes a file so that a reader sees either the old content or the new, never a part: a temporary file in the same
 * directory, synced, then renamed over the target. `mode` defaults to 0644; pass 0o600 for secrets. `owner`: whoever runs this when absent.
 * The temporary name starts with a dot and has no extension that a CNI runtime loads.
 */
export async function writeFileAtomic(
  path: string,
  content: FileContent,
  mode = 0o644,
  owner?: FileOwner,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      for (const piece of piecesOf(content)) await file.writeFile(piece);
      // Before the mode: a change of the owner clears bits of it.
      if (owner !== undefined) await file.chown(owner.uid, owner.gid);
      // open(2) masks the mode with the umask; a secret or an executable must have exactly what was asked for.
      await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    discard(temporary);
    throw aboutPath(cause, path);
  }
}

function piecesOf(content: FileContent): Iterable<string | Uint8Array> {
  return typeof content === 'string' || content instanceof Uint8Array ? [content] : content;
}

/** The content of a text file, or undefined when it does not exist. Any other error is thrown. */
export async function readIfExists(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(ignoring('ENOENT'));
}

/** Whether a path exists (following links). */
export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(ignoring('ENOENT', 'ENOTDIR'))) !== undefined;
}
