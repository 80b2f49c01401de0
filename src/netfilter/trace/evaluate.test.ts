import { describe, expect, test } from 'bun:test';
import { parseAddress } from '../../util/address.ts';
import type { Element, ElementSet, Field, Operand, Pattern } from '../read/model.ts';
import { ABSENT, addressType, evaluateMatch, type FieldValue, lookUp } from './evaluate.ts';

const exact = (value: number | bigint | string): Pattern => ({ kind: 'exact', value });
const range = (from: number | bigint, to: number | bigint): Pattern => ({ kind: 'range', from, to });
const any: Pattern = { kind: 'any' };

function setOf(...keys: Pattern[][]): ElementSet {
  return { elements: keys.map((key, i): Element => ({ key, text: `${i}` })) };
}

/** Elements that no packet here matches: with sixteen others a set is indexed. */
const filler = (width: number) =>
  Array.from({ length: 20 }, (_, i) => Array.from({ length: width }, () => exact(1_000_000 + i)));

function read(fields: Partial<Record<Field, FieldValue>>) {
  return (field: Field): FieldValue => fields[field];
}

/** What is found: the text of the element for certain, or of those that it may be. */
function found(set: ElementSet, key: (Field | Operand)[], fields: Partial<Record<Field, FieldValue>>) {
  const operands = key.map((each) => (typeof each === 'string' ? { field: each } : each));
  const result = lookUp(operands, set, read(fields));
  if (result === ABSENT) return 'absent';
  return result.certain === undefined ? result.possible.map(({ text }) => text) : result.certain.text;
}

// The same in a set that is looked through and in one that is indexed.
describe.each([
  ['a small set', 0],
  ['a set of many', 20],
])('%s', (_name, others) => {
  const set = (...keys: Pattern[][]) => setOf(...keys, ...filler(keys[0]!.length).slice(0, others));
  const two: Field[] = ['destination-port', 'mark'];
  const one: Field[] = ['destination-port'];

  test.each<[string, ElementSet, Field[], Partial<Record<Field, FieldValue>>, string | string[]]>([
    ['one value', set([exact(80)], [exact(81)]), one, { 'destination-port': 81 }, '1'],
    ['another value', set([exact(80)], [exact(81)]), one, { 'destination-port': 82 }, []],
    ['the first of two alike', set([exact(80)], [exact(80)]), one, { 'destination-port': 80 }, '0'],
    ['a range', set([exact(80)], [range(81, 90)]), one, { 'destination-port': 85 }, '1'],
    ['a range, from its first', set([range(81, 90)]), one, { 'destination-port': 81 }, '0'],
    ['a range, to its last', set([range(81, 90)]), one, { 'destination-port': 90 }, '0'],
    [
      'a value before a range with it',
      set([range(1, 90)], [exact(80)]),
      one,
      { 'destination-port': 80 },
      others === 0 ? '0' : '1',
    ],
    ['anything', set([exact(80)], [any]), one, { 'destination-port': 7 }, '1'],
    [
      'a name',
      set([exact('eth0')], [{ kind: 'prefix', text: 'lxc' }]),
      ['input-interface'],
      { 'input-interface': 'lxc1' },
      '1',
    ],
    [
      'another name',
      set([exact('eth0')], [{ kind: 'prefix', text: 'lxc' }]),
      ['input-interface'],
      { 'input-interface': 'eth1' },
      [],
    ],
    [
      'two values',
      set([exact(80), exact(1)], [exact(80), exact(2)]),
      two,
      { 'destination-port': 80, mark: 2 },
      '1',
    ],
    [
      'two values, one of which is another',
      set([exact(80), exact(1)], [exact(81), exact(2)]),
      two,
      { 'destination-port': 80, mark: 2 },
      [],
    ],
    [
      'two values that look like one',
      set([exact(8), exact(11)]),
      two,
      { 'destination-port': 81, mark: 1 },
      [],
    ],
    [
      'a value and a range',
      set([exact(80), range(1, 9)], [exact(81), any]),
      two,
      { 'destination-port': 81, mark: 5 },
      '1',
    ],
    [
      'a value that is not known',
      set([exact(80)], [range(1, 2)]),
      one,
      {},
      ['0', '1', ...Array.from({ length: others }, (_, i) => `${i + 2}`)],
    ],
    ['a value that is not known, where any will do', set([exact(80)], [any]), one, {}, '1'],
    [
      'one of two that is not known',
      set([exact(80), exact(1)], [exact(81), exact(2)]),
      two,
      { 'destination-port': 81 },
      ['1'],
    ],
    [
      'one of two that is not known, the other another',
      set([exact(80), exact(1)]),
      two,
      { 'destination-port': 7 },
      [],
    ],
    [
      'several values at once',
      set([exact('new')], [exact('dnat')]),
      ['ct-state'],
      { 'ct-state': ['established', 'dnat'] },
      '1',
    ],
    [
      'several values at once, none of them',
      set([exact('new')], [range(1, 2)]),
      ['ct-state'],
      { 'ct-state': ['established'] },
      [],
    ],
    ['a field that is not there', set([exact(80)], [any]), one, { 'destination-port': ABSENT }, 'absent'],
    ['a second field that is not there', set([any, any]), two, { mark: ABSENT }, 'absent'],
    ['an IPv6 address', set([exact(1n)], [exact(2n)]), ['source'], { source: 2n }, '1'],
    [
      'a network',
      set([range(parseAddress('fd00::')!, parseAddress('fd00::ff')!)]),
      ['source'],
      { source: parseAddress('fd00::7') },
      '0',
    ],
    [
      'an address of the other family',
      set([range(0, 0xffffffff)], [range(0n, 9n)]),
      ['source'],
      { source: 5n },
      '1',
    ],
    ['no more fields than a key has', set([exact(80)]), two, { 'destination-port': 80, mark: 1 }, []],
  ])('%s', (_name, elements, key, fields, wanted) => {
    // Twice: the second time it may be remembered.
    for (let i = 0; i < 2; i++) expect(found(elements, key, fields)).toEqual(wanted);
  });

  test('what was found for one is not said of another', () => {
    const elements = set([exact(1)], [exact(2)], [exact('1')], [range(5n, 6n)]);
    const of = (value: FieldValue) => found(elements, ['mark'], { mark: value });
    expect([of(1), of(2), of(3), of(5n), of(5), of(undefined).length, of(1)]).toEqual([
      ...['0', '1', [], '3', [], 4 + others, '0'],
    ]);
  });
});

