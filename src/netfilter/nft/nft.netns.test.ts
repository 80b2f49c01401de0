import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { closeSync, openSync } from 'node:fs';
import { output, realExec } from '../../sys/exec.ts';
import { enterNetns } from '../../sys/netns.ts';
import { NftKernel } from './kernel.ts';
import { FakeNft } from './nft.fake.ts';
import type { NftChain, NftChange, NftElement, NftLayout, NftMap, NftTable } from './nft.ts';

// One table of transactions against the fake and the kernel, over netlink and by nft: what one applies or refuses, all do.
const namespace = `hpt-nft-${process.pid}`;
const maps: NftMap[] = [
  { name: 'ports4', key: ['inet_proto', 'inet_service'], value: ['ipv4_addr', 'inet_service'] },
  { name: 'ports6', key: ['ipv6_addr', 'inet_proto', 'inet_service'], value: ['ipv6_addr', 'inet_service'] },
  { name: 'verdicts', key: ['inet_proto', 'inet_service'], value: 'verdict' },
  { name: 'seen', key: ['ipv6_addr'] },
];
const chains: NftChain[] = [
  { name: 'leaf', rules: [] },
  { name: 'inner', rules: ['meta mark set 1', 'meta l4proto . th dport vmap @verdicts'] },
  { name: 'entry', hook: { name: 'prerouting', priority: -101 }, rules: ['fib daddr type local jump inner'] },
  {
    name: 'exit',
    hook: { name: 'postrouting', priority: 99 },
    rules: ['meta mark 1 masquerade'],
    shared: true,
  },
];
const layout: NftLayout = { maps, chains };

const element: Record<string, NftElement> = {
  v4: { map: 'ports4', key: 'tcp . 80', value: '10.0.0.5 . 8080', comment: 'net/one' },
  v6: {
    map: 'ports6',
    key: 'fd00:0:0:0:0:0:0:1 . sctp . 65535',
    value: 'fd00:ffff:0:0:0:0:a:5 . 1',
    comment: 'net/two',
  },
  jump: { map: 'verdicts', key: 'udp . 53', value: 'jump leaf', comment: 'net/one' },
  back: { map: 'verdicts', key: 'tcp . 1', value: 'return' },
  go: { map: 'verdicts', key: 'tcp . 2', value: 'continue' },
  seen: { map: 'seen', key: '1:2:3:4:5:6:7:8', comment: 'net/one' },
};
const all = Object.values(element);
/** A change of nothing that makes the real table go by the program instead of netlink. */
const byProgram: NftChange[] = [
  { verb: 'put-chain', chain: { name: 'passing', rules: [] } },
  { verb: 'delete-chain', name: 'passing' },
];

const tables: Record<string, () => { table: NftTable; extra: NftChange[] }> = {
  fake: () => ({ table: new FakeNft(), extra: [] }),
  netlink: () => ({ table: new NftKernel(realExec, 'hostport', maps), extra: [] }),
  nft: () => ({ table: new NftKernel(realExec, 'hostport', maps), extra: byProgram }),
};

let home: number;

beforeAll(async () => {
  await output(realExec, ['ip', 'netns', 'add', namespace]);
  home = openSync('/proc/thread-self/ns/net', 'r');
  enterNetns(`/run/netns/${namespace}`);
});

afterAll(async () => {
  enterNetns(`/proc/self/fd/${home}`);
  closeSync(home);
  await output(realExec, ['ip', 'netns', 'delete', namespace]);
});

