import { expect, test } from 'bun:test';
import type { UndoPlan } from '../../agent/undo.ts';
import { plain } from './colour.ts';
import { renderUndone, renderUndoPlan } from './undo.ts';

const LAYOUT = { width: Number.POSITIVE_INFINITY, isUnfolded: false, paint: plain };

test('a plan names what is put back, what is refused, what stays and who could not be asked', () => {
  const plan: UndoPlan = {
    heal: '2026-01-02T00:00:00.000Z',
    nodes: [
      {
        node: 'n1',
        last: {
          heal: '2026-01-02T00:00:00.000Z',
          place: { time: '2026-01-02T00:00:00.000Z', turn: 0 },
          files: [
            { path: '/a', state: 'back', detail: 'put /a back from /b' },
            { path: '/c', state: 'as-before', detail: '/c is as it was' },
            { path: '/d', state: 'refused', detail: '/d has changed\u001b[2J since' },
          ],
          stays: ['set-sysctl: x: 0 is now 1'],
        },
      },
    ],
    unknown: [{ node: 'n2', why: 'no answer' }],
  };
  expect(renderUndoPlan(plan, LAYOUT)).toBe(
    [
      'The last heal began at 2026-01-02T00:00:00.000Z. (- is put back, = is as it was, ✗ is refused)',
      'n1',
      '  - put /a back from /b',
      '  = /c is as it was',
      '  ✗ /d has changed\\x1b[2J since',
      '  stays: set-sysctl: x: 0 is now 1',
      'unknown: n2: no answer',
      '',
    ].join('\n'),
  );
});

test('without a heal there is one line', () => {
  expect(renderUndoPlan({ heal: undefined, nodes: [], unknown: [] }, LAYOUT)).toBe(
    'No heal has changed anything on these nodes.\n',
  );
});

test('what was put back is a line each', () => {
  const results = [
    { action: 'undo', outcome: 'done', detail: 'put /a back' },
    { action: 'undo', outcome: 'failed', detail: '/b: disk full' },
  ] as const;
  expect(renderUndone([{ node: 'n1', results: [...results] }], LAYOUT)).toBe(
    '✓ n1  put /a back\n✗ n1  /b: disk full\n',
  );
});