test('a set is indexed once, when it has more than sixteen elements', () => {
  const walked = (count: number) => {
    const set = setOf(...Array.from({ length: count }, (_, i) => [exact(i)]));
    let keys = 0;
    for (const element of set.elements) {
      const { key } = element;
      Object.defineProperty(element, 'key', {
        get() {
          keys++;
          return key;
        },
      });
    }
    const counts: number[] = [];
    for (const port of [1, 2, 2]) {
      keys = 0;
      expect(found(set, ['destination-port'], { 'destination-port': count - port })).toBe(`${count - port}`);
      counts.push(keys);
    }
    return counts;
  };
  // One after the other until it is found, each time.
  expect(walked(16)).toEqual([16, 15, 15]);
  const [first, second, third] = walked(17);
  expect(first).toBeGreaterThanOrEqual(17);
  // The one that it may be, then what is remembered.
  expect([second, third]).toEqual([1, 0]);
});

test('no more answers are remembered than there is memory for', () => {
  let looked = 0;
  const set = setOf([range(0, 50_000)], ...filler(1));
  const [first] = set.elements;
  const { key } = first!;
  Object.defineProperty(first, 'key', {
    get() {
      looked++;
      return key;
    },
  });
  for (let port = 0; port <= 10_000; port++) found(set, ['destination-port'], { 'destination-port': port });
  looked = 0;
  found(set, ['destination-port'], { 'destination-port': 9_999 });
  expect(looked).toBe(0);
  found(set, ['destination-port'], { 'destination-port': 10_000 });
  expect(looked).toBe(1);
});

describe('a condition with a set of several', () => {
  const match = (negated: boolean, fields: Partial<Record<Field, FieldValue>>, opaque?: string) =>
    evaluateMatch(
      {
        ...{ kind: 'match', negated, key: [{ field: 'mark' }] },
        set: { ...setOf([exact(1)], [exact(2)]), ...(opaque === undefined ? {} : { opaque }) },
      },
      read(fields),
    );
  test.each<
    [Partial<Record<Field, FieldValue>>, string | undefined, boolean | undefined, boolean | undefined]
  >([
    [{ mark: 2 }, undefined, true, false],
    [{ mark: 3 }, undefined, false, true],
    [{}, undefined, undefined, undefined],
    [{ mark: ABSENT }, undefined, false, false],
    [{ mark: 2 }, 'cut', true, false],
    [{ mark: 3 }, 'cut', undefined, undefined],
  ])('%j %p', (fields, opaque, plain, negated) => {
    expect([match(false, fields, opaque), match(true, fields, opaque)]).toEqual([plain, negated]);
  });
});

describe('the type of an address', () => {
  test.each<[string, boolean, string]>([
    ['10.0.0.1', false, 'unicast'],
    ['10.0.0.1', true, 'local'],
    ['127.0.0.9', false, 'local'],
    ['::1', false, 'local'],
    ['fd00::1', false, 'unicast'],
    ['224.0.0.1', false, 'multicast'],
    ['239.255.255.255', false, 'multicast'],
    ['ff02::1', false, 'multicast'],
    ['255.255.255.255', false, 'broadcast'],
    ['255.255.255.255', true, 'local'],
    ['224.0.0.1', true, 'local'],
  ])('%s, local %p, is %s', (address, local, type) => {
    expect(addressType(parseAddress(address)!, local)).toBe(type);
  });
});
