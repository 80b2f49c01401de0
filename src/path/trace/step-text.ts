import type { TraceDocument } from './document.ts';

/** One thing that happened to a packet. */
export type TraceStep = TraceDocument['steps'][number];

/** Where a step happens, in a word: the hook, or the way in or out. */
export function placeOf({ kind, hook }: TraceStep): string {
  if (kind === 'arrived') return 'in';
  if (kind === 'left') return 'out';
  return hook ?? '';
}

/** What happens at a step; empty for a hook where nothing does. */
export function textOf(step: TraceStep): string {
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
