import { describe, expect, test } from 'bun:test';
import type { Json } from '../../../util/json.ts';
import { type Atom, DEDUCED, type FieldAtom, type TypeRef } from './atoms.ts';
import { FieldSet, pathText } from './field-set.ts';
import { ListItemError } from './list-items.ts';
import { typeProblem } from './type-problems.ts';
import { afterApply, afterUpdate, ConflictError, type VersionedSet, type Versions } from './updater.ts';

// The behaviour is that of sigs.k8s.io/structured-merge-diff; its tests of `merge` have the same situations.

const scalar =
  (type: Atom['scalar']): TypeRef =>
  () => ({ scalar: type });
const STRING = scalar('string');
const NUMBER = scalar('numeric');
const struct =
  (
    fields: Record<string, TypeRef | FieldAtom>,
    options: { atomic?: boolean; element?: TypeRef } = {},
  ): TypeRef =>
  () => {
    const entries = Object.entries(fields).map(
      ([name, field]) => [name, typeof field === 'function' ? { type: field } : field] as const,
    );
    return { map: { fields: new Map(entries), element: options.element, atomic: options.atomic ?? false } };
  };
const mapOf = (element: TypeRef, atomic = false) => struct({}, { element, atomic });
const listOf =
  (element: TypeRef, keys?: string[]): TypeRef =>
  () => ({ list: { element, associative: keys !== undefined, keys: keys ?? [] } });

const port = struct({ name: STRING, port: NUMBER, protocol: { type: STRING, default: 'TCP' } });
const SCHEMA: Atom = struct({
  text: STRING,
  number: NUMBER,
  flag: scalar('boolean'),
  set: listOf(STRING, []),
  atomicList: listOf(STRING),
  items: listOf(struct({ name: STRING, value: NUMBER, labels: mapOf(STRING) }), ['name']),
  ports: listOf(port, ['port', 'protocol']),
  labels: mapOf(STRING),
  atomicMap: mapOf(STRING, true),
  nested: struct({ inner: struct({ a: STRING, b: STRING }), other: STRING }),
  atomicStruct: struct({ a: STRING, b: STRING }, { atomic: true }),
  deep: mapOf(mapOf(struct({ a: STRING }))),
  any: DEDUCED,
})();

/** An object and who owns what of it, changed by steps as a server changes it. */
class State {
  object: Json = {};
  managers = new Map<string, VersionedSet>();
  readonly #atoms: Record<string, Atom>;
  readonly #ignored: FieldSet;

  constructor(atoms: Record<string, Atom> = { v1: SCHEMA }, ignored = new FieldSet()) {
    this.#atoms = atoms;
    this.#ignored = ignored;
  }

