import { describe, expect, test } from 'bun:test';
import type { Json } from '../../../util/json.ts';
import { fieldErrorText } from '../validation/field-error.ts';
import { compareVersions } from './custom-kind.ts';
import { isOfFormat } from './formats.ts';
import { goPattern } from './go-pattern.ts';
import { parseJsonPath, setValueAt, valueAt } from './json-path.ts';
import type { JsonSchema } from './json-schema.ts';
import { applySchemaDefaults, pruneNulls, pruneUnknown } from './pruning.ts';
import { brokenRules, unusableRules } from './rules.ts';

test('versions in the order in which they are preferred', () => {
  const inOrder = [
    'v10',
    'v2',
    'v1',
    'v11beta2',
    'v10beta3',
    'v3beta1',
    'v12alpha1',
    'v11alpha2',
    'foo1',
    'foo10',
  ];
  expect([...inOrder].reverse().sort(compareVersions)).toEqual(inOrder);
});

describe('paths', () => {
  const object = {
    spec: {
      replicas: 2,
      ports: [
        { name: 'a', n: 1 },
        { name: 'b', n: 2 },
      ],
    },
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'Other', status: 'False' },
      ],
    },
    metadata: { labels: { 'a.b/c': 'x' } },
  };
  const cases: [path: string, found: Json[]][] = [
    ['.spec.replicas', [2]],
    ['.spec.ports[1].name', ['b']],
    ['.spec.ports[-1].n', [2]],
    ['.spec.ports[*].n', [1, 2]],
    ['.status.conditions[?(@.type=="Ready")].status', ['True']],
    [".status.conditions[?(@.type == 'Other')].status", ['False']],
    ['.metadata.labels.a\\.b/c', []],
    [".metadata.labels['a\\.b/c']", ['x']],
    ['.spec.nothing.at.all', []],
    ['.constructor', []],
  ];
  test.each(cases)('%s', (path, found) => {
    const read = parseJsonPath(path);
    if (path.includes('b/c') && read === undefined) return expect(found).toEqual([]);
    expect(read?.(object)).toEqual(found);
  });

  test.each(['spec', '.spec[', '.spec[?(@.a>1)]', '{.spec}'])('%s is not understood', (path) => {
    expect(parseJsonPath(path)).toBeUndefined();
  });

  test('of plain fields are read and written', () => {
    const made = {};
    setValueAt(made, '.spec.deep.replicas', 3);
    expect(made).toEqual({ spec: { deep: { replicas: 3 } } });
    expect(valueAt(made, '.spec.deep.replicas')).toBe(3);
    expect(valueAt(made, '.spec.none.replicas')).toBeUndefined();
  });

  test.each(['.spec.__proto__.replicas', '.spec.constructor.prototype.replicas'])(
    '%s is a path like any other',
    (path) => {
      const made = {};
      setValueAt(made, path, 3);
      expect(valueAt(made, path)).toBe(3);
      expect(({} as { replicas?: number }).replicas).toBeUndefined();
    },
  );
});

describe('formats', () => {
  const cases: [format: string, good: string[], bad: string[]][] = [
    [
      'date-time',
      ['2020-01-01T00:00:00Z', '2020-02-29T00:00:00.5+01:00'],
      ['2020-01-01', '2021-02-29T00:00:00Z', 'x'],
    ],
    ['date', ['2020-02-29'], ['2021-02-29', '20200101']],
    ['ipv4', ['1.2.3.4'], ['1.2.3', '::1', '256.0.0.1']],
    ['ipv6', ['::1', 'fe80::1'], ['1.2.3.4', ':::']],
    ['cidr', ['10.0.0.0/8', 'fd00::/64'], ['10.0.0.0/33', '10.0.0.0', 'x/8']],
    ['byte', ['', 'YQ==', 'YWI='], ['Y', '?']],
    ['uuid', ['123e4567-e89b-12d3-a456-426614174000'], ['123']],
    ['hostname', ['a.example.com', 'a'], ['-a', 'a_b', `a.${'a'.repeat(64)}`, `${'a'.repeat(60)}!`]],
    ['email', ['a@b'], ['a', '@b']],
    ['duration', ['1h', '1h30m', '5 s'], ['', 'x', '1'.repeat(100_000)]],
    ['mac', ['00:11:22:33:44:55'], ['00:11']],
    ['unheard-of', ['anything'], []],
  ];
  test.each(cases)('%s', (format, good, bad) => {
    expect(good.filter((text) => !isOfFormat(text, format))).toEqual([]);
    expect(bad.filter((text) => isOfFormat(text, format))).toEqual([]);
  });
});

