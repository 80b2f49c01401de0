import { randomBytes } from 'node:crypto';
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { discard } from '../../../sys/discard.ts';
import { aboutPath, ignoring } from '../../../sys/errno.ts';

/** A file of a volume: its content and its mode. */
export interface Payload {
  content: Uint8Array;
  mode: number;
}

/** The link through which every visible file goes; exchanging it exchanges them all at once. */
const DATA = '..data';

/**
 * Makes the files under `directory` those of `payload` (relative path to content), so that a reader sees all of the old
 * ones or all of the new: files lie in a directory of their own, `..data` points to it, and what is visible points into
 * `..data`. Layout as kubelets have: programs watch for the exchange of `..data`.
 * @returns whether anything changed.
 */
export async function writeAtomically(
  directory: string,
  payload: ReadonlyMap<string, Payload>,
): Promise<boolean> {
  for (const path of payload.keys()) assertInside(path);
  await mkdir(directory, { recursive: true });
  const link = join(directory, DATA);
  const old = await readlink(link).catch(ignoring('ENOENT'));
  if (old !== undefined && (await same(join(directory, old), payload))) return false;

  const fresh = `..${new Date().toISOString().replace(/[-:T.Z]/g, '_')}${randomBytes(4).toString('hex')}`;
  await mkdir(join(directory, fresh), { mode: 0o755 });
  try {
    for (const [path, { content, mode }] of payload) {
      const target = join(directory, fresh, path);
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, content).catch((cause: unknown) => {
        throw aboutPath(cause, target);
      });
      // open(2) masks modes with the umask; the volume says exactly which.
      await chmod(target, mode);
    }
    const next = join(directory, `${DATA}_tmp`);
    await rm(next, { force: true });
    await symlink(fresh, next);
    await rename(next, link);
  } catch (cause) {
    discard(join(directory, fresh));
    throw cause;
  }

  const tops = new Set([...payload.keys()].map((path) => path.split('/')[0]!));
  for (const top of tops) {
    if ((await readlink(join(directory, top)).catch(ignoring('ENOENT'))) === undefined) {
      await symlink(join(DATA, top), join(directory, top));
    }
  }
  for (const name of await readdir(directory)) {
    if (!name.startsWith('..') && !tops.has(name)) await unlink(join(directory, name));
  }
  if (old !== undefined) await rm(join(directory, old), { recursive: true, force: true });
  return true;
}

function assertInside(path: string): void {
  const parts = path.split('/');
  if (path === '' || path.startsWith('/') || parts.includes('..') || parts[0]!.startsWith('..')) {
    throw new Error(`volume file ${JSON.stringify(path)}: not a path inside the volume`);
  }
}

async function same(directory: string, payload: ReadonlyMap<string, Payload>): Promise<boolean> {
  const present = await filesUnder(directory, '');
  if (present.length !== payload.size) return false;
  for (const [path, { content, mode }] of payload) {
    if (!present.includes(path)) return false;
    const file = join(directory, path);
    if (((await lstat(file)).mode & 0o777) !== mode) return false;
    if (Buffer.compare(await readFile(file), content) !== 0) return false;
  }
  return true;
}

async function filesUnder(directory: string, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(directory, prefix), { withFileTypes: true })) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) found.push(...(await filesUnder(directory, path)));
    else found.push(path);
  }
  return found;
}
