import type { TraceDocument } from '../../path/trace/document.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { safeText } from '../../util/safe-text.ts';
import { explainCommand } from './explain.ts';
import type { Layout } from './layout.ts';
import { MARK_STYLES } from './path-table.ts';
import { wrap } from './wrap.ts';

type Step = TraceDocument['steps'][number];

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
  if (death?.code !== undefined) add(explainCommand(death.code, program), '  read    ', '          ');
  for (const note of notes) add(note, '? ', '  ');
  return `${lines.join('\n')}\n`;
}

function placeOf({ kind, hook }: Step): string {
  if (kind === 'arrived') return 'in';
  if (kind === 'left') return 'out';
  return hook ?? '';
}

function textOf(step: Step): string {
  const { kind, input, output, table, chain, rule, verdict, field, from, to } = step;
  switch (kind) {
    case 'arrived':
      return `by ${input}`;
    case 'left':
      return `by ${output}`;
    case 'hook':
      if (input !== undefined && output !== undefined) return `${input} to ${output}`;
      return output === undefined ? '' : `to ${output}`;
    case 'rewrite':
      return `${field} ${from} becomes ${to}`;
    case 'policy':
      return `${table} ${chain}: policy ${verdict}`;
    case 'rule': {
      const does = verdict === 'continue' || verdict === 'other' ? '' : ` [${verdict}]`;
      return `${table} ${chain}${does}${rule === undefined ? '' : `: ${rule}`}`;
    }
  }
}
