import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, copyFile, link, mkdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfExists, writeFileAtomic } from '../sys/files.ts';

/** The first is copied, the others are linked to it: they are one executable that goes by its name. */
const PLUGINS = ['cilium-cni', 'loopback'] as const;

/**
 * Puts the plugins into the node's plugin directory, each by a rename over what was there, so that a runtime that calls one
 * meanwhile gets the old or the new, never a part. Plugins of the same size and time are left. Returns the names it put.
 */
export async function installPlugins(from: string, to: string): Promise<string[]> {
  await mkdir(to, { recursive: true });
  const source = await stat(join(from, PLUGINS[0]));
  const put: string[] = [];
  for (const name of PLUGINS) {
    const target = join(to, name);
    const there = await stat(target).catch(ignoreMissing);
    if (there?.size === source.size && Math.abs(there.mtimeMs - source.mtimeMs) < 1) continue;
    const temporary = join(to, `.${name}.${randomBytes(6).toString('hex')}.tmp`);
    try {
      if (name === PLUGINS[0]) {
        await copyFile(join(from, name), temporary, constants.COPYFILE_FICLONE);
        await chmod(temporary, 0o755);
        await utimes(temporary, source.atime, source.mtime);
      } else {
        await link(join(to, PLUGINS[0]), temporary);
      }
      await rename(temporary, target);
    } finally {
      await rm(temporary, { force: true });
    }
    put.push(name);
  }
  return put;
}

/** What makes a runtime use the plugin. A node with a conflist that sorts before it, as with portmap, uses that one. */
const CONFIG = { cniVersion: '0.3.1', name: 'cilium', type: 'cilium-cni' };

/** Writes `05-cilium.conf` when it is not there as it should be. The node counts as networked from then on, so it comes last. */
export async function writeCniConfig(directory: string): Promise<boolean> {
  const path = join(directory, '05-cilium.conf');
  const text = `${JSON.stringify(CONFIG, null, 2)}\n`;
  if ((await readIfExists(path)) === text) return false;
  await writeFileAtomic(path, text);
  return true;
}

function ignoreMissing(cause: NodeJS.ErrnoException): undefined {
  if (cause.code !== 'ENOENT') throw cause;
  return undefined;
}
