import type { Undone, UndoPlan } from '../../agent/undo.ts';
import { safeText } from '../../util/safe-text.ts';
import type { Layout } from './layout.ts';
import { wrap } from './wrap.ts';

const STATES = { back: '-', 'as-before': '=', refused: '✗' } as const;
const STYLES = { done: 'good', unchanged: 'faint', failed: 'bad', skipped: 'unknown' } as const;
const OUTCOMES = { done: '✓', unchanged: '=', failed: '✗', skipped: '-' } as const;

/** What undoing the last heal does on each node, and what of that heal stays. */
export function renderUndoPlan({ heal, nodes, unknown }: UndoPlan, { width }: Layout): string {
  const lines = [
    ...wrap(
      heal === undefined
        ? 'No heal has changed anything on these nodes.'
        : safeText(`The last heal began at ${heal}. (- is put back, = is as it was, ✗ is refused)`),
      width,
      '',
      '',
    ),
    ...nodes.flatMap(({ node, last }) => [
      ...wrap(safeText(node), width, '', '  '),
      ...last.files.flatMap(({ state, detail }) =>
        wrap(safeText(detail), width, `  ${STATES[state]} `, '    '),
      ),
      ...last.stays.flatMap((what) => wrap(safeText(what), width, '  stays: ', '    ')),
    ]),
    ...unknown.flatMap(({ node, why }) => wrap(safeText(`${node}: ${why}`), width, 'unknown: ', '  ')),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** What was put back. */
export function renderUndone(done: Undone['nodes'], { width, paint }: Layout): string {
  const lines = done.flatMap(({ node, results }) =>
    results.flatMap(({ outcome, detail }) =>
      wrap(safeText(detail), width, `${paint(STYLES[outcome], OUTCOMES[outcome])} ${safeText(node)}  `, '  '),
    ),
  );
  return lines.map((line) => `${line}\n`).join('');
}
