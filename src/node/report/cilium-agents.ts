import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CiliumAgent } from '../../path/model/node-report.ts';
import { unlessMissing } from '../../sys/errno.ts';

/** The name of Cilium's agent as a process. */
const AGENT = 'cilium-agent';

/**
 * The processes of Cilium's agent that can be seen, and whether each watches a directory: of the watches of inotify(7), /proc shows inode
 * and device (proc_pid_fdinfo(5)). None where the agent runs in a process namespace that is not ours.
 */
export function readCiliumAgents(directory: string, proc = '/proc'): CiliumAgent[] {
  const watched = unlessMissing(() => statSync(directory));
  return readdirSync(proc).flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    const name = unlessGone(() => readFileSync(join(proc, pid, 'comm'), 'utf8'));
    if (name?.trim() !== AGENT) return [];
    const directories = unlessGone(() => readdirSync(join(proc, pid, 'fdinfo')));
    if (directories === undefined) return [];
    const watches =
      watched !== undefined &&
      directories.some((fd) => {
        const text = unlessGone(() => readFileSync(join(proc, pid, 'fdinfo', fd), 'utf8')) ?? '';
        return watchesOf(text).has(placeOf(watched));
      });
    return [{ pid: Number(pid), watches }];
  });
}

/** What the watches of one descriptor are on, as device and inode. */
function watchesOf(fdinfo: string): ReadonlySet<string> {
  const lines = fdinfo.matchAll(/^inotify wd:\S+ ino:([0-9a-f]+) sdev:([0-9a-f]+)/gm);
  return new Set([...lines].map(([, inode, device]) => `${device} ${inode}`));
}

/** The same of a directory. The kernel shows its own number of a device (MKDEV), stat(2) another. */
function placeOf({ dev, ino }: Stats): string {
  const [low, high] = [BigInt(dev) & 0xffffffffn, BigInt(dev) >> 32n];
  const major = ((low >> 8n) & 0xfffn) | (high & ~0xfffn);
  const minor = (low & 0xffn) | ((low >> 12n) & ~0xffn);
  return `${((major << 20n) | minor).toString(16)} ${ino.toString(16)}`;
}

/** Processes end while they are looked at. */
function unlessGone<T>(read: () => T): T | undefined {
  return unlessMissing(read, ['ESRCH']);
}
