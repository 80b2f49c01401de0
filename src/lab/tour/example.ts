import { lstat, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../util/errors.ts';

/** Where the how-to's kind configuration expects its files. */
export const HOWTO_PATHS = { cni: '/tmp/cni', empty: '/tmp/empty' } as const;

/**
 * Does what the how-to says before the cluster is made: `ln -sfn $(pwd)/kind/cni /tmp/cni; mkdir /tmp/empty`. What an
 * earlier cluster left in /tmp/empty (its `bin` of plugins) is removed, because the story needs it empty; anything else
 * found there is somebody's, and an error.
 */
export async function prepareExample(example: string, paths = HOWTO_PATHS): Promise<void> {
  await replaceLink(join(example, 'kind/cni'), paths.cni);
  await mkdir(paths.empty, { recursive: true });
  const others = (await readdir(paths.empty)).filter((name) => name !== 'bin');
  if (others.length > 0) {
    throw new UserError(
      `prepare ${paths.empty}: the how-to needs it empty, but it holds ${others.join(', ')}; move that away`,
    );
  }
  await rm(join(paths.empty, 'bin'), { recursive: true, force: true });
}

async function replaceLink(target: string, path: string): Promise<void> {
  try {
    if (!(await lstat(path)).isSymbolicLink()) {
      throw new UserError(
        `prepare ${path}: the how-to makes a link of this name, but something else is there`,
      );
    }
    await rm(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
  }
  await symlink(target, path);
}

/** Takes away what {@link prepareExample} made, and what the lab's nodes put into it. */
export async function removeExample(paths = HOWTO_PATHS): Promise<void> {
  await rm(paths.cni, { force: true });
  await rm(paths.empty, { recursive: true, force: true });
}
