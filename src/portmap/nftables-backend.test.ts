import { describe, expect, test } from 'bun:test';
import type { PluginConfig } from '../cni/types.ts';
import { FakeNft } from '../netfilter/nft/nft.fake.ts';
import type { Attached } from './attached.ts';
import type { Attachments } from './attachments.ts';
import { parsePortmapConfig } from './config.ts';
import { attachmentChain, ownerWord } from './layout.ts';
import { NftablesBackend } from './nftables-backend.ts';
import { ownerOfElement } from './nftables-layout.ts';
import type { PodAddress } from './rules.ts';

type State = NonNullable<FakeNft['state']>;

const pod = podAt(5);
const v6: PodAddress = {
  ip: { family: 'ipv6', bytes: [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5] },
  prefix: 128,
};

function podAt(last: number, prefix = 32): PodAddress {
  return { ip: { family: 'ipv4', bytes: [10, 0, 0, last] }, prefix };
}

function at(containerId: string): Attached {
  return { networkName: 'net', containerId, interface: 'eth0' };
}

function configOf(mappings: Record<string, unknown>[], extra: Record<string, unknown> = {}) {
  return parsePortmapConfig({
    ...{ name: 'net', backend: 'nftables' },
    runtimeConfig: { portMappings: mappings.map((mapping) => ({ containerPort: 8080, ...mapping })) },
    ...extra,
  } as PluginConfig);
}

const web = configOf([{ hostPort: 80 }]);

function setUp(
  sandboxState: Attachments['sandboxState'] = () => 'unknown',
  portsOf: Attachments['portsOf'] = () => undefined,
) {
  const table = new FakeNft();
  const warnings: string[] = [];
  const attachments = {
    sandboxState,
    portsOf,
    conditionsOf: (): undefined => undefined,
  } as unknown as Attachments;
  return { table, warnings, backend: new NftablesBackend(table, attachments, (text) => warnings.push(text)) };
}

/** Every element, as `map key value comment`. */
function contents({ state }: FakeNft): string[] {
  return [...state!.maps.values()]
    .flatMap((map) => [...map.values()])
    .map(({ map, key, value, comment }) => `${map} { ${key} } ${value ?? ''} ${comment ?? ''}`.trim())
    .filter((line) => !line.startsWith('attachments'))
    .sort();
}

test('an ADD on a node that has mappings is one transaction that only creates, and asks for one element', async () => {
  const { table, backend } = setUp();
  await backend.add(web, at('first'), [pod]);
  const before = { transactions: table.applied.length, reads: table.reads };
  await backend.add(configOf([{ hostPort: 81 }]), at('second'), [podAt(6), v6]);
  expect(table.applied.length).toBe(before.transactions + 1);
  // Whether there is a second layer.
  expect(table.reads).toBe(before.reads + 1);
  expect(table.applied.at(-1)!.filter(({ verb }) => verb !== 'create' && verb !== 'add')).toEqual([]);
});

describe('a DEL by what is remembered', () => {
  const mappings = [
    { hostPort: 80 },
    { hostPort: 80, protocol: 'udp', hostIP: '10.1.1.1' },
    { hostPort: 80, protocol: 'udp', hostIP: 'fd00::1' },
    { hostPort: 81, hostIP: '::' },
  ];
  const config = configOf(mappings);
  const remembered = config.portMappings;

  test.each<[string, ReturnType<Attachments['portsOf']>, boolean]>([
    ['all ports', remembered, false],
    ['more than all', [...remembered, { protocol: 'tcp', hostPort: 82 }], false],
    ['ports of another', [{ protocol: 'tcp', hostPort: 90 }], true],
    ['no port', [], true],
    ['nothing', undefined, true],
  ])('%s: removes its own and nothing else', async (_name, ports, looksThroughAll) => {
    const { table, backend } = setUp(undefined, () => ports);
    await backend.add(configOf([{ hostPort: 82 }, { hostPort: 90 }]), at('other'), [podAt(6), v6]);
    const before = contents(table);
    await backend.add(config, at('c'), [pod, { ...v6, prefix: 64 }]);
    const lists: string[] = [];
    const list = table.list.bind(table);
    table.list = (map, mark) => {
      lists.push(map);
      return list(map, mark);
    };
    const removed = await backend.remove([at('c')]);
    expect(contents(table)).toEqual(before);
    expect(removed.map(({ protocol, hostPort }) => `${protocol} ${hostPort}`).sort()).toEqual([
      ...['tcp 80', 'tcp 80', 'tcp 81', 'udp 80', 'udp 80'],
    ]);
    expect(lists.includes('any4')).toBe(looksThroughAll);
    expect(await backend.remove([at('c')])).toEqual([]);
  });
});

