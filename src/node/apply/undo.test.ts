import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeAction } from '../../path/model/action.ts';
import { realExec } from '../../sys/exec.ts';
import { Backups } from './backup.ts';
import { Journal } from './journal.ts';
import { performActions } from './perform.ts';
import { lastHeal, undoHeal } from './undo.ts';

const HEAL = '2026-01-02T03:04:05.000Z';
const LATER = '2026-01-02T04:00:00.000Z';

let root: string;
let backup: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-undo-'));
  backup = join(root, 'backup');
  mkdirSync(join(root, 'net.d'));
  mkdirSync(join(root, 'own'));
  writeFileSync(join(root, 'own/portmap'), 'the plugin');
});
afterEach(() => rmSync(root, { recursive: true }));

const at = (path: string) => join(root, path);
const put = (path: string, content: string, mode = 0o644) => {
  writeFileSync(at(path), content);
  chmodSync(at(path), mode);
};

/** As a node does it: each action is a request of its own. */
async function heal(actions: readonly NodeAction[], when = HEAL): Promise<void> {
  for (const action of actions) {
    const backups = new Backups(new Date(when), backup);
    const journal = new Journal(when, backups, backup);
    const context = { exec: realExec, backups, journal, ownPlugins: at('own') };
    await Array.fromAsync(performActions([action], context));
  }
}

/** All that is in the directories that heals change. */
function state(): Record<string, string> {
  const files = [...new Bun.Glob('{net.d,bin}/**').scanSync({ cwd: root, dot: true, onlyFiles: false })];
  return Object.fromEntries(
    files.sort().map((name) => {
      const stat = lstatSync(at(name));
      if (stat.isSymbolicLink()) return [name, `-> ${readlinkSync(at(name))}`];
      return [
        name,
        stat.isFile() ? `${(stat.mode & 0o777).toString(8)} ${readFileSync(at(name), 'utf8')}` : '/',
      ];
    }),
  );
}

const outcomes = async (when = HEAL) => (await undoHeal(when, backup)).map(({ outcome }) => outcome);

describe('what a heal changed is put back, and the second time nothing is left to do', () => {
  const cases: [string, before: () => void, actions: () => NodeAction[], times: number][] = [
    ['a new file', () => {}, () => [{ do: 'write-file', path: at('net.d/a'), content: 'new' }], 1],
    [
      'a replaced file, with its mode',
      () => put('net.d/a', 'old', 0o600),
      () => [{ do: 'write-file', path: at('net.d/a'), content: 'new', mode: '0644' }],
      1,
    ],
    [
      'a file that was written twice',
      () => put('net.d/a', 'old'),
      () => [
        { do: 'write-file', path: at('net.d/a'), content: 'new' },
        { do: 'write-file', path: at('net.d/a'), content: 'newer' },
      ],
      1,
    ],
    [
      'a name',
      () => put('net.d/a.bak', 'x', 0o600),
      () => [{ do: 'rename-file', from: at('net.d/a.bak'), to: at('net.d/a') }],
      2,
    ],
    [
      'a name that was taken',
      () => {
        put('net.d/a.bak', 'x');
        put('net.d/a', 'y', 0o600);
      },
      () => [{ do: 'rename-file', from: at('net.d/a.bak'), to: at('net.d/a') }],
      2,
    ],
    [
      'a mode',
      () => put('net.d/a', 'x', 0o644),
      () => [{ do: 'set-mode', path: at('net.d/a'), mode: '0755' }],
      1,
    ],
    [
      'a plugin',
      () => put('net.d/portmap', 'another', 0o700),
      () => [{ do: 'install-plugin', name: 'portmap', directory: at('net.d') }],
      1,
    ],
    [
      'a file whose mode was changed first',
      () => put('net.d/a', 'old', 0o600),
      () => [
        { do: 'set-mode', path: at('net.d/a'), mode: '0644' },
        { do: 'write-file', path: at('net.d/a'), content: 'new' },
      ],
      1,
    ],
    [
      'a link',
      () => symlinkSync('/elsewhere', at('net.d/a')),
      () => [{ do: 'write-file', path: at('net.d/a'), content: 'new' }],
      1,
    ],
  ];

  test.each(cases)('%s', async (_, before, actions, times) => {
    before();
    const was = state();
    await heal(actions());
    expect(state()).not.toEqual(was);
    expect(await outcomes()).toEqual(Array.from({ length: times }, () => 'done'));
    expect(state()).toEqual(was);
    expect(await outcomes()).toEqual(Array.from({ length: times }, () => 'unchanged'));
    expect(state()).toEqual(was);
  });
});