describe.each(Object.keys(tables).map((name) => [name]))('%s', (name) => {
  const make = async () => {
    const { table, extra } = tables[name]!();
    const apply = (changes: NftChange[]) => table.apply([...changes, ...extra]);
    await table.install(layout);
    return { table, apply };
  };
  afterEach(async () => {
    await output(realExec, ['nft', 'flush', 'ruleset']);
  });

  test('every kind of element comes back as it was given, and none twice', async () => {
    const { table, apply } = await make();
    expect(await apply(all.map((one) => ({ verb: 'create', ...one })))).toEqual({ applied: true });
    expect(await table.look(all)).toEqual(all);
    for (const { name: map } of maps) {
      const wanted = all.filter((one) => one.map === map);
      const byKey = (a: NftElement, b: NftElement) => a.key.localeCompare(b.key);
      expect((await table.list(map)).sort(byKey)).toEqual(wanted.sort(byKey));
      const marked = wanted.filter(({ comment }) => comment?.startsWith('net/one'));
      expect(await table.list(map, 'net/one')).toEqual(marked);
    }
  });

  test('a transaction is applied whole or not at all', async () => {
    const { table, apply } = await make();
    const { v4, v6, jump } = element as { v4: NftElement; v6: NftElement; jump: NftElement };
    const steps: { changes: NftChange[]; refused?: 'exists' | 'missing'; after: NftElement[] }[] = [
      { changes: [{ verb: 'create', ...v4 }], after: [v4] },
      {
        changes: [
          { verb: 'create', ...v6 },
          { verb: 'create', ...v4 },
        ],
        refused: 'exists',
        after: [v4],
      },
      { changes: [{ verb: 'add', ...v4 }], after: [v4] },
      { changes: [{ verb: 'add', ...v4, comment: 'other' }], after: [v4] },
      { changes: [{ verb: 'add', ...v4, value: '10.0.0.6 . 1' }], refused: 'exists', after: [v4] },
      {
        changes: [
          { verb: 'create', ...jump },
          { verb: 'delete', ...v6 },
        ],
        refused: 'missing',
        after: [v4],
      },
      { changes: [{ verb: 'create', ...jump, value: 'jump nowhere' }], refused: 'missing', after: [v4] },
      {
        changes: [
          { verb: 'delete', ...v4 },
          { verb: 'create', ...v4, comment: 'net/three' },
        ],
        after: [{ ...v4, comment: 'net/three' }],
      },
      { changes: [{ verb: 'delete', map: 'ports4', key: 'tcp . 80' }], after: [] },
      { changes: [{ verb: 'delete', map: 'ports4', key: 'tcp . 80' }], refused: 'missing', after: [] },
    ];
    for (const { changes, refused, after } of steps) {
      const outcome = await apply(changes);
      expect({ changes, why: outcome.applied ? undefined : outcome.why }).toEqual({ changes, why: refused });
      const there = [v4, v6, jump].map(({ map }) => table.list(map));
      expect((await Promise.all(there)).flat()).toEqual(after);
    }
  });

  test('hundreds at once: those that are there are found in order, and one that is there refuses all', async () => {
    const { table, apply } = await make();
    const comment = 'n'.repeat(62).concat('/', 'c'.repeat(64));
    const many = Array.from({ length: 450 }, (_, i): NftElement => {
      const key = `tcp . ${1000 + i}`;
      return i % 2 === 0
        ? { map: 'ports4', key, value: `10.0.${i >> 8}.${i & 255} . ${i + 1}`, comment }
        : { map: 'verdicts', key, value: 'jump leaf', comment };
    }).sort((a, b) => a.map.localeCompare(b.map));
    const create = (elements: NftElement[]) =>
      apply(elements.map((one): NftChange => ({ verb: 'create', ...one })));
    const here = many.filter((_, i) => i % 3 !== 0);
    expect(await create(here)).toEqual({ applied: true });
    expect(await table.look(many)).toEqual(many.map((one, i) => (i % 3 === 0 ? undefined : one)));
    const last = here.at(-1)!;
    expect(await create([...many.filter((_, i) => i % 3 === 0), last])).toMatchObject({ why: 'exists' });
    expect(await table.look(many.slice(0, 1))).toEqual([undefined]);
    const removal = here.map(({ map, key }): NftChange => ({ verb: 'delete', map, key }));
    expect(await apply([...removal, removal[0]!])).toMatchObject({ why: 'missing' });
    expect(await apply(removal)).toEqual({ applied: true });
    expect(await table.look(many)).toEqual(many.map(() => undefined));
  });

  test('a chain is made with the verdict that leads to it, and goes with it', async () => {
    const { table, apply } = await make();
    const chain: NftChain = { name: 'own', rules: ['tcp dport 80 dnat ip to 10.0.0.5:8080'] };
    const verdict: NftElement = { map: 'verdicts', key: 'tcp . 80', value: 'jump own' };
    const both: NftChange[] = [
      { verb: 'put-chain', chain },
      { verb: 'create', ...verdict },
    ];
    expect(await apply(both)).toEqual({ applied: true });
    expect(await table.fault({ maps, chains: [...chains, chain] })).toBeUndefined();
    expect(await apply(both)).toMatchObject({ applied: false, why: 'exists' });
    expect(await apply([{ verb: 'delete-chain', name: 'own' }])).toMatchObject({ why: 'exists' });
    const undo: NftChange[] = [
      { verb: 'delete', ...verdict },
      { verb: 'delete-chain', name: 'own' },
    ];
    expect(await apply(undo)).toEqual({ applied: true });
    expect(await apply([{ verb: 'delete-chain', name: 'own' }])).toMatchObject({ why: 'missing' });
    expect(await table.fault({ maps, chains: [chain] })).toBe('chain own is missing');
  });

  test('without its table there is nothing, and nothing can be made', async () => {
    const { table, extra } = tables[name]!();
    expect(await table.fault(layout)).toContain('missing');
    expect(await table.look(all)).toEqual(all.map(() => undefined));
    expect(await table.list('ports4')).toEqual([]);
    const outcome = await table.apply([{ verb: 'create', ...element.v4! }, ...extra]);
    expect(outcome).toMatchObject({ applied: false, why: 'missing' });
  });

  test('what could be syntax is refused before anything happens', async () => {
    const { apply } = await make();
    for (const bad of ['80 }; flush ruleset', 'tcp . 80"', 'tcp . 80\nflush ruleset', 'tcp . {', '']) {
      const failure = apply([{ verb: 'create', map: 'ports4', key: bad, value: '1.2.3.4 . 5' }]);
      await expect(failure).rejects.toThrow();
    }
  });
});

