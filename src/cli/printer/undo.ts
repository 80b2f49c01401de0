import type { Healed } from '../../agent/heal.ts';
import { canUndo, type Undone, type UndoPlan } from '../../agent/undo.ts';
import { pathsOf } from '../../node/apply/journal.ts';
import { safeText } from '../../util/safe-text.ts';
import { asCalled } from './as-called.ts';
import type { Layout } from './layout.ts';
import { wrap, wrapCommand } from './wrap.ts';

const STATES = { back: '-', 'as-before': '=', refused: '✗' } as const;
const STYLES = { done: 'good', unchanged: 'faint', failed: 'bad', skipped: 'unknown' } as const;
const OUTCOMES = { done: '✓', unchanged: '=', failed: '✗', skipped: '-' } as const;

/** How to undo a heal; nothing when it has changed no file. */
export function undoHint(
  healed: readonly Healed[],
  program: string,
  flags: string,
  { width }: Layout,
): string {
  const hasChanged = healed.some(({ steps }) =>
    steps.some(
      // What is rewritten has the same content.
      ({ step, result }) =>
        step.on === 'node' &&
        step.action.do !== 'rewrite-file' &&
        result.outcome === 'done' &&
        pathsOf(step.action).length > 0,
    ),
  );
  if (!hasChanged) return '';
  const command = asCalled('hostport heal --undo', program, flags);
  return wrapCommand(command, width, 'To restore the files that this heal changed: ', '  ')
    .map((line) => `${line}\n`)
    .join('');
}

/** What undoing the last heal does on each node, and what of that heal stays. */
export function renderUndoPlan({ heal, nodes, unknown }: UndoPlan, { width }: Layout): string {
  const lines = [
    ...wrap(
      heal === undefined
        ? 'No heal has changed anything on these nodes.'
        : safeText(`The last heal began at ${heal}. ${whatIsUndone(nodes)}`),
      width,
      '',
      '',
    ),
    ...nodes.flatMap(({ node, last }) => [
      ...wrap(safeText(node), width, '', '  '),
      ...last.files.flatMap(({ state, detail }) =>
        wrap(safeText(detail), width, `  ${STATES[state]} `, '    '),
      ),
      ...(last.files.some(({ state }) => state === 'refused')
        ? wrap('nothing is restored on this node while a file is marked ✗', width, '  ', '    ')
        : []),
      ...last.stays.flatMap((what) => wrap(safeText(what), width, '  not undone: ', '    ')),
    ]),
    ...unknown.flatMap(({ node, why }) => wrap(safeText(`cannot examine ${node}: ${why}`), width, '', '  ')),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function whatIsUndone(nodes: UndoPlan['nodes']): string {
  return nodes.some(({ last }) => canUndo(last))
    ? 'Undoing it does this:'
    : 'None of its files can or need be restored:';
}

/** What was restored. */
export function renderUndone(done: Undone['nodes'], { width, paint }: Layout): string {
  const lines = done.flatMap(({ node, results }) =>
    results.flatMap(({ outcome, detail }) =>
      wrap(safeText(detail), width, `${paint(STYLES[outcome], OUTCOMES[outcome])} ${safeText(node)}  `, '  '),
    ),
  );
  return lines.map((line) => `${line}\n`).join('');
}