  get #versions(): Versions {
    return {
      atomOf: (version) => this.#atoms[version],
      ignored: this.#ignored,
      nobodys: new FieldSet(),
      mayChange: true,
    };
  }

  apply(manager: string, config: Json, options: { force?: boolean; version?: string } = {}): this {
    const { force = false, version = 'v1' } = options;
    const result = afterApply(this.#versions, this.object, config, version, this.managers, manager, force);
    this.object = result.object ?? this.object;
    this.managers = result.managers;
    return this;
  }

  update(manager: string, object: Json, version = 'v1'): this {
    const { managers } = afterUpdate(this.#versions, this.object, object, version, this.managers, manager);
    this.managers = managers;
    this.object = object;
    return this;
  }

  /** Manager -> its fields as errors show them. */
  get owned(): Record<string, string[]> {
    return Object.fromEntries(
      [...this.managers].map(([manager, { owned }]) => [manager, owned.set.paths().map(pathText).sort()]),
    );
  }
}

/** The conflicts of a step, as `manager: field`. */
function conflictsOf(step: () => unknown): string[] {
  try {
    step();
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    return error.conflicts.map(({ manager, path }) => `${manager}: ${pathText(path)}`).sort();
  }
  return [];
}

interface Case {
  name: string;
  run: (state: State) => State;
  object: Json;
  owned: Record<string, string[]>;
}

describe('after these steps', () => {
  const cases: Case[] = [
    {
      name: 'an apply owns what it sets',
      run: (state) => state.apply('a', { text: 'x', number: 1, flag: false }),
      object: { text: 'x', number: 1, flag: false },
      owned: { a: ['.flag', '.number', '.text'] },
    },
    {
      name: 'two appliers own the same value together',
      run: (state) => state.apply('a', { text: 'x' }).apply('b', { text: 'x', number: 1 }),
      object: { text: 'x', number: 1 },
      owned: { a: ['.text'], b: ['.number', '.text'] },
    },
    {
      name: 'force takes a field over',
      run: (state) => state.apply('a', { text: 'x', number: 1 }).apply('b', { text: 'y' }, { force: true }),
      object: { text: 'y', number: 1 },
      owned: { a: ['.number'], b: ['.text'] },
    },
    {
      name: 'a field that is not applied any more goes',
      run: (state) => state.apply('a', { text: 'x', number: 1 }).apply('a', { text: 'x' }),
      object: { text: 'x' },
      owned: { a: ['.text'] },
    },
    {
      name: 'a field that another applier has stays',
      run: (state) =>
        state.apply('a', { text: 'x', number: 1 }).apply('b', { number: 1 }).apply('a', { text: 'x' }),
      object: { text: 'x', number: 1 },
      owned: { a: ['.text'], b: ['.number'] },
    },
    {
      name: 'a field that an updater changed stays with its value',
      run: (state) =>
        state
          .apply('a', { text: 'x', number: 1 })
          .update('u', { text: 'x', number: 2 })
          .apply('a', { text: 'x' }),
      object: { text: 'x', number: 2 },
      owned: { a: ['.text'], u: ['.number'] },
    },
    {
      name: 'an update that removes a field takes it from all',
      run: (state) => state.apply('a', { text: 'x', number: 1 }).update('u', { text: 'x' }),
      object: { text: 'x' },
      owned: { a: ['.text'] },
    },
    {
      name: 'an update that changes nothing owns nothing',
      run: (state) => state.apply('a', { text: 'x' }).update('u', { text: 'x' }),
      object: { text: 'x' },
      owned: { a: ['.text'] },
    },
    {
      name: 'a manager without fields is forgotten',
      run: (state) => state.apply('a', { text: 'x' }).update('u', { text: 'y' }),
      object: { text: 'y' },
      owned: { u: ['.text'] },
    },
    {
      name: 'items of a set are owned one by one',
      run: (state) =>
        state
          .apply('a', { set: ['x', 'y'] })
          .apply('b', { set: ['y', 'z'] })
          .apply('a', { set: ['x'] }),
      object: { set: ['x', 'y', 'z'] },
      owned: { a: ['.set[="x"]'], b: ['.set[="y"]', '.set[="z"]'] },
    },
    {
      name: 'an item of a set that nobody applies any more goes',
      run: (state) => state.apply('a', { set: ['x', 'y'] }).apply('a', { set: ['y'] }),
      object: { set: ['y'] },
      owned: { a: ['.set[="y"]'] },
    },
    {
      name: 'items that others put into a list stay',
      run: (state) =>
        state
          .apply('a', { items: [{ name: 'x', value: 1 }] })
          .apply('b', { items: [{ name: 'y', value: 2 }] })
          .apply('a', { items: [{ name: 'x', value: 3 }] }),
      object: {
        items: [
          { name: 'x', value: 3 },
          { name: 'y', value: 2 },
        ],
      },
      owned: {
        a: ['.items[name="x"]', '.items[name="x"].name', '.items[name="x"].value'],
        b: ['.items[name="y"]', '.items[name="y"].name', '.items[name="y"].value'],
      },
    },
    {
      name: 'an item of a list goes with its last owner',
      run: (state) =>
        state
          .apply('a', { items: [{ name: 'x', value: 1 }, { name: 'y' }] })
          .apply('a', { items: [{ name: 'y' }] }),
      object: { items: [{ name: 'y' }] },
      owned: { a: ['.items[name="y"]', '.items[name="y"].name'] },
    },
    {
      name: 'an item goes with its last owner, also what an updater added to it',
      run: (state) =>
        state
          .apply('a', { items: [{ name: 'x', value: 1 }] })
          .update('u', { items: [{ name: 'x', value: 1, labels: { k: 'v' } }] })
          .apply('a', { items: [] }),
      object: {},
      owned: {},
    },
    {
      name: 'two appliers may each have fields of one item',
      run: (state) =>
        state
          .apply('a', { items: [{ name: 'x', value: 1 }] })
          .apply('b', { items: [{ name: 'x', labels: { k: 'v' } }] })
          .apply('a', { items: [{ name: 'x' }] }),
      object: { items: [{ name: 'x', labels: { k: 'v' } }] },
      owned: {
        a: ['.items[name="x"]', '.items[name="x"].name'],
        b: ['.items[name="x"]', '.items[name="x"].labels.k', '.items[name="x"].name'],
      },
    },
    {
      name: 'the default of a key stands for the key',
      run: (state) =>
        state.apply('a', { ports: [{ port: 80, name: 'web' }] }).apply('b', {
          ports: [
            { port: 80, protocol: 'TCP' },
            { port: 80, protocol: 'UDP' },
          ],
        }),
      object: {
        ports: [
          { port: 80, protocol: 'TCP', name: 'web' },
          { port: 80, protocol: 'UDP' },
        ],
      },
      owned: {
        a: [
          '.ports[port=80,protocol="TCP"]',
          '.ports[port=80,protocol="TCP"].name',
          '.ports[port=80,protocol="TCP"].port',
        ],
        b: [
          '.ports[port=80,protocol="TCP"]',
          '.ports[port=80,protocol="TCP"].port',
          '.ports[port=80,protocol="TCP"].protocol',
          '.ports[port=80,protocol="UDP"]',
          '.ports[port=80,protocol="UDP"].port',
          '.ports[port=80,protocol="UDP"].protocol',
        ],
      },
    },
    {
      name: 'an atomic list is one value',
      run: (state) => state.apply('a', { atomicList: ['x', 'y'] }).apply('a', { atomicList: ['z'] }),
      object: { atomicList: ['z'] },
      owned: { a: ['.atomicList'] },
    },
    {
      name: 'entries of a map are owned one by one',
      run: (state) =>
        state
          .apply('a', { labels: { x: '1', y: '1' } })
          .apply('b', { labels: { z: '1' } })
          .apply('a', { labels: { x: '1' } }),
      object: { labels: { x: '1', z: '1' } },
      owned: { a: ['.labels.x'], b: ['.labels.z'] },
    },
    {
      name: 'an atomic map is one value',
      run: (state) => state.apply('a', { atomicMap: { x: '1' } }).apply('a', { atomicMap: { y: '1' } }),
      object: { atomicMap: { y: '1' } },
      owned: { a: ['.atomicMap'] },
    },
    {
      name: 'an atomic struct is one value',
      run: (state) =>
        state.apply('a', { atomicStruct: { a: '1', b: '2' } }).apply('a', { atomicStruct: { b: '2' } }),
      object: { atomicStruct: { b: '2' } },
      owned: { a: ['.atomicStruct'] },
    },
    {
      name: 'a struct that is emptied goes with its last field',
      run: (state) =>
        state.apply('a', { text: 'x', nested: { inner: { a: '1' } } }).apply('a', { text: 'x' }),
      object: { text: 'x' },
      owned: { a: ['.text'] },
    },
    {
      name: 'a struct of which another has a field stays',
      run: (state) =>
        state
          .apply('a', { nested: { inner: { a: '1' } } })
          .apply('b', { nested: { inner: { b: '2' } } })
          .apply('a', {}),
      object: { nested: { inner: { b: '2' } } },
      owned: { b: ['.nested.inner.b'] },
    },
    {
      name: 'an empty struct is owned as a whole',
      run: (state) => state.apply('a', { nested: {} }),
      object: { nested: {} },
      owned: { a: ['.nested'] },
    },
    {
      name: 'maps of maps of structs',
      run: (state) =>
        state
          .apply('a', { deep: { one: { two: { a: 'x' } } } })
          .apply('b', { deep: { one: { three: { a: 'y' } } } })
          .apply('a', { deep: {} }),
      object: { deep: { one: { three: { a: 'y' } } } },
      owned: { a: ['.deep'], b: ['.deep.one', '.deep.one.three', '.deep.one.three.a'] },
    },
    {
      name: 'without a type, objects are merged and lists are not',
      run: (state) =>
        state
          .apply('a', { any: { list: [1, 2], object: { x: 1 } } })
          .apply('b', { any: { object: { y: 1 } } })
          .apply('a', { any: { list: [3] } }),
      object: { any: { list: [3], object: { y: 1 } } },
      owned: { a: ['.any.list'], b: ['.any.object', '.any.object.y'] },
    },
    {
      name: 'without a type, a value may become of another form',
      run: (state) => state.apply('a', { any: { x: 1 } }).apply('a', { any: 'text' }),
      object: { any: 'text' },
      owned: { a: ['.any'] },
    },
    {
      name: 'null is a value that is owned',
      run: (state) => state.apply('a', { text: 'x' }).apply('a', { text: null }),
      object: { text: null },
      owned: { a: ['.text'] },
    },
    {
      name: 'duplicates of an update are one value, which another update resolves',
      run: (state) =>
        state
          .update('u', {
            items: [
              { name: 'x', value: 1 },
              { name: 'x', value: 2 },
            ],
          })
          .update('w', {
            items: [{ name: 'x', value: 1 }],
          }),
      object: { items: [{ name: 'x', value: 1 }] },
      owned: {
        u: ['.items'],
        w: ['.items[name="x"]', '.items[name="x"].name', '.items[name="x"].value'],
      },
    },
    {
      name: 'a field with the name of a prototype is a field',
      run: (state) => state.apply('a', JSON.parse('{"labels":{"__proto__":"x","constructor":"y"}}') as Json),
      object: JSON.parse('{"labels":{"__proto__":"x","constructor":"y"}}') as Json,
      owned: { a: ['.labels.__proto__', '.labels.constructor'] },
    },
  ];
  test.each(cases.map((item) => [item.name, item] as const))('%s', (_name, { run, object, owned }) => {
    const state = run(new State());
    expect(JSON.stringify(sorted(state.object))).toBe(JSON.stringify(sorted(object)));
    expect(state.owned).toEqual(owned);
  });
});

/** Keys in order, so that texts can be compared: `toEqual` does not see a `__proto__`. */
function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([key, item]) => [key, sorted(item)]);
}

