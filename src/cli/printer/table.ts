import { safeText } from '../../util/safe-text.ts';
import type { Style } from './colour.ts';
import { type Layout, WIDE } from './layout.ts';
import { columns as columnsOf, wrap } from './wrap.ts';

/** As kubectl's: three spaces after the widest cell of a column, and no column narrower than six. */
const PADDING = 3;
const MIN_WIDTH = 6;

/** Between two columns of a table that has little room. */
const GAP = 2;
/** No cell is broken into lines that are shorter. */
const MIN_CELL = 8;
/** A last column that is wider is a text; where it has less room, it is below its row. */
const MIN_TEXT = 24;
/** Where a text below its row begins. */
const BELOW = ' '.repeat(4);

/** A value, and what its colour stands for. */
type Value = string | number | undefined;
export type Cell = Value | { value: Value; style: Style };

interface Shown {
  text: string;
  style: Style | undefined;
  isEmpty: boolean;
}

/**
 * A table as kubectl prints one, header line first, ending in a line feed. Values are escaped with {@link safeText} and
 * padded by the columns they take on a terminal, so wide characters stay aligned. An empty or missing value is `<none>`.
 * Where the table is wider than the layout, nothing is cut: columns move together, then the text of the last one is broken into lines, or has
 * lines of its own below its row, then other cells are broken as well.
 */
export function table(
  columns: readonly string[],
  rows: readonly (readonly Cell[])[],
  layout: Pick<Layout, 'width' | 'paint'> = WIDE,
): string {
  const header = columns.map((name): Shown => ({ text: safeText(name), style: 'strong', isEmpty: false }));
  const lines = [
    header,
    ...rows.map((row, index) => {
      if (row.length > columns.length) {
        throw new Error(`table: row ${index + 1} has ${row.length} values for ${columns.length} columns`);
      }
      return columns.map((_, column) => shownOf(row[column]));
    }),
  ];
  // Not by spreading them: arguments have to fit on the stack, and a cluster has more mappings than that.
  const widths = columns.map((_, column) =>
    lines.reduce((widest, cells) => Math.max(widest, columnsOf(cells[column]!.text)), 0),
  );
  const last = widths.length - 1;
  const padded = widths.map((width, column) =>
    column === last ? width : Math.max(width + PADDING, MIN_WIDTH),
  );
  const isFitting = sum(padded) <= layout.width;
  return isFitting ? print(lines, padded, layout) : narrow(lines, widths, layout);
}

function shownOf(cell: Cell): Shown {
  const { value, style } = typeof cell === 'object' ? cell : { value: cell, style: undefined };
  const isEmpty = value === undefined || value === '';
  return { text: isEmpty ? '<none>' : safeText(String(value)), style, isEmpty };
}

function print(
  lines: readonly (readonly Shown[])[],
  widths: readonly number[],
  { paint }: Pick<Layout, 'paint'>,
): string {
  const last = widths.length - 1;
  return lines
    .map((cells) => {
      const shown = cells.map(({ text, style }, column) => {
        const painted = style === undefined ? text : paint(style, text);
        return column === last ? painted : painted + ' '.repeat(widths[column]! - columnsOf(text));
      });
      return `${shown.join('')}\n`;
    })
    .join('');
}

/** A table that is broken into lines of the layout's width. */
function narrow(
  lines: readonly (readonly Shown[])[],
  natural: readonly number[],
  { width, paint }: Pick<Layout, 'width' | 'paint'>,
): string {
  const last = natural.length - 1;
  const room = width - sum(natural.slice(0, last)) - GAP * last;
  const isText = natural[last]! > MIN_TEXT && last > 0;
  const isBelow = isText && room < MIN_TEXT;
  const widths = isBelow
    ? shrunk(natural.slice(0, last), width)
    : isText
      ? [...natural.slice(0, last), room]
      : shrunk(natural, width);
  return lines
    .map((cells) => {
      const above = isBelow ? cells.slice(0, last) : cells;
      const parts = above.map(({ text }, column) => wrap(text, widths[column]!, '', ''));
      const height = Math.max(...parts.map((part) => part.length));
      const shown = Array.from({ length: height }, (_, line) =>
        above
          .map(({ style }, column) => {
            const text = parts[column]![line] ?? '';
            const filled = ' '.repeat(Math.max(0, widths[column]! - columnsOf(text)));
            return (style === undefined ? text : paint(style, text)) + filled;
          })
          .join(' '.repeat(GAP))
          .trimEnd(),
      );
      const { text, style, isEmpty } = cells[last]!;
      if (isBelow && !isEmpty) {
        for (const line of wrap(text, width - BELOW.length, '', ''))
          shown.push(BELOW + (style === undefined ? line : paint(style, line)));
      }
      return shown.map((line) => `${line}\n`).join('');
    })
    .join('');
}

/** Widths of which the widest have given way until all fit, or none can any more. */
function shrunk(natural: readonly number[], width: number): number[] {
  const widths = [...natural];
  const gaps = GAP * (widths.length - 1);
  while (sum(widths) + gaps > width) {
    const widest = widths.indexOf(Math.max(...widths));
    if (widths[widest]! <= MIN_CELL) break;
    widths[widest]!--;
  }
  return widths;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
