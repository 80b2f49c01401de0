import { expect, test } from 'bun:test';
import { byText } from './by-text.ts';

test('the same text is read once, whatever comes of it', () => {
  const read: string[] = [];
  const of = byText((text) => {
    read.push(text);
    return text === 'none' ? undefined : { text };
  });
  const first = of('a');
  expect(of('a')).toBe(first);
  expect([of('none'), of('none')]).toEqual([undefined, undefined]);
  expect(read).toEqual(['a', 'none']);
});

test('of more texts than are remembered each is read for itself, and long ones each time', () => {
  let count = 0;
  const of = byText((text) => {
    count++;
    return text.length;
  });
  for (let i = 0; i < 1000; i++) expect(of('x'.repeat(i))).toBe(i);
  expect(count).toBe(1000);
  // The first has been forgotten.
  expect(of('')).toBe(0);
  expect(count).toBe(1001);
  const long = 'x'.repeat(100_000);
  expect([of(long), of(long)]).toEqual([100_000, 100_000]);
  expect(count).toBe(1003);
});
