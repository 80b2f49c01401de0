import { describe, expect, test } from 'bun:test';
import { FieldSet, pathText } from './field-set.ts';
import { compareElements, elementText, keyElement, parseElement } from './path-element.ts';

const set = (...paths: string[][]) => FieldSet.of(...paths);
const A = ['f:a'];
const AB = ['f:a', 'f:b'];
const AC = ['f:a', 'f:c'];
const D = ['f:d'];
const ITEM = ['f:list', 'k:{"name":"x"}'];

describe('operations on sets of fields', () => {
  const cases: [name: string, made: FieldSet, wanted: FieldSet][] = [
    ['union of members', set(A).union(set(D)), set(A, D)],
    ['union below the same parent', set(AB).union(set(AC)), set(AB, AC)],
    ['union does not add parents', set(AB).union(set(D)), set(AB, D)],
    ['intersection of the same', set(A, AB, D).intersection(set(AB, D)), set(AB, D)],
    ['intersection of parent and child', set(A).intersection(set(AB)), set()],
    ['difference leaves what is below', set(A, AB, AC).difference(set(A)), set(AB, AC)],
    ['difference of a child leaves its parent', set(A, AB).difference(set(AB)), set(A)],
    ['recursive difference takes what is below', set(A, AB, AC, D).recursiveDifference(set(A)), set(D)],
    ['recursive difference of a child', set(A, AB, AC).recursiveDifference(set(AB)), set(A, AC)],
  ];
  test.each(cases)('%s', (_name, made, wanted) => {
    expect(made.paths()).toEqual(wanted.paths());
    expect(made.equals(wanted)).toBe(true);
  });

  test('operands stay as they are', () => {
    const left = set(A, AB);
    const right = set(AB, D);
    for (const operation of ['union', 'intersection', 'difference', 'recursiveDifference'] as const) {
      left[operation](right);
    }
    expect([left.paths(), right.paths()]).toEqual([set(A, AB).paths(), set(AB, D).paths()]);
  });

  test('nobody owns a whole object', () => {
    expect(set([]).isEmpty).toBe(true);
    expect(set(AB).has([])).toBe(false);
  });

  test('a parent is no member because of its child', () => {
    expect(set(AB).has(A)).toBe(false);
    expect(set(AB).has(AB)).toBe(true);
    expect(set(AB).isEmpty).toBe(false);
    expect(new FieldSet(new Set(), new Map([['f:a', set()]])).isEmpty).toBe(true);
  });
});

describe('fieldsV1', () => {
  const cases: [name: string, paths: string[][], json: object][] = [
    ['nothing', [], {}],
    ['a field', [A], { 'f:a': {} }],
    ['a field below another', [AB], { 'f:a': { 'f:b': {} } }],
    ['both', [A, AB], { 'f:a': { '.': {}, 'f:b': {} } }],
    [
      'an item with a field of its own',
      [ITEM, [...ITEM, 'f:name']],
      {
        'f:list': { 'k:{"name":"x"}': { '.': {}, 'f:name': {} } },
      },
    ],
    [
      'items by value',
      [
        ['f:set', 'v:"x"'],
        ['f:set', 'v:1'],
      ],
      { 'f:set': { 'v:1': {}, 'v:"x"': {} } },
    ],
    ['a field with the name of the mark', [['f:.']], { 'f:.': {} }],
    ['a field named as a prototype', [['f:__proto__', 'f:x']], { 'f:__proto__': { 'f:x': {} } }],
  ];
  test.each(cases)('%s', (_name, paths, json) => {
    expect(set(...paths).toJson()).toEqual(json as never);
    expect(FieldSet.fromJson(json).paths()).toEqual(set(...paths).paths());
  });

  test('is written in the order of Kubernetes', () => {
    const ports = [443, 80].map((port) => ['f:ports', `k:{"containerPort":${port},"protocol":"TCP"}`]);
    const written = set(['v:"b"'], ['i:1'], ['f:b'], ['f:a'], ...ports, ['f:ports', 'f:z']).toJson();
    expect(JSON.stringify(written)).toBe(
      '{"f:a":{},"f:b":{},"f:ports":{"f:z":{},"k:{\\"containerPort\\":80,\\"protocol\\":\\"TCP\\"}":{},"k:{\\"containerPort\\":443,\\"protocol\\":\\"TCP\\"}":{}},"v:\\"b\\"":{},"i:1":{}}',
    );
  });

  test('keys that are written otherwise are the same keys', () => {
    const read = FieldSet.fromJson({ 'f:l': { 'k:{ "b": 1, "a":"x" }': {} } });
    expect(
      read.has([
        'f:l',
        keyElement([
          ['a', 'x'],
          ['b', 1],
        ]),
      ]),
    ).toBe(true);
  });

  test('an element of an unknown kind is dropped', () => {
    expect(FieldSet.fromJson({ 'x:new': {}, 'f:a': {} }).paths()).toEqual([A]);
  });

  test.each([
    [{ f: {} }],
    [{ 'fa:': {} }],
    [{ 'k:x': {} }],
    [{ 'i:x': {} }],
    [{ 'f:a': 1 }],
    ['x'],
    [{ 'k:1': {} }],
  ])('is not read from %j', (json) => {
    expect(() => FieldSet.fromJson(json)).toThrow();
  });
});

test('elements as errors show them', () => {
  const path = ['f:spec', 'f:containers', 'k:{"name":"x","port":80}', 'f:args', 'v:"--a"', 'i:3', 'v:true'];
  expect(pathText(path)).toBe('.spec.containers[name="x",port=80].args[="--a"][3][=true]');
  expect(elementText('f:a')).toBe('.a');
});

test('the order of elements is total', () => {
  const inOrder = [
    'f:a',
    'f:b',
    'k:{"a":1}',
    'k:{"a":1,"b":1}',
    'k:{"a":2}',
    'k:{"a":"1"}',
    'v:1',
    'v:"1"',
    'v:true',
    'i:0',
  ];
  for (const [at, element] of inOrder.entries()) {
    expect(parseElement(element)).toBe(element);
    for (const [other, text] of inOrder.entries()) {
      expect(Math.sign(compareElements(element, text)), `${element} ${text}`).toBe(Math.sign(at - other));
    }
  }
});
