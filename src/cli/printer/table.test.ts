import { describe, expect, test } from 'bun:test';
import { table } from './table.ts';

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