test('an attachment of both families is one transaction, and gone after DEL', async () => {
  const { table, backend } = setUp();
  const mappings = [{ hostPort: 80 }, { hostPort: 53, protocol: 'udp', hostIP: '10.1.1.1' }];
  await backend.add(configOf(mappings), at('c'), [pod, v6]);
  expect(contents(table)).toEqual([
    'any4 { tcp . 80 } jump own4-13 net/c',
    'any4 { udp . 53 } return',
    'any4_targets { tcp . 80 } 10.0.0.5 . 8080 net/c',
    'any6 { tcp . 80 } jump own6-13 net/c',
    'any6_targets { tcp . 80 } fd00:0:0:0:0:0:0:5 . 8080 net/c',
    'one4 { 10.1.1.1 . udp . 53 } jump own4-13 net/c',
    'one4_targets { 10.1.1.1 . udp . 53 } 10.0.0.5 . 8080 net/c',
    'own4 { 10.0.0.5 . tcp . 80 }  net/c',
    'own4 { 10.0.0.5 . udp . 53 }  net/c',
    'own6 { fd00:0:0:0:0:0:0:5 . tcp . 80 }  net/c',
  ]);
  expect(await backend.remove([at('c')])).toEqual([
    { protocol: 'udp', hostPort: 53, hostIP: '10.1.1.1', target: '10.0.0.5:8080' },
    { protocol: 'tcp', hostPort: 80, hostIP: undefined, target: '10.0.0.5:8080' },
    { protocol: 'tcp', hostPort: 80, hostIP: undefined, target: '[fd00::5]:8080' },
  ]);
  expect(contents(table)).toEqual([]);
  expect(await backend.remove([at('c')])).toEqual([]);
});

describe('where a packet must come from to be masqueraded', () => {
  test.each<[string, PodAddress, Record<string, unknown>, string, string[]]>([
    ['a pod alone', pod, {}, 'jump own4-13', ['own4 { 10.0.0.5 . tcp . 80 }']],
    ['a pod in a subnet', podAt(5, 24), {}, 'jump from-0a000000-24-13', []],
    ['everybody', pod, { masqAll: true, markMasqBit: 31 }, 'jump every-31', []],
    ['nobody', pod, { snat: false }, 'continue', []],
  ])('%s', async (_name, address, extra, verdict, own) => {
    const { table, backend } = setUp();
    const config = configOf([{ hostPort: 80 }], extra);
    await backend.add(config, at('c'), [address]);
    expect(contents(table).map((line) => line.replace(/ *net\/c$/, ''))).toEqual([
      `any4 { tcp . 80 } ${verdict}`,
      'any4_targets { tcp . 80 } 10.0.0.5 . 8080',
      ...own,
    ]);
    await backend.check(config, at('c'), [address]);
  });
});

describe('another program changes the table between the look and the change', () => {
  test.each<[string, (state: State) => void]>([
    ['flushes every map', (state) => state.maps.forEach((map) => void map.clear())],
    ['takes the chain we jump to', (state) => void state.chains.delete('own4-13')],
    ['takes a map', (state) => void state.maps.delete('any4')],
    [
      'maps the same for us',
      (state) =>
        void state.maps.get('any4')!.set('tcp . 80', { map: 'any4', key: 'tcp . 80', comment: 'net/c' }),
    ],
    [
      'leaves a target without a claim',
      (state) =>
        void state.maps
          .get('any4_targets')!
          .set('tcp . 80', { map: 'any4_targets', key: 'tcp . 80', value: '1.1.1.1 . 1' }),
    ],
  ])('%s: planned again', async (_name, change) => {
    const { table, backend } = setUp();
    await backend.add(configOf([{ hostPort: 81 }]), at('other'), [podAt(9)]);
    table.before = (state) => {
      table.before = undefined;
      change(state!);
    };
    await backend.add(web, at('c'), [pod]);
    await backend.check(web, at('c'), [pod]);
    expect(contents(table).filter((line) => line.includes('tcp . 80')).length).toBe(3);
  });

  test('without end: an error, and nothing of ours', async () => {
    const { table, backend } = setUp();
    table.before = (state) => void state?.maps.delete('any4_targets');
    await expect(backend.add(web, at('c'), [pod])).rejects.toMatchObject({ code: 999 });
    expect(contents(table)).toEqual([]);
  });
});

