import { safeText } from '../../util/safe-text.ts';

/** As kubectl's: three spaces after the widest cell of a column, and no column narrower than six. */
const PADDING = 3;
const MIN_WIDTH = 6;

/**
 * A table as kubectl prints one, header line first, ending in a line feed. Values are escaped with {@link safeText} and
 * padded by the columns they take on a terminal, so wide characters stay aligned. An empty or missing value is `<none>`.
 */
export function table(
  columns: readonly string[],
  rows: readonly (readonly (string | number | undefined)[])[],
): string {
  const lines = [columns, ...rows].map((row, index) => {
    if (row.length > columns.length) {
      throw new Error(`table: row ${index} has ${row.length} values for ${columns.length} columns`);
    }
    return columns.map((_, column) => {
      const value = row[column];
      return value === undefined || value === '' ? '<none>' : safeText(String(value));
    });
  });
  // Not by spreading them: arguments have to fit on the stack, and a cluster has more mappings than that.
  const widths = columns.map((_, column) =>
    lines.reduce((widest, cells) => Math.max(widest, Bun.stringWidth(cells[column]!) + PADDING), MIN_WIDTH),
  );
  return lines.map((cells) => `${printLine(cells, widths)}\n`).join('');
}

function printLine(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, column) =>
      column === cells.length - 1 ? cell : cell + ' '.repeat(widths[column]! - Bun.stringWidth(cell)),
    )
    .join('');
}
