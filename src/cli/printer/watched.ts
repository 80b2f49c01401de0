import type { Diagnosis } from '../../path/model/finding.ts';
import { changesBetween } from './changes.ts';
import { layoutOf, type TextStream } from './layout.ts';
import { paragraph } from './wrap.ts';

const HOME = '\u001b[H';
const CLEAR = '\u001b[2J';
const CLEAR_LINE_END = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

/** How many changes are shown. */
const MAX_CHANGES = 6;
/** What is assumed of a terminal that does not know its height. */
const USUAL_ROWS = 24;

/** Where a watched text is shown. */
export interface WatchedStream extends TextStream {
  rows?: number;
  write(text: string): unknown;
}

/**
 * Shows one diagnosis after another, with when it was taken and what has changed. On a terminal in one place: lines are written over, so that
 * nothing flickers, and what has no room is counted. Elsewhere one after the other.
 * `every`: the pause between two looks, in milliseconds.
 */
export function watched(
  stream: WatchedStream,
  every: number,
  env?: Readonly<Record<string, string | undefined>>,
): (diagnosis: Diagnosis, text: string) => void {
  let before: Diagnosis | undefined;
  let changes: string[] = [];
  let changedAt: string | undefined;
  return (diagnosis, text) => {
    const found = before === undefined ? [] : changesBetween(before, diagnosis);
    if (found.length > 0) {
      changes = found;
      changedAt = diagnosis.observedAt;
    }
    const isFirst = before === undefined;
    before = diagnosis;
    const layout = layoutOf(stream, env);
    const since = changedAt === undefined ? 'no change yet' : `last change ${timeOf(changedAt)}`;
    const head = paragraph(`${timeOf(diagnosis.observedAt)}, every ${every / 1000} s; ${since}`, layout);
    const more = changes.length - MAX_CHANGES;
    const shown = [...changes.slice(0, MAX_CHANGES), ...(more > 0 ? [`and ${more} more`] : [])];
    const news = shown.map((line) => paragraph(line, layout, '  ', '    ')).join('');
    if (stream.isTTY !== true) {
      stream.write(`${head}${found.length > 0 ? news : ''}\n${text}\n`);
      return;
    }
    const lines = `${head}${news}\n${text}`.trimEnd().split('\n');
    // The cursor ends below the last line, where nothing may scroll.
    const room = (stream.rows || USUAL_ROWS) - 1;
    const fitting =
      lines.length <= room
        ? lines
        : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines: --summary has less`];
    const body = fitting.map((line) => `${line}${CLEAR_LINE_END}\n`).join('');
    stream.write(`${isFirst ? CLEAR : ''}${HOME}${body}${CLEAR_BELOW}`);
  };
}

/** The time of day of a moment, where the machine is. */
function timeOf(moment: string): string {
  return new Date(moment).toTimeString().slice(0, 8);
}
