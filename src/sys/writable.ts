import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { aboutPath } from './errno.ts';
import { exists } from './files.ts';

/** More than a file system of which the last bytes are used has. */
const PROBE_BYTES = 8192;

/** Creates a directory unless it is there, and checks that files can be written in it. Rejects with the system's error, about the directory. */
export async function makeWritable(directory: string, mode = 0o755): Promise<void> {
  await mkdir(directory, { recursive: true, mode });
  await probe(directory).catch((cause: unknown) => {
    throw aboutPath(cause, directory);
  });
}

/** Checks that a file can be written, whether or not its directory is there yet; creates nothing. Rejects with the system's error about the file. */
export async function checkWritable(path: string): Promise<void> {
  const directory = dirname(path);
  let nearest = directory;
  while (!(await exists(nearest)) && dirname(nearest) !== nearest) nearest = dirname(nearest);
  try {
    // By its own entry, so that a file in its place is reported as one.
    await access(`${nearest}/.`, constants.W_OK | constants.X_OK);
    if (nearest === directory) await probe(directory);
  } catch (cause) {
    throw aboutPath(cause, path);
  }
}

/** Writes a file, synced, and removes it. */
async function probe(directory: string): Promise<void> {
  const path = join(directory, `.hostport-${randomBytes(6).toString('hex')}`);
  try {
    await writeFile(path, Buffer.alloc(PROBE_BYTES), { flag: 'wx', flush: true });
  } finally {
    await rm(path, { force: true });
  }
}