describe('patterns as Go writes them', () => {
  const cases: [pattern: string, good: string[], bad: string[]][] = [
    ['^[a-z]+$', ['a'], ['A', 'a1']],
    ['(?i)^abc$', ['ABC'], ['abcd']],
    ['^(?P<x>a)b\\z', ['ab'], ['abc']],
    ['\\A[[:alpha:]_]+$', ['ab_'], ['1']],
    ['^[\\w\\-\\.]+$', ['a-b.c'], ['a b']],
    ['^\\_x$', ['_x'], ['x']],
  ];
  test.each(cases)('%s', (pattern, good, bad) => {
    expect(good.filter((text) => !goPattern(pattern)?.test(text))).toEqual([]);
    expect(bad.filter((text) => goPattern(pattern)?.test(text))).toEqual([]);
  });

  test('that cannot be read are not understood', () => {
    expect(goPattern('(')).toBeUndefined();
  });
});

describe('what is not in the schema', () => {
  const schema: JsonSchema = {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        properties: {
          a: { type: 'string' },
          list: { type: 'array', items: { type: 'object', properties: { b: { type: 'string' } } } },
          map: {
            type: 'object',
            additionalProperties: { type: 'object', properties: { c: { type: 'string' } } },
          },
          open: {
            type: 'object',
            'x-kubernetes-preserve-unknown-fields': true,
            properties: { closed: { type: 'object', properties: { d: { type: 'string' } } } },
          },
        },
      },
    },
  };

  test('goes, and is named', () => {
    const object = {
      apiVersion: 'a/v1',
      kind: 'K',
      metadata: { name: 'x' },
      foo: 1,
      spec: {
        a: 'x',
        z: 1,
        list: [{ b: '1', z: 1 }],
        map: { k: { c: '1', z: 1 } },
        open: { any: { thing: 1 }, closed: { d: '1', z: 1 } },
      },
    };
    expect(pruneUnknown(object, schema)).toEqual([
      'foo',
      'spec.list[0].z',
      'spec.map.k.z',
      'spec.open.closed.z',
      'spec.z',
    ]);
    expect(object as object).toEqual({
      apiVersion: 'a/v1',
      kind: 'K',
      metadata: { name: 'x' },
      spec: {
        a: 'x',
        list: [{ b: '1' }],
        map: { k: { c: '1' } },
        open: { any: { thing: 1 }, closed: { d: '1' } },
      },
    });
  });

  test('and null where it may not be, while a default takes its place', () => {
    const fields: JsonSchema = {
      type: 'object',
      properties: {
        plain: { type: 'string' },
        orNull: { type: 'string', nullable: true },
        orDefault: { type: 'string', default: 'd' },
        nullOrDefault: { type: 'string', nullable: true, default: 'd' },
        inner: { type: 'object', default: {}, properties: { x: { type: 'integer', default: 1 } } },
      },
    };
    const object = { plain: null, orNull: null, orDefault: null, nullOrDefault: null } as Json;
    pruneNulls(object, fields);
    applySchemaDefaults(object, fields);
    expect(object).toEqual({ orNull: null, orDefault: 'd', nullOrDefault: null, inner: { x: 1 } });
    const again = structuredClone(object);
    applySchemaDefaults(again, fields);
    expect(again).toEqual(object);
  });
});

