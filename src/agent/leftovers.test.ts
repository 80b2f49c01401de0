import { afterAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sweepLeftovers } from './leftovers.ts';

const directory = mkdtempSync(join(tmpdir(), 'hostport-leftovers-'));
afterAll(() => rmSync(directory, { recursive: true }));

const NOW = 1_700_000_000_000;

test('what was never finished goes once nobody can be writing it; everything else stays', () => {
  // Name, age in seconds, and whether it goes.
  const CASES: [name: string, age: number, goes: boolean][] = [
    ['.portmap.123.tmp', 61, true],
    ['.portmap.124.tmp', 59, false],
    ['.0123456789ab.tmp', 61, true],
    ['.0123456789ab.tmp2', 61, false],
    ['.hidden.tmp', 61, false],
    ['portmap.123.tmp', 61, false],
    ['portmap', 61, false],
    ['10-net.conflist', 61, false],
  ];
  for (const [name, age] of CASES) {
    writeFileSync(join(directory, name), '');
    utimesSync(join(directory, name), NOW / 1000 - age, NOW / 1000 - age);
  }
  mkdirSync(join(directory, '.directory.1.tmp'));
  const gone = CASES.filter(([, , goes]) => goes).map(([name]) => name);
  const sweep = () => sweepLeftovers([directory, join(directory, 'missing')], NOW);
  expect(sweep().sort()).toEqual(gone.map((name) => join(directory, name)).sort());
  expect(readdirSync(directory).sort()).toEqual(
    [...CASES.filter(([, , goes]) => !goes).map(([name]) => name), '.directory.1.tmp'].sort(),
  );
  expect(sweep()).toEqual([]);
});
