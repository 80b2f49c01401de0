import { safeText } from '../../util/safe-text.ts';
import type { Layout } from './layout.ts';

/** Words with the spaces before them. */
const WORDS = / *[^ ]+/g;
/** The same where what is in double quotes is one word: a command that is to be pasted. */
const PHRASES = / *(?:"[^"]*"[^ "]*|[^ ]+)/g;

/**
 * A text in lines of at most `width` columns of a terminal, broken at spaces, and where a word is longer than a line, within it. The first line
 * begins with `first`, all others with `hang`. Not broken where the width is infinite.
 */
export function wrap(text: string, width: number, first: string, hang: string, words = WORDS): string[] {
  if (columns(first + text) <= width) return [first + text];
  const lines: string[] = [];
  let line = first;
  let isBlank = true;
  const next = () => {
    lines.push(line.trimEnd());
    line = hang;
    isBlank = true;
  };
  const all = (text.match(words) ?? []).flatMap((word) =>
    columns(hang + word) > width ? (word.match(WORDS) ?? []) : [word],
  );
  for (const word of all) {
    let rest = isBlank && lines.length > 0 ? word.trimStart() : word;
    if (columns(line + rest) > width && !isBlank) {
      next();
      rest = word.trimStart();
    }
    while (columns(line + rest) > width) {
      const part = fitting(rest, width - columns(line));
      line += part;
      rest = rest.slice(part.length);
      next();
    }
    if (rest !== '') {
      line += rest;
      isBlank = false;
    }
  }
  if (!isBlank) lines.push(line);
  return lines;
}

/**
 * A text from outside as lines of a terminal, each ended: harmless by {@link safeText}, and not wider than the layout. What is in double quotes
 * stays together.
 */
export function paragraph(text: string, { width }: Pick<Layout, 'width'>, first = '', hang = '  '): string {
  return wrap(safeText(text), width, first, hang, PHRASES)
    .map((line) => `${line}\n`)
    .join('');
}

/** A command in lines that a shell takes as one: all but the last end in a backslash. */
export function wrapCommand(command: string, width: number, first: string, hang: string): string[] {
  if (columns(first + command) <= width) return [first + command];
  const lines: string[] = [];
  let line = first;
  let isBlank = true;
  // A quoted word with spaces in it is one.
  for (const word of command.match(/(?:\$'(?:\\.|[^'\\])*'|'[^']*'|\\.|[^\s'\\])+/g) ?? []) {
    const more = `${isBlank ? '' : ' '}${word}`;
    if (!isBlank && columns(line + more) + 2 > width) {
      lines.push(`${line} \\`);
      line = hang + word;
    } else line += more;
    isBlank = false;
  }
  return [...lines, line];
}

/** The beginning of a text that takes at most so many columns, but one character at least. */
function fitting(text: string, room: number): string {
  return cut(text, room) || (graphemes(text)[0] ?? '');
}

/** The longest beginning of a text that takes at most so many columns. */
export function cut(text: string, room: number): string {
  if (columns(text) <= room) return text;
  let shown = '';
  let taken = 0;
  for (const segment of graphemes(text)) {
    taken += columns(segment);
    if (taken > room) break;
    shown += segment;
  }
  return shown;
}

/** A text in at most so many columns: what is too long loses its middle. */
export function elide(text: string, room: number): string {
  if (columns(text) <= room) return text;
  const kept = Math.max(room - 1, 1);
  const begin = fitting(text, Math.ceil(kept / 2));
  const end = cut(graphemes(text).reverse().join(''), Math.floor(kept / 2));
  return `${begin}…${graphemes(end).reverse().join('')}`;
}

/** What a reader counts as one character. */
function graphemes(text: string): string[] {
  return [...new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text)].map(
    ({ segment }) => segment,
  );
}

/** How many columns of a terminal a text takes. */
export function columns(text: string): number {
  return /^[\x20-\x7e]*$/.test(text) ? text.length : Bun.stringWidth(text);
}