describe('rules', () => {
  const schema: JsonSchema = {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        'x-kubernetes-validations': [
          { rule: 'self.min <= self.max' },
          {
            rule: 'has(self.name) == has(oldSelf.name)',
            message: 'name is fixed',
            reason: 'FieldValueForbidden',
          },
          { rule: '!has(self.__namespace__) || self.__namespace__ != "x"' },
        ],
        properties: {
          min: { type: 'integer' },
          max: { type: 'integer' },
          namespace: { type: 'string' },
          name: {
            type: 'string',
            'x-kubernetes-validations': [
              { rule: 'self.startsWith("a")', messageExpression: '"got " + self' },
              { rule: 'self == oldSelf', message: 'immutable' },
            ],
          },
          map: {
            type: 'array',
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['k'],
            items: {
              type: 'object',
              properties: {
                k: { type: 'string' },
                v: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self >= oldSelf' }] },
              },
            },
          },
        },
      },
    },
  };
  const good = { min: 1, max: 2, name: 'ab', map: [{ k: 'x', v: 5 }] };
  const cases: [name: string, spec: object, old: object | undefined, problems: string[]][] = [
    ['kept', good, undefined, []],
    ['broken', { min: 3, max: 2 }, undefined, ['spec: Invalid value: failed rule: self.min <= self.max']],
    [
      'broken with a message of its own',
      { ...good, name: 'b' },
      undefined,
      ['spec.name: Invalid value: "b": got b'],
    ],
    [
      'that cannot be evaluated',
      { max: 2 },
      undefined,
      ['spec: Invalid value: "object": no such key: min evaluating rule: self.min <= self.max'],
    ],
    [
      'of a field whose name is a word of the language',
      { min: 1, max: 2, namespace: 'x' },
      undefined,
      ['spec: Invalid value: failed rule: !has(self.__namespace__) || self.__namespace__ != "x"'],
    ],
    ['of changes', { ...good, name: 'ac' }, good, ['spec.name: Invalid value: "ac": immutable']],
    ['of changes, with a reason', { min: 1, max: 2 }, good, ['spec: Forbidden: name is fixed']],
    [
      'of changes of an item',
      {
        ...good,
        map: [
          { k: 'y', v: 1 },
          { k: 'x', v: 4 },
        ],
      },
      good,
      ['spec.map[1].v: Invalid value: 4: failed rule: self >= oldSelf'],
    ],
    ['broken before, by what has not changed', { min: 3, max: 2 }, { min: 3, max: 2 }, []],
  ];
  test.each(cases)('%s', (_name, spec, old, problems) => {
    const before = old === undefined ? undefined : ({ spec: old } as Json);
    expect(brokenRules(schema, { spec } as Json, before).map(fieldErrorText)).toEqual(problems);
  });

  test('that need what is not there are refused, with their place', () => {
    const made: JsonSchema = {
      type: 'object',
      properties: {
        a: {
          type: 'string',
          'x-kubernetes-validations': [{ rule: 'isIP(self)' }, { rule: 'url(self).getHost() == ""' }],
        },
        b: { type: 'string', 'x-kubernetes-validations': [{ rule: 'self.(' }] },
        c: { type: 'string', 'x-kubernetes-validations': [{ rule: 'self == "x"', optionalOldSelf: true }] },
      },
    };
    const errors = unusableRules(made, 'schema');
    expect(errors.map(({ field }) => field)).toEqual([
      'schema.properties[a].x-kubernetes-validations[1].rule',
      'schema.properties[b].x-kubernetes-validations[0].rule',
      'schema.properties[c].x-kubernetes-validations[0].optionalOldSelf',
    ]);
    expect(errors[0]?.detail).toStartWith('this API server cannot evaluate the rule: ');
  });
});