describe('a port that another attachment has', () => {
  const specific = configOf([{ hostPort: 80, hostIP: '10.1.1.1' }]);
  const other = configOf([{ hostPort: 80, hostIP: '10.1.1.2' }]);
  const conditional = configOf([{ hostPort: 80 }], { conditionsV4: ['ip', 'saddr', '10.9.0.0/16'] });

  test.each([
    ['every address', web, 'every address', web],
    ['every address', web, 'one', specific],
    ['one', specific, 'every address', web],
    ['one', specific, 'the same', specific],
    ['every address, with conditions,', conditional, 'every address', web],
    ['every address', web, 'every address, with conditions,', conditional],
  ])('on %s is not given to a living owner’s rival on %s', async (_a, first, _b, second) => {
    const { table, backend } = setUp(() => 'alive');
    await backend.add(first, at('old'), [pod]);
    const before = contents(table);
    await expect(backend.add(second, at('new'), [podAt(6)])).rejects.toMatchObject({
      code: 110,
      message: expect.stringMatching(
        /tcp 80 of container old of network net at 10\.0\.0\.5:8080, whose sandbox still exists$/,
      ),
    });
    expect(contents(table)).toEqual(before);
    const gone = setUp(() => 'gone');
    await gone.backend.add(first, at('old'), [pod]);
    expect(await gone.backend.add(second, at('new'), [podAt(6)])).toEqual(
      new Set([attachmentChain('net', 'old')]),
    );
    await gone.backend.check(second, at('new'), [podAt(6)]);
    expect(contents(gone.table).filter((line) => line.includes('net/old'))).toEqual([]);
    await gone.backend.remove([at('new')]);
    expect(contents(gone.table)).toEqual([]);
  });

  test('on another address is free, and stays reserved for single addresses as long as one has it', async () => {
    const { table, backend } = setUp(() => 'alive');
    await backend.add(specific, at('one'), [pod]);
    await backend.add(other, at('two'), [podAt(6)]);
    await backend.remove([at('one')]);
    await expect(backend.add(web, at('new'), [podAt(7)])).rejects.toMatchObject({ code: 110 });
    await backend.remove([at('two')]);
    expect(contents(table)).toEqual([]);
    await backend.add(web, at('new'), [podAt(7)]);
  });

  test('of an unknown sandbox is taken, and only that one', async () => {
    const { table, backend, warnings } = setUp();
    await backend.add(configOf([{ hostPort: 80 }, { hostPort: 81 }]), at('old'), [pod]);
    await backend.add(web, at('new'), [podAt(6)]);
    expect(warnings).toEqual([
      'tcp 80 of container old of network net at 10.0.0.5:8080: cannot determine whether its sandbox still exists; the new mapping replaces it',
    ]);
    expect(contents(table).filter((line) => line.startsWith('any4 {'))).toEqual([
      'any4 { tcp . 80 } jump own4-13 net/new',
      'any4 { tcp . 81 } jump own4-13 net/old',
    ]);
  });
});

test('GC takes what is not valid, also what lost its entry or its claim, of its own network only', async () => {
  const { table, backend } = setUp();
  const mapping = (hostPort: number, name = 'net') => configOf([{ hostPort }], { name });
  await backend.add(mapping(80), at('kept'), [pod]);
  await backend.add(mapping(81), at('stale'), [podAt(6)]);
  await backend.add(mapping(82), at('lost'), [podAt(7)]);
  await backend.add(mapping(83, 'net2'), { ...at('stale'), networkName: 'net2' }, [podAt(8)]);
  const { maps } = table.state!;
  for (const [key, { comment }] of maps.get('attachments')!) {
    if (comment === 'net/lost') maps.get('attachments')!.delete(key);
  }
  maps.get('any4')!.delete('tcp . 81');
  await backend.collect('net', [at('kept')]);
  const owners = contents(table).map((line) => line.split(' ').at(-1)!);
  expect([...new Set(owners)].sort()).toEqual(['net/kept', 'net2/stale']);
  expect(maps.get('attachments')!.size).toBeLessThanOrEqual(3);
});

describe('owners', () => {
  const long = 'n'.repeat(200);
  test.each<[string, string, string | undefined]>([
    ['net', 'c'.repeat(64), undefined],
    ['n'.repeat(62), 'c'.repeat(64), undefined],
    [long, 'c', undefined],
    ['net', 'c'.repeat(300), undefined],
    [long, `${long}1`, undefined],
    [long, `${long}2`, undefined],
    ['net', 'c'.repeat(64), 'net1'],
    ['n'.repeat(46), 'c'.repeat(64), 'a'.repeat(15)],
    ['n'.repeat(47), 'c'.repeat(64), 'a'.repeat(15)],
    [long, 'c', 'net1'],
    ['net', 'c', 'a"b'],
  ])('%s / %s / %s fit into a comment and differ from all others', (networkName, containerId, ifName) => {
    const owner = { networkName, containerId, ...(ifName === undefined ? {} : { ifName }) };
    const word = ownerWord(owner);
    expect(word.length).toBeLessThanOrEqual(127);
    expect(word).not.toContain('"');
    expect(ownerOfElement(word)!.chain).toBe(attachmentChain(networkName, containerId, ifName));
    for (const other of [
      { ...owner, networkName: `${networkName}x` },
      { ...owner, containerId: `${containerId}x` },
      { ...owner, ifName: `${ifName ?? 'eth'}0` },
    ]) {
      expect(ownerWord(other)).not.toBe(word);
    }
  });

  test('a comment of today’s layout names the interface, one of an earlier version does without', () => {
    expect(ownerOfElement('net/c/net1')).toMatchObject({
      networkName: 'net',
      containerId: 'c',
      ifName: 'net1',
    });
    expect(ownerOfElement('net/c')).not.toHaveProperty('ifName');
  });

  test.each([undefined, '', 'no owner', 'a/b/c/d'])('%p is not an owner', (comment) => {
    expect(ownerOfElement(comment)).toBeUndefined();
  });
});
