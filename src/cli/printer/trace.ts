import { explainCommand } from '../../path/diagnose/advice.ts';
import type { TraceDocument } from '../../path/trace/document.ts';
import { placeOf, textOf } from '../../path/trace/step-text.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { safeText } from '../../util/safe-text.ts';
import { asCalled } from './as-called.ts';
import type { Layout } from './layout.ts';
import { MARK_STYLES } from './path-table.ts';
import { wrap } from './wrap.ts';

const MARKS: Readonly<Record<TraceDocument['outcome'], string>> = {
  answered: '✓',
  died: '✗',
  inconclusive: '?',
};
const STYLES = {
  answered: MARK_STYLES.ok,
  died: MARK_STYLES.broken,
  inconclusive: MARK_STYLES.unknown,
} as const;
/** Width of the column of hooks. */
const HOOK = 14;

/** A trace as people read it: the way of both packets, hook by hook, and what became of them. */
export function renderTrace(
  trace: TraceDocument,
  program: string,
  { width, paint }: Pick<Layout, 'width' | 'paint'>,
): string {
  const { protocol, address, port, node, pod, from, sourcePort, outcome, message, death, notes } = trace;
  const lines: string[] = [];
  const add = (text: string, first: string, hang: string) =>
    lines.push(...wrap(safeText(text), width, first, hang));
  const forPod = pod === undefined ? '' : `, hostPort of ${pod}`;
  const to = `${protocol} ${formatEndpoint({ address, port })} of ${node}${forPod}`;
  add(`${to}, from ${from} (source port ${sourcePort})`, '', '  ');
  for (const direction of ['request', 'answer'] as const) {
    const steps = trace.steps.filter((step) => step.direction === direction);
    if (steps.length === 0) continue;
    const { source = '?', destination = '?' } = steps[0]!;
    lines.push('');
    add(`${direction}: ${source} to ${destination}`, '', '  ');
    let shown: string | undefined;
    for (const step of steps) {
      const at = placeOf(step);
      const text = textOf(step);
      // A hook where nothing happens is its devices at most.
      if (text === '') continue;
      const label = at === shown ? '' : at;
      shown = at;
      add(text, `  ${label.padEnd(HOOK)}`, ' '.repeat(HOOK + 4));
    }
  }
  lines.push('');
  add(message, `${paint(STYLES[outcome], MARKS[outcome])} `, '  ');
  if (death?.reason !== undefined && !message.includes(death.reason)) {
    add(death.reason, '  reason  ', '          ');
  }
  if (death?.cause !== undefined) add(death.cause, '  cause   ', '          ');
  if (death?.code !== undefined)
    add(asCalled(explainCommand(death.code), program), '  read    ', '          ');
  for (const note of notes) add(note, '? ', '  ');
  return `${lines.join('\n')}\n`;
}