describe('an apply conflicts', () => {
  const cases: [name: string, before: (state: State) => State, config: Json, conflicts: string[]][] = [
    ['with an applier', (state) => state.apply('a', { text: 'x' }), { text: 'y' }, ['a: .text']],
    ['with an updater', (state) => state.update('u', { number: 1 }), { number: 2 }, ['u: .number']],
    [
      'with each of several, in each field',
      (state) => state.apply('a', { text: 'x', number: 1 }).apply('c', { text: 'x' }),
      { text: 'y', number: 2 },
      ['a: .number', 'a: .text', 'c: .text'],
    ],
    ['not when the value is the same', (state) => state.apply('a', { text: 'x' }), { text: 'x' }, []],
    [
      'in a field of an item',
      (state) => state.apply('a', { items: [{ name: 'x', value: 1 }] }),
      {
        items: [{ name: 'x', value: 2 }],
      },
      ['a: .items[name="x"].value'],
    ],
    [
      'in an atomic list',
      (state) => state.apply('a', { atomicList: ['x'] }),
      { atomicList: ['x', 'y'] },
      ['a: .atomicList'],
    ],
    ['not in a set', (state) => state.apply('a', { set: ['x'] }), { set: ['y'] }, []],
    [
      'not in other entries of a map',
      (state) => state.apply('a', { labels: { x: '1' } }),
      { labels: { y: '1' } },
      [],
    ],
  ];
  test.each(cases)('%s', (_name, before, config, conflicts) => {
    const state = before(new State());
    const owned = state.owned;
    expect(conflictsOf(() => state.apply('b', config))).toEqual(conflicts);
    if (conflicts.length > 0) expect(state.owned).toEqual(owned);
  });
});

