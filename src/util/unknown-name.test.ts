import { describe, expect, test } from 'bun:test';
import { InputError } from './errors.ts';
import { namesLike, unknownName } from './unknown-name.ts';

const KNOWN = ['kind-control-plane', 'kind-worker', 'kind-worker2', 'kind-worker3'];

describe('the names that may have been meant', () => {
  test.each([
    ['kind-wroker', ['kind-worker']],
    ['kind-worke', ['kind-worker']],
    ['Kind-worker2', ['kind-worker2']],
    ['worker2', ['kind-worker2']],
    ['control-plane', ['kind-control-plane']],
    // As near to each.
    ['kind-worker9', ['kind-worker', 'kind-worker2', 'kind-worker3']],
    ['nobody', []],
    ['', []],
  ])('by "%s"', (typed, wanted) => {
    expect(namesLike(typed, KNOWN)).toEqual(wanted);
  });

  test('of none', () => {
    expect(namesLike('x', [])).toEqual([]);
  });
});

describe('a node that is not there', () => {
  const unknown = { attempt: 'break', where: 'in cluster "kind"', known: KNOWN };
  const listed = 'kind-control-plane, kind-worker, kind-worker2, kind-worker3';

  test.each([
    [
      'with what may be meant',
      { ...unknown, name: 'worker2' },
      `cannot break: node "worker2" not found in cluster "kind"; did you mean kind-worker2? The nodes are ${listed}`,
    ],
    [
      'with nothing like it',
      { ...unknown, name: 'nobody' },
      `cannot break: node "nobody" not found in cluster "kind"; the nodes are ${listed}`,
    ],
    [
      'among many',
      { ...unknown, name: 'nobody', known: Array.from({ length: 12 }, (_, i) => `n${i}`) },
      'cannot break: node "nobody" not found in cluster "kind"; the nodes are n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 2 more',
    ],
    [
      'among none',
      { ...unknown, name: 'nobody', known: [] },
      'cannot break: node "nobody" not found in cluster "kind"; there are no nodes',
    ],
  ])('%s', (_, given, said) => {
    const error = unknownName(given);
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toBe(said);
  });
});
