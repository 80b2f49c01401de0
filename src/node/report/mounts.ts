import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { MountSeen } from '../../path/model/node-report.ts';
import { type Mount, mountIdOf, readMounts } from '../../sys/mounts.ts';

/**
 * The mounts that directories lie on, and mounts inside them (a file that is bound over a name). For a directory that does not exist, the
 * mount that it would be created on.
 */
export function readMountsOf(directories: readonly string[]): MountSeen[] {
  const mounts = readMounts();
  return [...new Set(directories)].flatMap((directory) => {
    const there = realpathSync(nearestThere(directory));
    const id = mountIdOf(there);
    const own = seen(mounts, id, directory, there);
    if (own === undefined || !existsSync(directory)) return own ?? [];
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

/** `path`: as it is named here; `real`: the same without links. */
function seen(
  mounts: ReadonlyMap<number, Mount>,
  id: number | undefined,
  path: string,
  real: string,
): MountSeen | undefined {
  const mount = mounts.get(id ?? -1);
  if (mount === undefined) return undefined;
  const { point, root, source, readOnly } = mount;
  const below = point === '/' ? real : real.slice(point.length);
  return { path, point, origin: join(root, below), source, readOnly };
}

function nearestThere(directory: string): string {
  return existsSync(directory) ? directory : nearestThere(dirname(directory));
}
