import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Names under which we write what is then renamed into its place: by actions (`.portmap.123.tmp`) and by atomic writes. */
const TEMPORARY = /^\.(?:[0-9a-f]{12}|[A-Za-z0-9._-]+\.\d+)\.tmp$/;

/** Older than this, nobody is writing it any more: a plugin is copied in well under a second. Milliseconds. */
const ABANDONED_MS = 60_000;

/**
 * Removes what a program of ours that was killed while it wrote has left in these directories. Nothing else reads such files: a
 * runtime takes neither configurations nor plugins by names like these. Returns what it removed; directories that are not there
 * have nothing.
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
  try {
    return readdirSync(directory);
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '')) return [];
    throw cause;
  }
}
