import { Document, visit } from 'yaml';
import { UNSAFE } from '../../util/safe-text.ts';

/**
 * JSON for a terminal or a pipe: the document unchanged, written such that nothing in it can do anything to a terminal. JSON.stringify escapes
 * the control characters below U+0020 only (ECMA-262, QuoteJSONString).
 */
export function renderJson(document: unknown, indent: number): string {
  return `${escaped(JSON.stringify(document, null, indent), pair)}\n`;
}

/** How many items of a list are written at a time. */
const ITEMS = 1000;

/** As {@link renderJson}, of a document with long lists: some items of these at a time, so that the whole text need not be in memory. */
export function* renderJsonPieces(
  document: Readonly<Record<string, unknown>>,
  indent: number,
): Generator<string> {
  const fields = Object.entries(document).filter(([, value]) => value !== undefined);
  const [open, between, close] = indent === 0 ? ['{', ',', '}'] : ['{\n', ',\n', '\n}'];
  yield open;
  for (const [i, [name, value]] of fields.entries()) {
    const last = i === fields.length - 1 ? '' : between;
    const items: unknown[] = Array.isArray(value) && value.length > ITEMS ? value : [];
    if (items.length === 0) {
      yield escaped(`${fieldOf(name, value, indent)}${last}`, pair);
      continue;
    }
    const one = fieldOf(name, [0], indent);
    const [head, tail] = [one.slice(0, one.lastIndexOf('0')), one.slice(one.lastIndexOf('0') + 1)];
    const next = indent === 0 ? ',' : `,\n${' '.repeat(2 * indent)}`;
    for (let at = 0; at < items.length; at += ITEMS) {
      const some = fieldOf(name, items.slice(at, at + ITEMS), indent);
      yield escaped(`${at === 0 ? head : next}${some.slice(head.length, -tail.length)}`, pair);
    }
    yield `${tail}${last}`;
  }
  yield `${close}\n`;
}

/** A field as it is written in a document with others. */
function fieldOf(name: string, value: unknown, indent: number): string {
  const text = JSON.stringify({ [name]: value }, null, indent);
  return indent === 0 ? text.slice(1, -1) : text.slice(2, -2);
}

/** The same as YAML: texts with such characters are double-quoted, where they can be written as escapes (YAML 1.2, 5.7). */
export function renderYaml(document: unknown): string {
  const yaml = new Document(document, { aliasDuplicateObjects: false });
  visit(yaml, {
    Scalar(_, scalar) {
      const { value } = scalar;
      // A text of several lines stays one unless something else in it is unsafe.
      if (typeof value === 'string' && value.replaceAll('\n', '').search(UNSAFE) >= 0)
        scalar.type = 'QUOTE_DOUBLE';
    },
  });
  return escaped(String(yaml), eightDigits);
}

/** As {@link UNSAFE}, but for the document's own line feeds: a large one has a million, none of which is to be looked at twice. */
const UNSAFE_IN_DOCUMENT = new RegExp(`[${UNSAFE.source}--\\n]`, 'gv');

/** Unsafe characters as escapes, which a format writes for a code beyond U+FFFF as it can. */
function escaped(text: string, beyond: (code: number) => string): string {
  return text.replace(UNSAFE_IN_DOCUMENT, (character) => {
    const code = character.codePointAt(0)!;
    return code > 0xffff ? beyond(code) : unit(code);
  });
}

function unit(code: number): string {
  return `\\u${code.toString(16).padStart(4, '0')}`;
}

/** JSON has pairs only (RFC 8259, 7). */
function pair(code: number): string {
  return [...Array(2).keys()].map((half) => unit(String.fromCodePoint(code).charCodeAt(half))).join('');
}

/** YAML has no pairs, but eight digits (YAML 1.2, 5.7). */
function eightDigits(code: number): string {
  return `\\U${code.toString(16).padStart(8, '0')}`;
}
