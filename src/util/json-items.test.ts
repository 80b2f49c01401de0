import { describe, expect, test } from 'bun:test';
import { JsonItems } from './json-items.ts';

/** So many items that several pieces are parsed. */
const MANY = Array.from({ length: 40_000 }, (_, i) => ({ name: `item-${i}`, of: ['ä,\n[', { deep: [i] }] }));
const LIMIT = 64 * 1024 * 1024;

/** What is taken of a text that comes in chunks, and the document that is left. */
function read(text: string, chunk = 100_000, maxWhole = LIMIT) {
  const taken: unknown[][] = [];
  const items = new JsonItems('x.json', (some) => taken.push(some), maxWhole);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += chunk) items.push(bytes.subarray(at, at + chunk));
  return { document: items.end(), times: taken.length, taken: taken.flat() };
}

const lines = (items: readonly unknown[]) => `[${items.map((item) => JSON.stringify(item)).join(',\n')}]\n`;

test('an item a line is parsed as it comes, however the bytes are cut', () => {
  for (const chunk of [65_537, 100_000, 10_000_000]) {
    const { document, times, taken } = read(lines(MANY), chunk);
    expect(document).toBeUndefined();
    expect(times).toBeGreaterThan(1);
    expect(taken).toEqual(MANY);
  }
});

test('an item may be longer than a piece, wherever it is', () => {
  for (const large of [1, 3, 5]) {
    const sizes = [600_000, 600_000, 10, 700_000, 10, 10].map((size, i) => (i === large ? 5_000_000 : size));
    const items = sizes.map((size) => 'x'.repeat(size));
    const { document, taken } = read(lines(items), 65_536);
    expect(taken).toEqual(document === undefined ? items : []);
    expect(document ?? items).toEqual(items);
  }
  const items = ['x'.repeat(600_000), 'x'.repeat(600_000), 'x'.repeat(5_000_000), 'x'];
  expect(() => read(lines(items), 65_536, 2_000_000)).toThrow('x.json: an item is longer than 2000000 bytes');
});

describe('any other text is parsed as a whole', () => {
  test.each<[string, string, unknown]>([
    ['a short one', '[1,\n2]', [1, 2]],
    ['in one line', JSON.stringify(MANY), MANY],
    ['indented', JSON.stringify(MANY, null, 2), MANY],
    [
      'a list of Kubernetes',
      JSON.stringify({ kind: 'List', items: MANY }, null, 4),
      { kind: 'List', items: MANY },
    ],
    ['an empty array', '[]', []],
  ])('%s', (_, text, document) => {
    expect(read(text)).toEqual({ document, times: 0, taken: [] });
  });

  test('also from where its layout changes', () => {
    const text = `${lines(MANY).slice(0, -2)},\n${JSON.stringify(MANY, null, 2).slice(1)}`;
    const { document, taken } = read(text);
    expect(document).toBeUndefined();
    expect(taken).toEqual([...MANY, ...MANY]);
  });

  test('unless it is too large for that', () => {
    expect(() => read(JSON.stringify(MANY), 100_000, 1_500_000)).toThrow(
      'x.json: longer than 1500000 bytes, and not an item a line',
    );
    expect(read(lines(MANY), 100_000, 1_500_000).taken).toHaveLength(MANY.length);
  });
});

test.each<[string, string]>([
  ['cut off', lines(MANY).slice(0, -100)],
  ['without its end', lines(MANY).slice(0, -2)],
  ['with a comma before its end', `${lines(MANY).slice(0, -2)},\n]`],
  ['with something after its end', `${lines(MANY)}{}`],
  ['damaged in the middle', lines(MANY).replace('"item-30000"', '"item-')],
  ['cut off at once', '[{'],
])('what is no JSON is an error that does not quote it: %s', (_, text) => {
  expect(() => read(text)).toThrow(`x.json: not JSON (${text.length} characters)`);
});
