import type { TraceDocument } from '../../path/trace/document.ts';
import { placeOf, textOf } from '../../path/trace/step-text.ts';

/** One stop of a packet on its way through a node. */
export interface Stop {
  direction: 'request' | 'answer';
  place: string;
  text: string;
  /** The packet's addresses once this has happened. */
  source: string;
  destination: string;
  /** Which of them this changed. */
  rewrites?: 'source' | 'destination';
  /** Nothing comes after it in its direction, and the packet did not get on. */
  isEnd: boolean;
}

/** The stops of both packets of a trace, in order: where something happens, and what the packet's addresses are then. */
export function stopsOf({ steps, death }: Pick<TraceDocument, 'steps' | 'death'>): Stop[] {
  const stops = (['request', 'answer'] as const).flatMap((direction) => {
    const own = steps.filter((step) => step.direction === direction);
    let source = own[0]?.source ?? '?';
    let destination = own[0]?.destination ?? '?';
    return own.flatMap((step): Stop[] => {
      const { kind, field, to } = step;
      const isRewritten = kind === 'rewrite' && field !== undefined && to !== undefined;
      if (isRewritten && field === 'source') source = to;
      if (isRewritten && field === 'destination') destination = to;
      const text = textOf(step);
      if (text === '') return [];
      return [
        {
          ...{ direction, place: placeOf(step), text, source, destination, isEnd: false },
          ...(isRewritten && { rewrites: field }),
        },
      ];
    });
  });
  const last = death && stops.findLastIndex(({ direction }) => direction === death.direction);
  return stops.map((stop, i) => (i === last ? { ...stop, isEnd: true } : stop));
}
