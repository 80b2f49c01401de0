import { expect, test } from 'bun:test';
import { collectingWhenGrown } from './garbage.ts';

test('garbage is collected when the process has grown since the last time, and not otherwise', () => {
  let resident = 100;
  let collected = 0;
  const atRest = collectingWhenGrown(10, {
    resident: () => resident,
    collect: () => {
      collected++;
      resident -= 5;
    },
  });
  // What is collected at 115 goes back to the system afterwards.
  const seen = [105, 109, 110, 114, 115, 90, 99, 100].map((bytes) => {
    resident = bytes;
    atRest();
    return collected;
  });
  expect(seen).toEqual([0, 0, 1, 1, 2, 2, 2, 3]);
});