describe('a layout', () => {
  const table = () => new NftKernel(realExec, 'hostport', maps);
  const nft = (...words: string[]) => output(realExec, ['nft', ...words]);
  afterEach(async () => {
    await nft('flush', 'ruleset');
  });

  const inTable = ['inet', 'hostport'];
  test.each<[string, string[], RegExp]>([
    [
      'a chain is flushed',
      ['flush', 'chain', ...inTable, 'inner'],
      /chain inner lacks its rule "meta mark set 1"/,
    ],
    ['a rule comes first', ['insert', 'rule', ...inTable, 'inner', 'return'], /chain inner lacks/],
    ['a rule is added', ['add', 'rule', ...inTable, 'entry', 'accept'], /entry has an unexpected rule/],
    ['the table sleeps', ['add', 'table', ...inTable, '{ flags dormant; }'], /switched off/],
    ['the table goes', ['delete', 'table', ...inTable], /table hostport is missing/],
    ['the table is flushed', ['flush', 'table', ...inTable], /lacks its rule/],
  ])('is found to be faulty and is fixed when %s', async (_what, command, fault) => {
    const kernel = table();
    await kernel.install(layout);
    expect(await kernel.fault(layout)).toBeUndefined();
    const before = await nft('list', 'ruleset');
    await nft(...command);
    expect(await kernel.fault(layout)).toMatch(fault);
    await kernel.install(layout);
    expect(await kernel.fault(layout)).toBeUndefined();
    expect((await nft('list', 'ruleset')).split('\n').sort()).toEqual(before.split('\n').sort());
  });

  test('of a chain at another hook is fixed', async () => {
    const base = '{ type nat hook output priority 5; }';
    await nft('add', 'table', ...inTable);
    await nft('add', 'chain', ...inTable, 'entry', base);
    const kernel = table();
    expect(await kernel.fault({ maps: [], chains })).toContain('leaf is missing');
    await kernel.install(layout);
    expect(await kernel.fault(layout)).toBeUndefined();
  });

  test('keeps what others put into a shared chain, and its elements', async () => {
    const kernel = table();
    await kernel.install(layout);
    await kernel.apply([{ verb: 'create', ...element.v4! }]);
    await nft('insert', 'rule', ...inTable, 'exit', 'accept');
    expect(await kernel.fault(layout)).toBeUndefined();
    await nft('flush', 'chain', ...inTable, 'inner');
    await kernel.install(layout);
    expect(await kernel.list('ports4')).toEqual([element.v4!]);
    expect(await nft('list', 'chain', ...inTable, 'exit')).toContain('accept');
  });

  test('can be tried without being made', async () => {
    const kernel = table();
    await kernel.probe(layout);
    expect(await nft('list', 'ruleset')).toBe('');
    const impossible = { maps, chains: [{ name: 'x', rules: ['jump nowhere'] }] };
    await expect(kernel.probe(impossible)).rejects.toThrow(/nft: exit status 1/);
  });
});

test('ten thousand elements go in at once and are found among each other', async () => {
  const kernel = new NftKernel(realExec, 'hostport', maps);
  await kernel.install(layout);
  const many: NftChange[] = Array.from({ length: 10_000 }, (_, i) => ({
    verb: 'create',
    map: 'ports4',
    key: `tcp . ${i + 1}`,
    value: '10.0.0.5 . 8080',
    comment: `net/c-${i}.`,
  }));
  expect(await kernel.apply(many)).toEqual({ applied: true });
  expect((await kernel.list('ports4')).length).toBe(10_000);
  expect((await kernel.list('ports4', 'net/c-77.')).map(({ key }) => key)).toEqual(['tcp . 78']);
  const again = await kernel.apply(many.slice(9_990));
  expect(again).toMatchObject({ why: 'exists', reason: expect.stringContaining('9991') });
  await output(realExec, ['nft', 'flush', 'ruleset']);
});
