import { expect, test } from 'bun:test';
import type { Healed } from '../../agent/heal.ts';
import type { UndoPlan } from '../../agent/undo.ts';
import type { ApplyResult } from '../../node/apply/result.ts';
import type { NodeAction } from '../../path/model/action.ts';
import type { Finding } from '../../path/model/finding.ts';
import { plain } from './colour.ts';
import { renderUndone, renderUndoPlan, undoHint } from './undo.ts';

const LAYOUT = { width: Number.POSITIVE_INFINITY, isUnfolded: false, paint: plain };

test('a plan names what is put back, what is refused, what stays and who could not be asked', () => {
  const plan: UndoPlan = {
    heal: '2026-01-02T00:00:00.000Z',
    nodes: [
      {
        node: 'n0',
        last: {
          heal: '2026-01-02T00:00:00.000Z',
          place: { time: '2026-01-02T00:00:00.000Z', turn: 0 },
          files: [{ path: '/e', state: 'back', detail: 'restore /e from /f' }],
          stays: [],
        },
      },
      {
        node: 'n1',
        last: {
          heal: '2026-01-02T00:00:00.000Z',
          place: { time: '2026-01-02T00:00:00.000Z', turn: 0 },
          files: [
            { path: '/a', state: 'back', detail: 'restore /a from /b' },
            { path: '/c', state: 'as-before', detail: '/c: already as before the heal' },
            { path: '/d', state: 'refused', detail: '/d: changed\u001b[2J since the heal' },
          ],
          stays: ['set-sysctl: x: 0 is now 1'],
        },
      },
    ],
    unknown: [{ node: 'n2', why: 'no answer' }],
  };
  expect(renderUndoPlan(plan, LAYOUT)).toBe(
    [
      'The last heal began at 2026-01-02T00:00:00.000Z. Undoing it does this:',
      'n0',
      '  - restore /e from /f',
      'n1',
      '  - restore /a from /b',
      '  = /c: already as before the heal',
      '  ✗ /d: changed\\x1b[2J since the heal',
      '  nothing is restored on this node while a file is marked ✗',
      '  not undone: set-sysctl: x: 0 is now 1',
      'cannot examine n2: no answer',
      '',
    ].join('\n'),
  );
  expect(renderUndoPlan({ ...plan, nodes: plan.nodes.slice(1) }, LAYOUT)).toStartWith(
    'The last heal began at 2026-01-02T00:00:00.000Z. None of its files can or need be restored:\n',
  );
});

const CHANGES: [what: string, action: NodeAction, outcome: ApplyResult['outcome'], isNamed: boolean][] = [
  ['a file that was written', { do: 'write-file', path: '/a', content: '' }, 'done', true],
  ['a file that was renamed', { do: 'rename-file', from: '/a', to: '/b' }, 'done', true],
  ['a plugin that was installed', { do: 'install-plugin', name: 'p', directory: '/b' }, 'done', true],
  ['a mode that was set', { do: 'set-mode', path: '/a', mode: '0644' }, 'done', true],
  ['a file that was as wanted', { do: 'write-file', path: '/a', content: '' }, 'unchanged', false],
  ['a file that could not be written', { do: 'write-file', path: '/a', content: '' }, 'failed', false],
  ['a file that was written as it was', { do: 'rewrite-file', path: '/a' }, 'done', false],
  ['a sysctl', { do: 'set-sysctl', name: 'net.a', value: '1' }, 'done', false],
];

test.each(CHANGES)(
  'how to undo a heal is said only where files have changed: %s',
  (_, action, outcome, isNamed) => {
    const healed: Healed = {
      finding: { code: 'x', subject: { node: 'n1' } } as unknown as Finding,
      outcome: 'failed',
      round: 1,
      steps: [
        {
          step: { on: 'node', node: 'n1', why: 'so', action },
          result: { action: action.do, outcome, detail: '' },
        },
      ],
    };
    expect(undoHint([healed], 'bin/hostport', ' --context prod', LAYOUT)).toBe(
      isNamed ? 'To restore the files that this heal changed: bin/hostport heal --context prod --undo\n' : '',
    );
  },
);

test('without a heal there is one line', () => {
  expect(renderUndoPlan({ heal: undefined, nodes: [], unknown: [] }, LAYOUT)).toBe(
    'No heal has changed anything on these nodes.\n',
  );
});

test('what was put back is a line each', () => {
  const results = [
    { action: 'undo', outcome: 'done', detail: 'restore /a' },
    { action: 'undo', outcome: 'failed', detail: '/b: disk full' },
  ] as const;
  expect(renderUndone([{ node: 'n1', results: [...results] }], LAYOUT)).toBe(
    '✓ n1  restore /a\n✗ n1  /b: disk full\n',
  );
});