test('items keep the order of the configuration, and others their place', () => {
  const items = (...names: string[]) => names.map((name) => ({ name }));
  const order = (live: string[], config: string[]) => {
    const state = new State().update('u', { items: items(...live) }).apply('a', { items: items(...config) });
    return (state.object as { items: { name: string }[] }).items.map(({ name }) => name);
  };
  expect(order(['a', 'b', 'c'], ['c', 'a'])).toEqual(['b', 'c', 'a']);
  expect(order(['a', 'b', 'c'], ['x', 'b'])).toEqual(['a', 'x', 'b', 'c']);
  expect(order(['a', 'x', 'b'], ['b', 'y', 'a'])).toEqual(['x', 'b', 'y', 'a']);
  expect(order([], ['b', 'a'])).toEqual(['b', 'a']);
});

test('a field that a write cannot change is not owned by who sends it', () => {
  const ignored = FieldSet.of(['f:nested']);
  const state = new State({ v1: SCHEMA }, ignored).apply('a', { text: 'x', nested: { other: 'y' } });
  expect(state.owned).toEqual({ a: ['.text'] });
  state.update('u', { text: 'x', nested: { other: 'z' } });
  expect(state.owned).toEqual({ a: ['.text'] });
});

describe('versions', () => {
  const granular = struct({ list: listOf(STRING, []), map: mapOf(STRING), text: STRING })();
  const whole = struct({ list: listOf(STRING), map: mapOf(STRING, true), text: STRING })();

  test('an applier keeps its fields when it applies in another version', () => {
    const state = new State({ v1: granular, v2: granular })
      .apply('a', { text: 'x', map: { k: 'v' } })
      .apply('a', { text: 'x' }, { version: 'v2' });
    expect(state.object).toEqual({ text: 'x' });
    expect([...state.managers.values()].map(({ apiVersion }) => apiVersion)).toEqual(['v2']);
  });

  test('who wrote in a version that is gone is forgotten', () => {
    const atoms: Record<string, Atom> = { v1: granular, v2: granular };
    const state = new State(atoms)
      .apply('a', { text: 'x' })
      .apply('b', { map: { k: 'v' } }, { version: 'v2' });
    delete atoms.v1;
    state.apply('b', { map: { k: 'w' } }, { version: 'v2' });
    expect(state.owned).toEqual({ b: ['.map.k'] });
    expect(state.object).toEqual({ text: 'x', map: { k: 'w' } });
  });

  test('what has become one value is owned as one', () => {
    const atoms: Record<string, Atom> = { v1: granular };
    const state = new State(atoms).apply('a', { list: ['x'], map: { k: 'v' }, text: 't' });
    atoms.v1 = whole;
    expect(conflictsOf(() => state.apply('b', { list: ['y'], map: { j: 'w' } }))).toEqual([
      'a: .list',
      'a: .map',
    ]);
    state.apply('a', { list: ['x'], text: 't' });
    expect(state.object).toEqual({ list: ['x'], text: 't' });
    expect(state.owned).toEqual({ a: ['.list', '.text'] });
  });
});

