import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { exists } from '../../src/sys/files.ts';

/**
 * Makes a directory of the cache that is not there yet: `fill` puts everything into a new one, which then gets the name. One that is interrupted leaves
 * nothing, and of two that do it at once the first that is done is kept.
 */
export async function makeKept(path: string, fill: (fresh: string) => Promise<void>): Promise<void> {
  if (await exists(path)) return;
  await mkdir(dirname(path), { recursive: true });
  const fresh = await mkdtemp(join(dirname(path), '.new-'));
  try {
    await fill(fresh);
    await rename(fresh, path).catch(async (cause: unknown) => {
      if (!(await exists(path))) throw cause;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}
