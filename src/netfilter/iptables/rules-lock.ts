import { closeSync, constants, mkdirSync } from 'node:fs';
import { isErrno } from '../../sys/errno.ts';
import { tryLockOpenFile } from '../../sys/flock.ts';
import { openRegularFile } from '../../sys/regular-file.ts';

/** How long to wait between two attempts to take a lock that is held, in milliseconds: at first, and at most. */
const FIRST_INTERVAL_MS = 1;
const LONGEST_INTERVAL_MS = 8;

/** The lock while it is held. */
export interface RulesLock {
  /** The open file it is held by. A process that inherits it holds the lock with us, and after us. */
  fd: number;
  release(): void;
}

/** Another process kept the lock for longer than we waited. */
export class RulesLockHeld extends Error {
  override name = 'RulesLockHeld';
}

/** What everybody locks who changes rules. */
export const RULES_LOCK = '/run/hostport/portmap.lock';

/**
 * Takes an exclusive flock(2) on `path`; the kernel releases it when this process and all that inherited the descriptor
 * have ended. Rejects with {@link RulesLockHeld} after `timeoutMs`, naming the file. It serialises what reads rules and then changes them;
 * /run/xtables.lock cannot be used for that, as the iptables we run takes it itself.
 *
 * Anything but a regular file at that path is an error at once and is not replaced: a new file would be another lock than that of the calls
 * that had opened what was there before, and two at a time would change the rules.
 */
export async function takeRulesLock(path = RULES_LOCK, timeoutMs = 30_000): Promise<RulesLock> {
  const fd = openLock(path);
  const release = () => closeSync(fd);
  const deadline = performance.now() + timeoutMs;
  let interval = FIRST_INTERVAL_MS;
  while (!tryLockOpenFile(fd)) {
    if (performance.now() > deadline) {
      release();
      throw new RulesLockHeld(`cannot lock ${path}: held by another process for more than ${timeoutMs} ms`);
    }
    await Bun.sleep(interval);
    // A call holds it for 10 to 30 ms. Many that wait would take the processor from the one that they wait for.
    interval = Math.min(interval * 2, LONGEST_INTERVAL_MS);
  }
  return { fd, release };
}

function openLock(path: string): number {
  const create = () => openRegularFile(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    return create();
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) {
      // Not by node:path: every plugin call would load it for this.
      mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true });
      return create();
    }
    if (!isErrno(cause, 'EROFS')) throw cause;
    try {
      // flock(2) does not need the right to write. Whoever can write locks the same file.
      return openRegularFile(path, constants.O_RDONLY);
    } catch {
      throw cause;
    }
  }
}
