import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { isErrno, unlessMissing } from './errno.ts';
import { waitFor } from './wait.ts';

/** A process of the machine, as /proc shows it. Source: proc(5). */
export interface Process {
  pid: number;
  argv: readonly string[];
  /** Its working directory; empty when it has just ended. */
  cwd(): string;
}

/** Processes that satisfy `match`. Those that have ended and wait for their parent (zombies) are not among them. */
export function findProcesses(match: (process: Process) => boolean): Process[] {
  const found: Process[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(entry)) continue;
    const argv = argvOf(entry);
    if (argv.length === 0) continue;
    const process = {
      pid: Number(entry),
      argv,
      cwd: () => unlessEnded(() => readlinkSync(`/proc/${entry}/cwd`)) ?? '',
    };
    if (match(process)) found.push(process);
  }
  return found;
}

/**
 * Kills (SIGKILL) every process that `find` names, also those that one of them starts meanwhile; resolves when it names
 * none and those that were killed have ended, with their sockets and files. `what` is for the error past the deadline.
 */
export async function killProcesses(
  what: string,
  find: () => readonly number[],
  timeoutMs = 5000,
): Promise<void> {
  const alive = new Set<number>();
  await waitFor(
    `${what} to end`,
    () => {
      for (const pid of find()) {
        kill(pid);
        alive.add(pid);
      }
      for (const pid of alive) if (hasEnded(pid)) alive.delete(pid);
      return alive.size === 0;
    },
    { timeoutMs, intervalMs: 2, describe: () => `processes ${[...alive].join(', ')}` },
  );
}

/** Whether nothing of a process is left but, at most, its exit status (a zombie). */
function hasEnded(pid: number): boolean {
  const status = readProcFile(`/proc/${pid}/status`);
  return status === '' || /^State:\s+[ZX]/m.test(status);
}

/** Sends SIGKILL; a process that is gone is fine. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (cause) {
    if (!isErrno(cause, 'ESRCH')) throw cause;
  }
}

/**
 * A process's arguments; none for kernel threads and zombies. In the middle of execve(2) a process has none either, though
 * whoever started it may already go on: it is looked at again.
 */
function argvOf(pid: string): string[] {
  for (let look = 0; look < 50; look++) {
    const text = readProcFile(`/proc/${pid}/cmdline`);
    if (text !== '') return text.split('\0').slice(0, -1);
    const executable = unlessEnded(() => readlinkSync(`/proc/${pid}/exe`));
    if (executable === undefined) return [];
    Bun.sleepSync(1);
  }
  return [];
}

/** A file of /proc; empty when its process has ended. */
export function readProcFile(path: string): string {
  return unlessEnded(() => readFileSync(path, 'utf8')) ?? '';
}

/** What `read` finds in /proc; undefined when the process or thread has ended meanwhile. */
export function unlessEnded<T>(read: () => T): T | undefined {
  return unlessMissing(read, ['ESRCH']);
}
