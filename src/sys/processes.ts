import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
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
    const argv = unlessEnded(() => readFileSync(`/proc/${entry}/cmdline`, 'utf8'))
      .split('\0')
      .slice(0, -1);
    if (argv.length === 0) continue;
    const process = {
      pid: Number(entry),
      argv,
      cwd: () => unlessEnded(() => readlinkSync(`/proc/${entry}/cwd`)),
    };
    if (match(process)) found.push(process);
  }
  return found;
}

/**
 * Kills (SIGKILL) every process that `find` names, also those that one of them starts meanwhile; resolves when it names
 * none. `what` is for the error past the deadline.
 */
export async function killProcesses(
  what: string,
  find: () => readonly number[],
  timeoutMs = 5000,
): Promise<void> {
  await waitFor(
    `${what} to end`,
    () => {
      const found = find();
      for (const pid of found) kill(pid);
      return found.length === 0;
    },
    { timeoutMs, intervalMs: 2, describe: () => `processes ${find().join(', ')}` },
  );
}

/** Sends SIGKILL; a process that is gone is fine. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
  }
}

/** What `read` finds in /proc; empty when the process ended between the listing and the reading. */
function unlessEnded(read: () => string): string {
  try {
    return read();
  } catch (cause) {
    if (['ENOENT', 'ESRCH'].includes((cause as NodeJS.ErrnoException).code ?? '')) return '';
    throw cause;
  }
}
