import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { unlessMissing } from '../sys/errno.ts';

/** Names of the temporary files of actions (`.portmap.123.tmp`) and of atomic writes, which are renamed once complete. */
const TEMPORARY = /^\.(?:[0-9a-f]{12}|[A-Za-z0-9._-]+\.\d+)\.tmp$/;

/** A file older than this is abandoned: a plugin is copied in well under a second. Milliseconds. */
const ABANDONED_MS = 60_000;

/**
 * Removes temporary files that a killed hostport left in these directories. Nothing else reads such files: a runtime uses neither
 * configurations nor plugins with names like these. Returns what it removed; missing directories are skipped.
 */
export function sweepLeftovers(directories: readonly string[], now: number): string[] {
  const removed: string[] = [];
  for (const directory of directories) {
    for (const name of namesIn(directory)) {
      const path = join(directory, name);
      if (!TEMPORARY.test(name)) continue;
      const stat = statSync(path, { throwIfNoEntry: false });
      if (!stat?.isFile() || now - stat.mtimeMs < ABANDONED_MS) continue;
      rmSync(path, { force: true });
      removed.push(path);
    }
  }
  return removed;
}

function namesIn(directory: string): string[] {
  return unlessMissing(() => readdirSync(directory), ['ENOTDIR']) ?? [];
}