describe('a configuration of the wrong type', () => {
  const cases: [config: Json, problem: string][] = [
    [{ text: 1 }, '.text: expected string, got &value.valueUnstructured{Value:1}'],
    [{ number: 'x' }, '.number: expected numeric (int or float), got string'],
    [{ flag: 'x' }, '.flag: expected boolean, got &{x}'],
    [{ nested: 'x' }, '.nested: expected map, got &{x}'],
    [{ set: { a: 1 } }, '.set: expected list, got &{map[a:1]}'],
    [{ other: 1 }, '.other: field not declared in schema'],
    [{ nested: { inner: { z: 1 } } }, '.nested.inner.z: field not declared in schema'],
    [{ set: ['x', 'x'] }, '.set: duplicate entries for key [="x"]'],
    [
      { set: [null] },
      ".set: element 0: associative list without keys has an element that's an explicit null",
    ],
    [{ set: [{}] }, ".set: element 0: associative list without keys has an element that's a map type"],
    [{ set: [[]] }, '.set: element 0: not supported: associative list with lists as elements'],
    [
      { items: [{ value: 1 }] },
      '.items: element 0: associative list with keys has an element that omits all key fields ["name"] (and doesn\'t have default values for any key fields)',
    ],
    [{ items: ['x'] }, '.items: element 0: associative list with keys may not have non-map elements'],
    [{ items: [null] }, '.items: element 0: associative list with keys may not have a null element'],
    [
      { items: [{ name: 'x', value: 'y' }] },
      '.items[name="x"].value: expected numeric (int or float), got string',
    ],
    [
      { text: 1, number: [true] },
      'errors:\n  .text: expected string, got &value.valueUnstructured{Value:1}\n  .number: expected numeric (int or float), got []interface {}',
    ],
  ];
  test.each(cases)('%j', (config, problem) => {
    expect(typeProblem(SCHEMA, config)).toBe(problem);
  });

  test('null and anything without a type are good', () => {
    expect(typeProblem(SCHEMA, { text: null, items: null, any: [{ x: [1] }, 'y'] })).toBeUndefined();
  });

  test('an item without its keys cannot be merged', () => {
    expect(() => new State().apply('a', { items: [{ value: 1 }] })).toThrow(ListItemError);
  });
});