test('a file that has changed since is named, and nothing of its node is put back', async () => {
  put('net.d/a', 'old');
  await heal([
    { do: 'write-file', path: at('net.d/a'), content: 'new' },
    { do: 'write-file', path: at('net.d/b'), content: 'new' },
  ]);
  put('net.d/a', 'by hand');
  const results = await undoHeal(HEAL, backup);
  expect(results.map(({ outcome, detail }) => [outcome, detail])).toEqual([
    ['skipped', `${at('net.d/b')}: not restored, because another file changed since the heal`],
    [
      'failed',
      expect.stringMatching(/^\S+net\.d\/a: changed since the heal; restore it by hand from \/.*net\.d\/a$/),
    ],
  ]);
  expect(readFileSync(at('net.d/a'), 'utf8')).toBe('by hand');
  expect(existsSync(at('net.d/b'))).toBe(true);
});

test('a file whose copy is gone is refused', async () => {
  put('net.d/a', 'old');
  await heal([{ do: 'write-file', path: at('net.d/a'), content: 'new' }]);
  const copy = [...new Bun.Glob('*/**/net.d/a').scanSync({ cwd: backup })];
  expect(copy).toHaveLength(1);
  rmSync(join(backup, copy[0]!));
  expect(lastHeal(backup)!.files).toEqual([
    {
      path: at('net.d/a'),
      state: 'refused',
      detail: expect.stringContaining('the copy of its earlier content is gone'),
    },
  ]);
});

test('a copy that is not what the file was is not put back', async () => {
  put('net.d/a', 'old');
  await heal([{ do: 'write-file', path: at('net.d/a'), content: 'new' }]);
  const [copy] = [...new Bun.Glob('*/**/net.d/a').scanSync({ cwd: backup })];
  writeFileSync(join(backup, copy!), 'other');
  expect(lastHeal(backup)!.files).toEqual([
    { path: at('net.d/a'), state: 'refused', detail: expect.stringContaining('has changed') },
  ]);
  expect(await outcomes()).toEqual(['failed']);
  expect(readFileSync(at('net.d/a'), 'utf8')).toBe('new');
});

// Only root may change owners.
test.skipIf(process.getuid!() !== 0)('owner and group are put back', async () => {
  put('net.d/a', 'old', 0o640);
  chownSync(at('net.d/a'), 1234, 1235);
  await heal([{ do: 'write-file', path: at('net.d/a'), content: 'new' }]);
  expect(await outcomes()).toEqual(['done']);
  expect(statSync(at('net.d/a'))).toMatchObject({ uid: 1234, gid: 1235 });
  expect(statSync(at('net.d/a')).mode & 0o777).toBe(0o640);
});

describe('an action that was killed after it had changed something is undone', () => {
  test.each<[string, () => NodeAction]>([
    ['a file', () => ({ do: 'write-file', path: at('net.d/a'), content: 'new' })],
    ['a name', () => ({ do: 'rename-file', from: at('net.d/b'), to: at('net.d/a') })],
    ['a mode', () => ({ do: 'set-mode', path: at('net.d/a'), mode: '0755' })],
    ['a plugin', () => ({ do: 'install-plugin', name: 'portmap', directory: at('net.d') })],
  ])('%s', async (_, action) => {
    put('net.d/a', 'old');
    put('net.d/b', 'other', 0o600);
    put('net.d/portmap', 'another');
    const was = state();
    await heal([action()]);
    const journal = join(backup, HEAL.replaceAll(':', '-'), 'journal.jsonl');
    const lines = readFileSync(journal, 'utf8').trimEnd().split('\n');
    // Without its last line, of what it has done.
    writeFileSync(journal, `${lines.slice(0, -1).join('\n')}\n`);
    expect(new Set(await outcomes())).toEqual(new Set(['done']));
    expect(state()).toEqual(was);
  });
});

test('only the last heal is undone, and one that changed nothing is none', async () => {
  await heal([{ do: 'write-file', path: at('net.d/a'), content: 'first' }]);
  await heal([{ do: 'write-file', path: at('net.d/b'), content: 'second' }], LATER);
  await heal([{ do: 'write-file', path: at('net.d/b'), content: 'second' }], '2026-01-02T05:00:00.000Z');
  expect(lastHeal(backup)).toMatchObject({ heal: LATER, files: [{ path: at('net.d/b'), state: 'back' }] });
  await expect(undoHeal(HEAL, backup)).rejects.toThrow(`the last heal of this node is ${LATER}, not ${HEAL}`);
  expect(await outcomes(LATER)).toEqual(['done']);
  expect(readFileSync(at('net.d/a'), 'utf8')).toBe('first');
});

