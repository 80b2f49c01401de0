import { randomBytes } from 'node:crypto';
import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import { isErrno, unlessMissing } from './errno.ts';
import { libc } from './libc.ts';
import { readProcFile } from './processes.ts';

const calls = libc('memfd_create', 'waitpid');
const MFD_CLOEXEC = 1;
const WNOHANG = 1;
/** How long what was killed may take to end, in milliseconds. */
const ENDED_MS = 500;
/** The descriptor that a command gets: {@link ExecOptions.inherit}. */
const INHERITED = 3;
/** How often it is looked for what was started by what has just been killed. */
const MAX_ROUNDS = 100;

/**
 * Finds what commands leave behind that was started by them, whatever session or process group it is in: all of them inherit an empty file in
 * memory that nobody else has. A daemon that closes every descriptor is not found. Source: memfd_create(2), proc_pid_fd(5).
 */
export class MarkedChildren {
  /** To be inherited by the commands. */
  readonly fd: number;
  readonly #link: string;

  constructor() {
    const name = `hostport-${randomBytes(8).toString('hex')}`;
    this.fd = calls().memfd_create(Buffer.from(`${name}\0`), MFD_CLOEXEC);
    if (this.fd < 0) throw new Error('cannot create a file in memory: refused by the kernel');
    this.#link = `/memfd:${name} (deleted)`;
  }

  /** Kills (SIGKILL) everything that still has the mark, and what that starts meanwhile; returns how many there were. Takes the mark away. */
  end(): number {
    try {
      const killed = new Set<number>();
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const found = this.#holders().filter((pid) => !killed.has(pid));
        if (found.length === 0) break;
        for (const pid of found) {
          killed.add(pid);
          kill(pid);
        }
      }
      // What a container's first process does not wait for stays in the table of processes.
      if (process.pid === 1) this.#reap(killed);
      return killed.size;
    } finally {
      closeSync(this.fd);
    }
  }

  /** Waits for those that have become children of this process. */
  #reap(killed: ReadonlySet<number>): void {
    const left = new Set(killed);
    for (
      const until = performance.now() + ENDED_MS;
      left.size > 0 && performance.now() < until;
      Bun.sleepSync(1)
    ) {
      for (const pid of left) {
        const isReaped = calls().waitpid(pid, null, WNOHANG) === pid;
        if (isReaped || readProcFile(`/proc/${pid}/status`) === '') left.delete(pid);
      }
    }
  }

  #holders(): number[] {
    return readdirSync('/proc').flatMap((entry) => {
      const pid = Number(entry);
      if (!Number.isInteger(pid) || pid === process.pid) return [];
      const link = unlessMissing(
        () => readlinkSync(`/proc/${pid}/fd/${INHERITED}`),
        ['ESRCH', 'EACCES', 'EPERM'],
      );
      return link === this.#link ? [pid] : [];
    });
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (cause) {
    if (!isErrno(cause, 'ESRCH')) throw cause;
  }
}
