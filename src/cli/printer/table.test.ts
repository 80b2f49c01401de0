import { describe, expect, test } from 'bun:test';
import { plain } from './colour.ts';
import { table } from './table.ts';
import { columns as columnsOf } from './wrap.ts';

const CASES: { name: string; columns: string[]; rows: (string | number | undefined)[][]; want: string[] }[] =
  [
    {
      name: 'pads as kubectl does',
      columns: ['NAME', 'READY', 'AGE'],
      rows: [
        ['echo-kind-worker', '1/1', '29s'],
        ['echo', '0/1', '4m19s'],
      ],
      want: [
        'NAME               READY   AGE',
        'echo-kind-worker   1/1     29s',
        'echo               0/1     4m19s',
      ],
    },
    { name: 'prints the header alone', columns: ['NAME', 'AGE'], rows: [], want: ['NAME   AGE'] },
    {
      name: 'keeps a narrow column at six',
      columns: ['A', 'B'],
      rows: [['1', '2']],
      want: ['A     B', '1     2'],
    },
    {
      name: 'says <none> for what is empty, missing or short',
      columns: ['NAME', 'IP', 'NODE'],
      rows: [['a', '', undefined], ['b']],
      want: ['NAME   IP       NODE', 'a      <none>   <none>', 'b      <none>   <none>'],
    },
    { name: 'prints zero', columns: ['COUNT'], rows: [[0]], want: ['COUNT', '0'] },
    {
      name: 'aligns by columns of the terminal, not by characters',
      columns: ['NAME', 'X'],
      rows: [
        ['日本語', 'x'],
        ['e\u0301', 'x'],
        ['📦', 'x'],
      ],
      want: ['NAME     X', '日本語   x', 'e\u0301        x', '📦       x'],
    },
    {
      name: 'escapes what could move the cursor, break the row or turn the writing around',
      columns: ['MESSAGE', 'X'],
      rows: [
        ['\u001b[31mred', 'x'],
        ['a\nb\tc\r', 'x'],
        ['\u202eevil', 'x'],
        ['\u009b2J', 'x'],
      ],
      want: [
        'MESSAGE       X',
        '\\x1b[31mred   x',
        'a\\nb\\tc\\r     x',
        '\\u202eevil    x',
        '\\x9b2J        x',
      ],
    },
  ];

describe('table', () => {
  for (const { name, columns, rows, want } of CASES) {
    test(name, () => expect(table(columns, rows)).toBe(want.map((line) => `${line}\n`).join('')));
  }

  test('refuses a row that is longer than the header', () => {
    expect(() => table(['A'], [['1', '2']])).toThrow('table: row 1 has 2 values for 1 columns');
  });
});

describe('a table that is wider than its terminal', () => {
  const paint = plain;
  const text = 'a text of several words, which is longer than the rest';

  test('breaks the text of its last column into lines', () => {
    expect(table(['NAME', 'WHAT'], [['worker', text]], { width: 40, paint })).toBe(
      ['NAME    WHAT', 'worker  a text of several words, which', '        is longer than the rest', ''].join(
        '\n',
      ),
    );
  });

  test('has the text below its row where it has no room beside it; nothing is below where there is none', () => {
    const name = 'a-name-of-thirty-two-characters-';
    expect(
      table(
        ['NAME', 'WHAT'],
        [
          [name, text],
          ['b', ''],
        ],
        { width: 40, paint },
      ),
    ).toBe(
      [
        'NAME',
        '    WHAT',
        name,
        '    a text of several words, which is',
        '    longer than the rest',
        'b',
        '',
      ].join('\n'),
    );
  });

  test('moves its columns together before anything is broken', () => {
    const row = ['x'.repeat(10), 'y'.repeat(10), 'z'.repeat(10)];
    expect(table(['A', 'B', 'C'], [row], { width: 34, paint }).split('\n')[1]).toBe(row.join('  '));
  });

  test('loses no character, whatever is wide, and no line is too long', () => {
    const rows = [
      ['node-'.repeat(20), '日本語'.repeat(20), 'ok', text],
      ['n', 'p', 'ok', ''],
    ];
    for (let width = 60; width < 200; width += 7) {
      const shown = table(['NODE', 'POD', 'STATE', 'SEEN'], rows, { width, paint });
      for (const line of shown.split('\n')) expect(columnsOf(line)).toBeLessThanOrEqual(width);
      const characters = (all: string) => [...all.replace(/\s/g, '')].sort().join('');
      expect(characters(shown.replace('<none>', ''))).toBe(
        characters(['NODEPODSTATESEEN', ...rows.flat()].join('')),
      );
    }
  });

  test('is aligned with colours as without', () => {
    const rows = [
      [{ value: '✗ bad', style: 'bad' } as const, 'x'],
      ['ok', 'y'],
    ];
    const coloured = (_: string, value: string) => `\u001b[31m${value}\u001b[0m`;
    for (const width of [200, 10]) {
      const without = table(['STATE', 'NAME'], rows, { width, paint });
      const colours = /\u001b\[[0-9;]*m/g;
      expect(table(['STATE', 'NAME'], rows, { width, paint: coloured }).replace(colours, '')).toBe(without);
    }
  });
});
