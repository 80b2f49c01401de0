import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { MountSeen } from '../../path/model/node-report.ts';
import { isBelow, localPaths } from '../../sys/bounded-file.ts';
import { unlessMissing } from '../../sys/errno.ts';
import { type Mount, mountIdOf, readMounts, readMountsOfInit } from '../../sys/mounts.ts';

/**
 * The mounts that directories lie on, and mounts inside them (a file that is bound over a name). For a directory that does not exist, the
 * mount that it would be created on.
 */
export function readMountsOf(directories: readonly string[]): MountSeen[] {
  const mounts = readMounts();
  const resolve = localPaths(mounts.values());
  return [...new Set(directories)].flatMap((directory) => {
    const { there, isMissing } = nearestThere(directory, resolve);
    const id = mountIdOf(there);
    const own = seen(mounts, id, directory, there);
    if (own === undefined || isMissing) return own ?? [];
    const entries = readdirSync(there)
      .sort()
      .flatMap((name) => {
        const path = join(there, name);
        const entryId = mountIdOf(path);
        return entryId === id ? [] : (seen(mounts, entryId, join(directory, name), path) ?? []);
      });
    return [own, ...entries];
  });
}

/**
 * As {@link readMountsOf}, for a process whose own mounts are copies of the node's, read-only though the node's may not be: the mounts are those
 * that the node's first process sees.
 */
export function readNodeMountsOf(directories: readonly string[], mounts = readMountsOfInit()): MountSeen[] {
  const resolve = localPaths();
  return [...new Set(directories)].flatMap((directory) => {
    const { there, isMissing } = nearestThere(directory, resolve);
    const on = mounts.findLast(({ point }) => point === there || isBelow(point, there));
    if (on === undefined) return [];
    const own = seenOn(on, directory, there);
    if (isMissing) return [own];
    const inside = mounts.filter(({ point }) => dirname(point) === there && point !== there);
    const uppermost = new Map(inside.map((mount) => [mount.point, mount]));
    return [
      own,
      ...[...uppermost.values()]
        .sort((a, b) => (a.point < b.point ? -1 : 1))
        .map((mount) => seenOn(mount, join(directory, basename(mount.point)), mount.point)),
    ];
  });
}

/** `path`: as it is named here; `real`: the same without links. */
function seen(
  mounts: ReadonlyMap<number, Mount>,
  id: number | undefined,
  path: string,
  real: string,
): MountSeen | undefined {
  const mount = mounts.get(id ?? -1);
  return mount && seenOn(mount, path, real);
}

function seenOn({ point, root, source, readOnly, noExec }: Mount, path: string, real: string): MountSeen {
  const below = point === '/' ? real : real.slice(point.length);
  return {
    path,
    point,
    origin: join(root, below),
    source,
    readOnly,
    ...(noExec ? { noExec: true as const } : {}),
  };
}

/** The path without links of a directory, or of the nearest one above it that exists. */
function nearestThere(
  directory: string,
  resolve: (path: string) => string,
): { there: string; isMissing: boolean } {
  const there = unlessMissing(() => resolve(directory), ['ENOTDIR', 'ELOOP']);
  if (there !== undefined) return { there, isMissing: false };
  return { there: nearestThere(dirname(directory), resolve).there, isMissing: true };
}
