/**
 * What does something to a terminal, or to how a line on it is read: control characters, marks without a width (they turn the direction of
 * writing, join, or hide), line separators, halves of pairs, and characters of private use, of which nobody knows the width.
 * Stateless in `replace` and `search`.
 */
export const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;

/** So many marks may be put on one character; writing needs two or three. More would be drawn over the lines above and below. */
const STACKED = /(?<=\p{M}{4})\p{M}/gu;

/**
 * Text from outside (a pod's message, a node's label) made harmless for a terminal: control characters, line breaks and
 * characters that turn the direction of writing come out as escapes, so that a value can neither send the terminal an
 * escape sequence nor pretend to be another row, and takes as many columns as it is counted for.
 */
export function safeText(text: string): string {
  // Most texts are plain, and there are many.
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  return text.replace(UNSAFE, escaped).replace(STACKED, escaped);
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!;
  if (code < 0x100) return SHORT[character] ?? `\\x${hex(code, 2)}`;
  return code > 0xffff ? `\\u{${hex(code, 5)}}` : `\\u${hex(code, 4)}`;
}

const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
