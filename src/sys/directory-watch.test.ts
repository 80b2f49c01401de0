import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DirectoryWatch } from './directory-watch.ts';
import { waitFor } from './wait.ts';

let root: string;
let watched: string;
let reported: string[];
let watch: DirectoryWatch;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-watch-'));
  watched = join(root, 'cni', 'net.d');
  mkdirSync(watched, { recursive: true });
  writeFileSync(join(watched, 'there'), 'x');
  writeFileSync(join(root, 'outside'), 'x');
  reported = [];
  watch = new DirectoryWatch((path) => reported.push(path));
});

afterEach(() => {
  watch.close();
  rmSync(root, { recursive: true, force: true });
});

const isReported = () => waitFor('a change to be reported', () => reported.length > 0, { timeoutMs: 5000 });

/** Begins to watch, and ignores the change that this itself reports. */
function follow(): void {
  watch.follow([watched]);
  reported.length = 0;
}

describe('reports that in a directory something was', () => {
  const CHANGES: [name: string, change: () => void][] = [
    ['made', () => writeFileSync(join(watched, 'new'), 'x')],
    ['written', () => appendFileSync(join(watched, 'there'), 'y')],
    ['moved in', () => renameSync(join(root, 'outside'), join(watched, 'in'))],
    ['moved in over another', () => renameSync(join(root, 'outside'), join(watched, 'there'))],
    ['moved out', () => renameSync(join(watched, 'there'), join(root, 'out'))],
    ['renamed', () => renameSync(join(watched, 'there'), join(watched, 'renamed'))],
    ['removed', () => rmSync(join(watched, 'there'))],
    ['given another mode', () => chmodSync(join(watched, 'there'), 0o600)],
  ];
  for (const [name, change] of CHANGES) {
    test(name, async () => {
      follow();
      change();
      await isReported();
      expect(new Set(reported)).toEqual(new Set([watched]));
    });
  }
});

describe('a directory that', () => {
  // What becomes of the directory; then something is written in it.
  const CHANGES: [name: string, change: () => void][] = [
    ['is not there yet', () => mkdirSync(watched, { recursive: true })],
    ['is not there yet, nor the one above', () => mkdirSync(watched, { recursive: true })],
    [
      'was replaced',
      () => {
        renameSync(watched, `${watched}.old`);
        mkdirSync(watched);
      },
    ],
    [
      'was removed and recreated',
      () => {
        rmSync(watched, { recursive: true });
        mkdirSync(watched);
      },
    ],
  ];
  for (const [name, change] of CHANGES) {
    test(`${name} is reported, and followed`, async () => {
      if (name === 'is not there yet') rmSync(watched, { recursive: true });
      if (name.endsWith('above')) rmSync(join(root, 'cni'), { recursive: true });
      follow();
      change();
      await isReported();
      // As the look that follows does; what was in the directory before is not known to have been seen.
      reported.length = 0;
      watch.refresh();
      expect(reported).toContain(watched);
      reported.length = 0;
      writeFileSync(join(watched, 'new'), 'x');
      await isReported();
    });
  }
});

test('reading, and what happens beside it, is not reported', async () => {
  follow();
  readFileSync(join(watched, 'there'));
  writeFileSync(join(root, 'cni', 'other'), 'x');
  writeFileSync(join(root, 'outside'), 'y');
  // Changes are reported in order: once the last one is there, the others have been ignored.
  writeFileSync(join(watched, 'last'), 'x');
  await isReported();
  const before = reported.length;
  writeFileSync(join(root, 'cni', 'other'), 'y');
  chmodSync(join(watched, 'there'), 0o600);
  await waitFor('the last change to be reported', () => reported.length > before, { timeoutMs: 5000 });
  // Making and writing `last` are two or three events, the mode is one; nothing else made any.
  expect(before).toBeLessThanOrEqual(3);
});

test('what is followed no more is silent', async () => {
  const other = join(root, 'other');
  mkdirSync(other);
  watch.follow([watched]);
  watch.follow([other]);
  reported.length = 0;
  writeFileSync(join(watched, 'new'), 'x');
  writeFileSync(join(other, 'new'), 'x');
  await isReported();
  expect(new Set(reported)).toEqual(new Set([other]));
});
