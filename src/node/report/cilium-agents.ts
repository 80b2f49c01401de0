import { readdirSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { CiliumAgent } from '../../path/model/node-report.ts';
import { localPaths, readKernelFile } from '../../sys/bounded-file.ts';
import { unlessMissing } from '../../sys/errno.ts';

/** The name of Cilium's agent as a process, and of its program's file. */
const AGENT = 'cilium-agent';

/**
 * The processes of Cilium's agent that can be seen, and whether each watches a directory: of the watches of inotify(7), /proc shows inode
 * and device (proc_pid_fdinfo(5)). None where the agent runs in a process namespace that is not ours. A process may have any name: one counts as
 * the agent if it runs that program, as root, on the network of the node, which pods are not let do unless whoever may run agents created them.
 */
export function readCiliumAgents(directory: string, proc = '/proc'): CiliumAgent[] {
  const watched = unlessMissing(() => statSync(localPaths()(directory)));
  const network = readlinkSync(join(proc, 'self/ns/net'));
  return readdirSync(proc).flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    const name = unlessGone(() => readKernelFile(join(proc, pid, 'comm')));
    if (name?.trim() !== AGENT || !isAgent(join(proc, pid), network)) return [];
    const directories = unlessGone(() => readdirSync(join(proc, pid, 'fdinfo')));
    if (directories === undefined) return [];
    const watches =
      watched !== undefined &&
      directories.some((fd) => {
        const text = unlessGone(() => readKernelFile(join(proc, pid, 'fdinfo', fd))) ?? '';
        return watchesOf(text).has(placeOf(watched));
      });
    return [{ pid: Number(pid), watches }];
  });
}

/** Whether a process of the agent's name is the agent: by its file, its effective user and its network namespace. */
function isAgent(process: string, network: string): boolean {
  // The kernel marks a file that is gone, as after an update of the image.
  const program = unlessGone(() => readlinkSync(join(process, 'exe')))?.replace(/ \(deleted\)$/, '');
  const status = unlessGone(() => readKernelFile(join(process, 'status'))) ?? '';
  return (
    basename(program ?? '') === AGENT &&
    /^Uid:\t\d+\t0\t/m.test(status) &&
    unlessGone(() => readlinkSync(join(process, 'ns/net'))) === network
  );
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
