import { afterAll, expect, test } from 'bun:test';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Leftovers } from './leftovers.ts';

const directory = mkdtempSync(join(tmpdir(), 'hostport-leftovers-'));
afterAll(() => rmSync(directory, { recursive: true }));
const at = (name: string) => join(directory, name);

test('what was never finished goes once nobody can be writing it; everything else stays', () => {
  // Name, and whether it goes.
  const CASES: [name: string, goes: boolean][] = [
    ['.portmap.123.tmp', true],
    ['.0123456789ab.tmp', true],
    ['.0123456789ab.tmp2', false],
    ['.hidden.tmp', false],
    ['portmap.123.tmp', false],
    ['portmap', false],
    ['10-net.conflist', false],
  ];
  for (const [name] of CASES) writeFileSync(at(name), '');
  mkdirSync(at('.directory.1.tmp'));
  // Their times say nothing: somebody has set the clock, forward or back.
  for (const [i, [name]] of CASES.entries()) {
    const set = Date.now() / 1000 + (i % 2 === 0 ? -36_000 : 36_000);
    utimesSync(at(name), set, set);
  }
  const leftovers = new Leftovers();
  const sweep = (now: number) => leftovers.sweep([directory, at('missing')], now);
  expect(sweep(0)).toEqual([]);
  writeFileSync(at('.portmap.124.tmp'), '');
  expect(sweep(30_000)).toEqual([]);
  // Somebody still writes this one.
  appendFileSync(at('.portmap.124.tmp'), 'more');
  expect(sweep(59_999)).toEqual([]);
  const gone = CASES.filter(([, goes]) => goes).map(([name]) => at(name));
  expect(sweep(60_000).sort()).toEqual(gone.sort());
  const stays = ['.directory.1.tmp', '.portmap.124.tmp'];
  expect(readdirSync(directory).sort()).toEqual(
    [...CASES.filter(([, goes]) => !goes).map(([name]) => name), ...stays].sort(),
  );
  expect(sweep(119_998)).toEqual([]);
  expect(sweep(119_999)).toEqual([at('.portmap.124.tmp')]);
  expect(sweep(300_000)).toEqual([]);
});
