import { closeSync, openSync, readFileSync } from 'node:fs';
import { unlessMissing } from './errno.ts';

/** A mount of this process's mount namespace. Source: proc(5), /proc/pid/mountinfo. */
export interface Mount {
  /** Where it is mounted. */
  point: string;
  /** What of its file system is mounted there: a path from that file system's root. */
  root: string;
  /** The device or whatever else the file system is of. */
  source: string;
  /** Kind of file system: `ext4`, `cgroup2`. */
  type: string;
  /** `major:minor`, the same for every mount of one file system. */
  device: string;
  /** Options of the file system, not of this mount of it. */
  fileSystemOptions: readonly string[];
  /** Whether nothing on it can be written: by the mount's own options or the file system's. */
  readOnly: boolean;
  /** Whether no program on it can be run, whatever its mode: `noexec` of the mount. */
  noExec: boolean;
}

/** The mounts by their ID, as {@link mountIdOf} returns it. */
export function parseMountinfo(text: string): ReadonlyMap<number, Mount> {
  const mounts = new Map<number, Mount>();
  for (const line of text.split('\n')) {
    const [own, other] = line.split(' - ');
    const [id, , device, root, point, options] = (own ?? '').split(' ');
    const [type, source, superOptions] = (other ?? '').split(' ');
    if (point === undefined || options === undefined || superOptions === undefined) continue;
    mounts.set(Number(id), {
      point: unescaped(point),
      root: unescaped(root!),
      source: unescaped(source!),
      type: type!,
      device: device!,
      fileSystemOptions: superOptions.split(','),
      readOnly: [options, superOptions].some((list) => list.split(',').includes('ro')),
      noExec: options.split(',').includes('noexec'),
    });
  }
  return mounts;
}

/** The mounts that this process sees. */
export function readMounts(): ReadonlyMap<number, Mount> {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** The mounts that the machine's first process sees, in the order in which they were mounted over one another. */
export function readMountsOfInit(): Mount[] {
  return [...parseMountinfo(readFileSync('/proc/1/mountinfo', 'utf8')).values()];
}

/**
 * Number of the mount that a path lies on, as the kernel finds it: links on the way are followed, one at its end is not, and of mounts on top of one
 * another it is the uppermost. Undefined when there is nothing there. Source: proc(5), /proc/pid/fdinfo (`mnt_id`, Linux 3.15).
 */
export function mountIdOf(path: string): number | undefined {
  // A path alone is opened: neither permission to read nor a device or FIFO behind it matters.
  const fd = unlessMissing(() => openSync(path, O_PATH | O_NOFOLLOW), ['ENOTDIR']);
  if (fd === undefined) return undefined;
  try {
    const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    if (id === undefined) throw new Error(`cannot find the mount of ${path}: the kernel does not report it`);
    return Number(id);
  } finally {
    closeSync(fd);
  }
}

const O_PATH = 0o10000000;
const O_NOFOLLOW = 0o400000;

/** Space, tab, newline and backslash are written as three octal digits. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
