import { readFile } from 'node:fs/promises';
import { type Exec, output } from '../../../sys/exec.ts';

/** The mounts that volumes need, in the kubelet's own mount namespace. */
export interface Mounts {
  /** Mounts a tmpfs at a directory that exists; nothing when something is mounted there already. */
  tmpfs(path: string, options: { mode: string; sizeBytes?: number }): Promise<void>;
  /** Unmounts `path` and everything below it. */
  unmountUnder(path: string): Promise<void>;
}

/** The real {@link Mounts}: mount(8) and /proc/self/mountinfo. */
export function realMounts(exec: Exec): Mounts {
  return {
    async tmpfs(path, { mode, sizeBytes }) {
      if ((await mountPoints()).includes(path)) return;
      const options = [`mode=${mode}`, ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`])];
      await output(exec, ['mount', '-t', 'tmpfs', '-o', options.join(','), 'tmpfs', path]);
    },
    async unmountUnder(path) {
      const below = (await mountPoints()).filter((point) => point === path || point.startsWith(`${path}/`));
      // What was mounted last lies on top.
      for (const point of below.reverse()) await output(exec, ['umount', point]);
    },
  };
}

async function mountPoints(): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) =>
      // proc(5): blanks and backslashes in paths are written as octal escapes.
      line
        .split(' ')[4]!
        .replace(/\\([0-7]{3})/g, (_whole, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    );
}
