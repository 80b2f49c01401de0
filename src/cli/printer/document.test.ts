import { expect, test } from 'bun:test';
import { renderJson, renderJsonPieces } from './document.ts';

const item = (i: number) => ({ name: `item ${i}`, empty: [], none: undefined, deep: { of: [i, null] } });
const items = (length: number) => Array.from({ length }, (_, i) => item(i));

test.each([0, 1, 1000, 1001, 3000])(
  'lists of %d are written in pieces as they are written at once',
  (length) => {
    const documents: Record<string, unknown>[] = [
      { kind: 'List0', items: items(length), after: 'x' },
      { items: items(length), none: undefined, others: items(length) },
      { numbers: items(length).map((_, i) => i), text: 'a\u0007"\u009b\n' },
    ];
    for (const document of documents) {
      for (const indent of [0, 2]) {
        expect([...renderJsonPieces(document, indent)].join('')).toBe(renderJson(document, indent));
      }
    }
    expect(
      Math.max(...[...renderJsonPieces({ items: items(3000) }, 2)].map((piece) => piece.length)),
    ).toBeLessThan(renderJson({ items: items(1100) }, 2).length);
  },
);
