import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BackupLimits, Backups } from './backup.ts';
import { directoryOfRun } from './runs.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-backup-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Seconds of the runs that are kept, of four of 100 bytes each, in their order. */
function keptOf(limits: BackupLimits): number[] {
  for (const second of [1, 2, 3, 4]) {
    const run = new Backups(new Date(second * 1000), root, limits);
    run.keepText('a/b', 'x'.repeat(60));
    run.keepText('a/b', 'x'.repeat(40));
  }
  return readdirSync(root)
    .sort()
    .map((name) => Number(name.slice(17, 19)));
}

const MANY = 1000;
const MUCH = 1_000_000;
test.each<[string, BackupLimits, number[]]>([
  ['everything', { runs: MANY, bytes: MUCH }, [1, 2, 3, 4]],
  ['so many runs', { runs: 2, bytes: MUCH }, [3, 4]],
  ['the run that is going on, always', { runs: 0, bytes: 0 }, [4]],
  // What comes is not known beforehand.
  ['so many bytes, and the run that is going on', { runs: MANY, bytes: 250 }, [2, 3, 4]],
])('keeps %s', (_, limits, kept) => {
  expect(keptOf(limits)).toEqual(kept);
});

test('the oldest run is the first of its node, whatever the clock was set to', () => {
  const limits = { runs: 2, bytes: MUCH };
  for (const [second, turn] of [
    [40, 0],
    [10, 1],
    [20, 2],
  ] as const) {
    const at = new Date(second * 1000);
    new Backups(at, root, limits).keepText('a', '');
    const place = { time: new Date(40_000).toISOString(), turn };
    writeFileSync(join(directoryOfRun(root, at), 'journal.jsonl'), `${JSON.stringify({ place })}\n`);
  }
  expect(readdirSync(root).sort()).toEqual(['1970-01-01T00-00-10.000Z', '1970-01-01T00-00-20.000Z']);
});

test('leaves what is no run of ours', () => {
  for (const name of ['2026-01-01', 'mine']) mkdirSync(join(root, name));
  writeFileSync(join(root, 'note'), '');
  new Backups(new Date(0), root, { runs: 0, bytes: 0 }).keepText('a', '');
  expect(readdirSync(root).sort()).toEqual(['1970-01-01T00-00-00.000Z', '2026-01-01', 'mine', 'note']);
});

test('a run that keeps nothing removes nothing', () => {
  new Backups(new Date(0), root).keepText('a', '');
  expect(new Backups(new Date(1), root, { runs: 0, bytes: 0 }).keepFile(join(root, 'none'))).toBeUndefined();
  expect(readdirSync(root)).toHaveLength(1);
});
