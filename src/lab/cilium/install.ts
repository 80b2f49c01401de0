import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { namesIn } from '../../sys/directories.ts';
import { discard } from '../../sys/discard.ts';
import { aboutPath, ignoring } from '../../sys/errno.ts';
import { tryLockOpenFile } from '../../sys/flock.ts';
import { waitFor } from '../../sys/wait.ts';

/** The first is copied, the others are linked to it: they are one executable that acts by its name. */
const PLUGINS = ['cilium-cni', 'loopback'] as const;
/** Under which names they are until they are complete. */
const UNFINISHED = new RegExp(`^\\.(?:${PLUGINS.join('|')})\\.[0-9a-f]{12}\\.tmp$`);
/** Bytes that are copied at a time, by way of one buffer; between them an installation can be given up. */
const CHUNK = 1 << 18;
/** Longer than an installation takes on a machine that is busy starting nodes. */
const OTHER_MS = 60_000;

/**
 * Puts the plugins into the node's plugin directory, each by a rename over what was there, so that a runtime that calls one
 * meanwhile gets the old or the new, never a part. Plugins of the same size and time are left. Returns the names it put.
 *
 * Nodes may have one directory mounted: they install one after another. So what is unfinished there at the beginning is of an
 * installation that was killed, and is removed. One that the signal ends removes its own.
 */
export async function installPlugins(from: string, to: string, signal: AbortSignal): Promise<string[]> {
  await mkdir(to, { recursive: true });
  const directory = await open(to);
  try {
    await waitFor(
      `the installation of plugins in ${to} by another process`,
      () => tryLockOpenFile(directory.fd),
      {
        timeoutMs: OTHER_MS,
        signal,
      },
    );
    for (const name of namesIn(to)) if (UNFINISHED.test(name)) await rm(join(to, name), { force: true });
    return await install(from, to, signal);
  } finally {
    await directory.close();
  }
}

async function install(from: string, to: string, signal: AbortSignal): Promise<string[]> {
  const source = join(from, PLUGINS[0]);
  const { size, mtimeMs, atime, mtime } = await stat(source);
  const put: string[] = [];
  for (const name of PLUGINS) {
    const target = join(to, name);
    const there = await stat(target).catch(ignoring('ENOENT'));
    if (there?.size === size && Math.abs(there.mtimeMs - mtimeMs) < 1) continue;
    const temporary = join(to, `.${name}.${randomBytes(6).toString('hex')}.tmp`);
    try {
      if (name === PLUGINS[0]) await copy(source, temporary, { atime, mtime }, signal);
      else await link(join(to, PLUGINS[0]), temporary);
      await rename(temporary, target);
    } catch (cause) {
      throw aboutPath(cause, target);
    } finally {
      discard(temporary);
    }
    put.push(name);
  }
  return put;
}

async function copy(
  source: string,
  target: string,
  { atime, mtime }: { atime: Date; mtime: Date },
  signal: AbortSignal,
): Promise<void> {
  const buffer = Buffer.alloc(CHUNK);
  const from = await open(source);
  try {
    const file = await open(target, 'wx');
    try {
      for (;;) {
        signal.throwIfAborted();
        const { bytesRead } = await from.read(buffer, 0, CHUNK, null);
        if (bytesRead === 0) break;
        await file.writeFile(buffer.subarray(0, bytesRead));
      }
      await file.chmod(0o755);
      await file.utimes(atime, mtime);
    } finally {
      await file.close();
    }
  } finally {
    await from.close();
  }
}
