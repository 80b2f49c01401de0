import { describe, expect, test } from 'bun:test';
import { faultOf } from '../src/lab/faults/index.ts';
import { catalogue } from '../src/path/stages/index.ts';
import { compareFindings, figuresOf, spanOf, sumOf } from './figures.ts';

test('the stored figures are of every failure that can be injected: UPDATE_GOLDEN=1 bun scripts/test.ts test/e2e/catalogue.test.ts', () => {
  const possible = catalogue.filter((failure) => faultOf(failure).impossible === undefined);
  expect(figuresOf('catalogue').cases).toBe(possible.length);
});

describe('what there is to be found, against what was', () => {
  test.each<[string[], string[], [number, number, number]]>([
    [
      ['a', 'b'],
      ['a', 'b'],
      [2, 2, 2],
    ],
    [['a', 'b'], ['b'], [2, 1, 1]],
    [['a'], ['a', 'b'], [1, 1, 2]],
    // One that is found once is not two.
    [['a', 'a'], ['a'], [2, 1, 1]],
    [['a'], ['a', 'a'], [1, 1, 2]],
    [[], [], [0, 0, 0]],
  ])('%j, %j', (wanted, seen, counts) => {
    const { wanted: of, found, all } = compareFindings(wanted, seen);
    expect([of, found, all]).toEqual(counts);
  });

  test('of several cases, in sum', () => {
    expect(sumOf([compareFindings(['a'], ['b']), compareFindings(['a', 'b'], ['b'])])).toEqual({
      ...{ wanted: 3, found: 1, all: 2 },
    });
  });
});

test('the median and the most of some seconds', () => {
  expect(spanOf([3, 1, 2])).toEqual({ median: 2, most: 3 });
});
