import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostport } from '../src/cli/command-line.ts';
import { columns } from '../src/cli/printer/wrap.ts';
import type { Verb } from '../src/cli/verb.ts';
import { catalogue } from '../src/path/stages/index.ts';
import { onTerminal, type Shown, tooWide } from './pseudo-terminal.ts';

// What the program prints on a terminal, which is a pseudo terminal of script(1) here.

const ROOT = join(import.meta.dir, '..');
const PROGRAM = join(ROOT, 'bin/hostport');
const BUNDLES = join(ROOT, 'test/fixtures/bundles');

const scratch = mkdtempSync(join(tmpdir(), 'hostport-terminal-'));
/** A bundle whose pods and messages have what makes a terminal's lines longer, or what looks shorter than it is. */
const hostile = join(scratch, 'hostile');
const NAMES = ['日本語のポッド', '📦🕹️👩‍🚀', `${'long-'.repeat(50)}end`, 'عربي\u202eevil', '\u001b[2Jcleared'];

beforeAll(() => {
  cpSync(join(BUNDLES, 'begin'), hostile, { recursive: true });
  const path = join(hostile, 'objects/pods.json');
  const pods = JSON.parse(readFileSync(path, 'utf8')) as { metadata: { name: string; uid: string } }[];
  const made = NAMES.map((name, i) => {
    const pod = structuredClone(pods[i % pods.length]!);
    return { ...pod, metadata: { ...pod.metadata, name, uid: `${pod.metadata.uid}-${i}` } };
  });
  writeFileSync(path, JSON.stringify([...pods, ...made]));
});
afterAll(() => rmSync(scratch, { recursive: true }));

const plain = { NO_COLOR: '1' };

const shownBy = (lines: readonly (readonly string[])[], width: number, env: Record<string, string> = plain) =>
  onTerminal(PROGRAM, lines, width, env);

/** Every command and group of commands. */
function all(verb: Verb): string[][] {
  const own = verb.path.split(' ').slice(1);
  return [own, ...(verb.commands as Verb[]).flatMap(all)];
}

const bundles = readdirSync(BUNDLES).map((name) => join(BUNDLES, name));
const COMMANDS: readonly string[][] = [
  ...all(await hostport()).map((words) => [...words, '--help']),
  ['faults'],
  ['version'],
  ['ps'],
  ['get', 'clusters'],
  ['doctor', '--explain', 'portmap-not-chained'],
  ...[...bundles, hostile].flatMap((bundle) => [['doctor', '--from', bundle]]),
  ['doctor', '--from', hostile, '--summary'],
  ['doctor', '--from', hostile, '--only', 'plugin-missing'],
  ...[
    'doctor',
    'heal',
    'answers',
    'break plugin-missing',
    'unbreak',
    'trace node:80',
    'agent status',
    'shell',
  ].map((words) => [...words.split(' '), '--name', 'no-such-cluster']),
  ['doctor', '--from', join(scratch, 'a-directory-that-is-not-there', 'and-has-a-long-name-of-its-own')],
  ['delete', 'cluster', '--name', 'no-such-cluster'],
  ['break', 'plugin-mising'],
  ['no-such-command'],
  ['doctor', '--no-such-option'],
  ['cni', 'status', '--conf', join(scratch, 'none.conflist')],
];

describe.each([80, 200])('on a terminal of %i columns', async (width) => {
  let shown: Shown[] = [];
  beforeAll(async () => {
    shown = await shownBy(COMMANDS, width);
  }, 120_000);

  test('no line of any command is wider', () => {
    expect(tooWide(shown, width)).toEqual([]);
  });

  test('nothing does anything to the terminal', () => {
    expect(
      shown
        .filter(
          ({ words, lines }) =>
            !isProgress(words) && /[\u0000-\u001f\u007f-\u009f\u202e]/.test(lines.join('')),
        )
        .map(({ words }) => words),
    ).toEqual([]);
  });

  test('every command says something, and what is of no use is an error in one form', () => {
    expect(shown.filter(({ lines }) => lines.join('').trim() === '').map(({ words }) => words)).toEqual([]);
    const failed = shown.find(({ words }) => words === 'no-such-command')!;
    expect(failed.lines[0]).toBe("error: unknown command 'no-such-command'");
  });

  test('marks are below the names of their stages, whatever is before them', () => {
    const { lines } = shown.find(({ words }) => words === `doctor --from ${hostile}`)!;
    const header = lines.findIndex((line) => line.startsWith('NODE'));
    const rows = lines.slice(header + 1, lines.indexOf('', header));
    expect(rows.length).toBeGreaterThan(NAMES.length);
    const at = columns(lines[header]!.slice(0, lines[header]!.search(/(?<= )(?:DE|DECLARED) /)));
    for (const row of rows) {
      const before = row.slice(0, row.search(/[✓✗!?·]/u));
      expect(columns(before)).toBe(at);
    }
  });
});

/** What shows how far it is on one line that is written over. */
function isProgress(words: string): boolean {
  return words.startsWith('delete cluster --name');
}

describe('colours', () => {
  const line = ['doctor', '--from', join(BUNDLES, 'begin')];

  test('are on a terminal, and mean nothing that the text without them does not say', async () => {
    const [coloured] = await shownBy([line], 80, {});
    const [without] = await shownBy([line], 80, { NO_COLOR: '1' });
    expect(coloured!.lines.join('\n')).toContain('\u001b[31m✗');
    expect(coloured!.lines.map((text) => text.replaceAll(/\u001b\[\d+m/g, ''))).toEqual(without!.lines);
  });

  test('are in a pipe only when they are forced', async () => {
    const piped = (env: Record<string, string>) =>
      Bun.spawnSync([PROGRAM, ...line], { env: { PATH: process.env.PATH ?? '', ...env } }).stdout.toString();
    expect(piped({})).not.toContain('\u001b');
    expect(piped({ FORCE_COLOR: '1' })).toContain('\u001b[31m✗');
  });
});

test('a pipe gets whole lines', () => {
  const { stdout } = Bun.spawnSync([PROGRAM, 'faults'], { env: { COLUMNS: '80' } });
  const [table, legend] = stdout.toString().trimEnd().split('\n\n');
  expect(table!.split('\n')).toHaveLength(catalogue.length + 1);
  expect(legend!.split('\n').map((line) => line.split(':')[0])).toEqual([
    'restart no',
    'restart avoided',
    'restart needed',
  ]);
});

test('COLUMNS says how wide a terminal is', async () => {
  const [wide] = await shownBy([['faults']], 80, { NO_COLOR: '1', COLUMNS: '200' });
  expect(wide!.lines.indexOf('')).toBe(catalogue.length + 1);
});
