import { expect, test } from 'bun:test';
import type { Backups } from '../node/apply/backup.ts';
import { backupsOfRuns } from './backup-runs.ts';

/** How far the machine's clock is from the other. */
const OTHER = Date.UTC(2026, 0, 1);

test('what follows closely is one run, and none lasts longer than a minute', () => {
  let now = 0;
  const began: number[] = [];
  const backups = backupsOfRuns(
    (at) => {
      began.push(at.getTime());
      return {} as Backups;
    },
    { now: () => OTHER + now, monotonic: () => now },
  );
  const at = (time: number) => {
    now = time;
    return backups();
  };
  const first = at(1000);
  expect(at(1000)).toBe(first);
  expect(at(3000)).toBe(first);
  expect(at(5001)).not.toBe(first);
  for (let time = 6000; time <= 70_000; time += 1000) at(time);
  expect(began).toEqual([1000, 5001, 66_000].map((time) => OTHER + time));
});
