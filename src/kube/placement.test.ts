import { describe, expect, test } from 'bun:test';
import { isTerminal, selectsNode, tolerates, untoleratedTaint } from './placement.ts';
import type { Node, Pod, Taint, Toleration } from './types.ts';

const taint: Taint = { key: 'k', value: 'v', effect: 'NoSchedule' };

describe('tolerates', () => {
  const cases: [Toleration, boolean][] = [
    [{ key: 'k', operator: 'Equal', value: 'v', effect: 'NoSchedule' }, true],
    [{ key: 'k', value: 'v', effect: 'NoSchedule' }, true],
    [{ key: 'k', value: 'v' }, true],
    [{ key: 'k', operator: 'Exists' }, true],
    [{ operator: 'Exists' }, true],
    [{ operator: 'Exists', effect: 'NoSchedule' }, true],
    [{ operator: 'Exists', effect: 'NoExecute' }, false],
    [{ key: 'other', operator: 'Exists' }, false],
    [{ key: 'k', value: 'w' }, false],
    [{ key: 'k' }, false],
    [{ key: 'k', operator: 'Strange', value: 'v' }, false],
    [{ value: 'v' }, false],
  ];
  for (const [toleration, expected] of cases) {
    test(`${JSON.stringify(toleration)}: ${expected}`, () =>
      expect(tolerates(toleration, taint)).toBe(expected));
  }

  test('an empty value counts as absent', () => {
    expect(tolerates({ key: 'k' }, { key: 'k', effect: 'NoExecute' })).toBe(true);
  });
});

test('untoleratedTaint looks at the effects asked for, in order', () => {
  const taints: Taint[] = [
    { key: 'soft', effect: 'PreferNoSchedule' },
    { key: 'a', effect: 'NoSchedule' },
    { key: 'b', effect: 'NoExecute' },
  ];
  const find = (tolerations: Toleration[] | undefined, ...effects: string[]) =>
    untoleratedTaint(taints, tolerations, effects)?.key;
  expect(find(undefined, 'NoSchedule', 'NoExecute')).toBe('a');
  expect(find([{ key: 'a', operator: 'Exists' }], 'NoSchedule', 'NoExecute')).toBe('b');
  expect(find([], 'NoExecute')).toBe('b');
  expect(find([{ operator: 'Exists' }], 'NoSchedule', 'NoExecute')).toBeUndefined();
  expect(untoleratedTaint(undefined, [], ['NoSchedule'])).toBeUndefined();
});

describe('selectsNode', () => {
  const node: Node = { metadata: { name: 'n1', labels: { zone: 'a', size: '10', toString: 'x' } } };
  const affinity = (...terms: object[]): NonNullable<Pod['spec']> =>
    ({
      containers: [],
      affinity: {
        nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } },
      },
    }) as NonNullable<Pod['spec']>;
  const expression = (key: string, operator: string, ...values: string[]) => ({
    matchExpressions: [{ key, operator, values }],
  });
  const cases: [string, NonNullable<Pod['spec']>, boolean][] = [
    ['nothing asked', { containers: [] }, true],
    ['nodeSelector', { containers: [], nodeSelector: { zone: 'a' } }, true],
    ['nodeSelector, one of two', { containers: [], nodeSelector: { zone: 'a', size: '9' } }, false],
    ['nodeSelector, name of a method', { containers: [], nodeSelector: { constructor: 'x' } }, false],
    ['In', affinity(expression('zone', 'In', 'b', 'a')), true],
    ['In, other', affinity(expression('zone', 'In', 'b')), false],
    ['NotIn', affinity(expression('zone', 'NotIn', 'b')), true],
    ['NotIn, absent', affinity(expression('none', 'NotIn', 'b')), true],
    ['Exists', affinity(expression('zone', 'Exists')), true],
    ['DoesNotExist', affinity(expression('zone', 'DoesNotExist')), false],
    ['Gt', affinity(expression('size', 'Gt', '9')), true],
    ['Gt, equal', affinity(expression('size', 'Gt', '10')), false],
    ['Lt', affinity(expression('size', 'Lt', '11')), true],
    ['Lt, no number', affinity(expression('zone', 'Lt', '11')), false],
    ['alternatives', affinity(expression('zone', 'In', 'b'), expression('zone', 'In', 'a')), true],
    ['no term', affinity(), false],
    ['an empty term', affinity({}), false],
    [
      'matchFields',
      affinity({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }),
      true,
    ],
    [
      'matchFields, other',
      affinity({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n2'] }] }),
      false,
    ],
  ];
  for (const [name, spec, expected] of cases) {
    test(`${name}: ${expected}`, () => expect(selectsNode(spec, node)).toBe(expected));
  }
});

test.each([
  ['Pending', false],
  ['Running', false],
  ['Unknown', false],
  ['Succeeded', true],
  ['Failed', true],
])('phase %s is terminal: %s', (phase, expected) => {
  expect(isTerminal({ status: { phase } })).toBe(expected);
});