test('the last one is the last that was made, however often the clock was set back between them', async () => {
  const times = [LATER, HEAL, '2025-12-01T00:00:00.000Z', '2025-12-02T00:00:00.000Z'];
  for (const [i, time] of times.entries()) {
    // In two steps, as a heal of several findings.
    await heal([{ do: 'write-file', path: at('net.d/a'), content: `a${i}` }], time);
    await heal([{ do: 'write-file', path: at('net.d/b'), content: `b${i}` }], time);
    expect(lastHeal(backup)).toMatchObject({ heal: time, place: { time: LATER, turn: i } });
  }
  const next = '2026-12-01T00:00:00.000Z';
  await heal([{ do: 'write-file', path: at('net.d/a'), content: 'next' }], next);
  expect(lastHeal(backup)).toMatchObject({ heal: next, place: { time: next, turn: 0 } });
});

const journalOf = (time: string) => join(backup, time.replaceAll(':', '-'), 'journal.jsonl');

describe('a journal that cannot be read', () => {
  test.each<[string, (path: string) => void]>([
    ['of another version', (path) => writeFileSync(path, '{"format":7}\n')],
    ['damaged', (path) => appendFileSync(path, '\0\0\0\n')],
    ['too long', (path) => truncateSync(path, 65 * 1024 * 1024)],
    [
      'not a file',
      (path) => {
        rmSync(path);
        mkdirSync(path);
      },
    ],
  ])('%s: stops neither a new heal nor the undoing of a later one', async (_, spoil) => {
    await heal([{ do: 'write-file', path: at('net.d/a'), content: 'first' }]);
    spoil(journalOf(HEAL));
    expect(() => lastHeal(backup)).toThrow(journalOf(HEAL));
    await heal([{ do: 'write-file', path: at('net.d/a'), content: 'second' }], LATER);
    expect(readFileSync(at('net.d/a'), 'utf8')).toBe('second');
    expect(lastHeal(backup)).toMatchObject({ heal: LATER, place: { time: LATER, turn: 0 } });
    expect(await outcomes(LATER)).toEqual(['done']);
    expect(readFileSync(at('net.d/a'), 'utf8')).toBe('first');
  });

  test('keeps its place when only a later line is damaged', async () => {
    await heal([{ do: 'write-file', path: at('net.d/a'), content: 'first' }], LATER);
    await heal([{ do: 'write-file', path: at('net.d/a'), content: 'second' }], HEAL);
    appendFileSync(journalOf(HEAL), 'damaged\n');
    const words = `cannot read ${journalOf(HEAL)}: line 4 cannot be read by this version`;
    expect(() => lastHeal(backup)).toThrow(words);
    const third = '2026-01-02T03:00:00.000Z';
    await heal([{ do: 'write-file', path: at('net.d/a'), content: 'third' }], third);
    expect(lastHeal(backup)).toMatchObject({ heal: third, place: { time: LATER, turn: 2 } });
  });
});

test('what is no change of files is named as what stays, and so is what was interrupted', async () => {
  await heal([{ do: 'set-sysctl', name: 'kernel.x', value: '1' }]);
  expect(lastHeal(backup)).toEqual({
    heal: HEAL,
    place: { time: HEAL, turn: 0 },
    files: [],
    stays: ['set-sysctl: failed: kernel.x: not a setting of the network'],
  });
});

test('an action that was killed is judged by what is there', async () => {
  put('net.d/a', 'old');
  await heal([{ do: 'write-file', path: at('net.d/a'), content: 'new' }]);
  const journal = join(backup, HEAL.replaceAll(':', '-'), 'journal.jsonl');
  const [begun] = readFileSync(journal, 'utf8').split('\n');
  // Without its second line, and with one that was cut off.
  writeFileSync(journal, `${begun}\n`);
  appendFileSync(journal, '{"number":0,"acti');
  expect(lastHeal(backup)!.files).toMatchObject([{ state: 'refused' }]);
  put('net.d/a', 'old');
  expect(lastHeal(backup)!.files).toEqual([]);
});

test('a node without a heal has none', () => {
  expect(lastHeal(backup)).toBeUndefined();
  mkdirSync(join(backup, 'mine'), { recursive: true });
  expect(lastHeal(backup)).toBeUndefined();
  expect(statSync(backup).isDirectory()).toBe(true);
});
