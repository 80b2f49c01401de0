/** What does something to a terminal, or to the direction of what is read on it. Stateless in `replace` and `search`. */
export const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Text from outside (a pod's message, a node's label) made harmless for a terminal: control characters, line breaks and
 * characters that turn the direction of writing come out as escapes, so that a value can neither send the terminal an
 * escape sequence nor pretend to be another row.
 */
export function safeText(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0);
    return SHORT[character] ?? (code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`);
  });
}

const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
