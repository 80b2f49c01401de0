import { Backups } from '../node/apply/backup.ts';
import { type Clock, realClock } from '../sys/clock.ts';

/** Actions that follow each other within this time are one run of copies, in milliseconds. */
const PAUSE_MS = 2_000;
/** A run is no longer than this, in milliseconds: the oldest runs are removed when one begins. */
const LONGEST_MS = 60_000;

/** Where copies are kept of what is replaced now: a hundred fixes of one cause are one run, and push no others out. */
export function backupsOfRuns(
  begin: (at: Date) => Backups = (at) => new Backups(at),
  clock: Pick<Clock, 'now' | 'monotonic'> = realClock,
): () => Backups {
  let run: { backups: Backups; began: number; used: number } | undefined;
  return () => {
    const at = clock.monotonic();
    if (run === undefined || at - run.used > PAUSE_MS || at - run.began > LONGEST_MS)
      run = { backups: begin(new Date(clock.now())), began: at, used: at };
    run.used = at;
    return run.backups;
  };
}
