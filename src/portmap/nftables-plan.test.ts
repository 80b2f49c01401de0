import { describe, expect, test } from 'bun:test';
import type { PluginConfig } from '../cni/types.ts';
import { FakeNft } from '../netfilter/nft/nft.fake.ts';
import { type NftChange, NftUnavailable } from '../netfilter/nft/nft.ts';
import { parseCidr } from '../util/cidr.ts';
import type { Attached } from './attached.ts';
import { conditionsOf, parsePortmapConfig } from './config.ts';
import { attachmentChain } from './layout.ts';
import { NftablesBackend } from './nftables-backend.ts';
import type { PodAddress } from './rules.ts';
import { FakeAttachments } from './testing/attachments.fake.ts';
import { failure } from './testing/failure.ts';

const V4 = parseCidr('10.0.0.5/32')!;
const V6 = parseCidr('fd00::5/128')!;
const OTHER = parseCidr('10.0.0.6/32')!;
const CHAIN = attachmentChain('net', 'c');
const at = (containerId: string, fields: Partial<Attached> = {}): Attached => ({
  ...{ networkName: 'net', containerId, interface: 'eth0' },
  ...fields,
});

function configOf(mappings: Record<string, unknown>[], extra: Record<string, unknown> = {}) {
  const portMappings = mappings.map((mapping) => ({ containerPort: 8080, ...mapping }));
  return parsePortmapConfig({
    name: 'net',
    backend: 'nftables',
    runtimeConfig: { portMappings },
    ...extra,
  } as PluginConfig);
}

const WEB = configOf([{ hostPort: 80 }]);
const ONE = configOf([{ hostPort: 80, hostIP: '10.1.1.1' }]);
const CONDITIONAL = configOf([{ hostPort: 80 }], { conditionsV4: ['ip', 'saddr', '10.9.0.0/16'] });

function setUp(attachments = new FakeAttachments(), table = new FakeNft()) {
  const warnings: string[] = [];
  return {
    table,
    attachments,
    warnings,
    backend: new NftablesBackend(table, attachments, (text) => warnings.push(text)),
  };
}

const textOf = (change: NftChange) =>
  change.verb === 'put-chain'
    ? `put-chain ${change.chain.name}`
    : change.verb === 'delete-chain'
      ? `delete-chain ${change.name}`
      : `${change.verb} ${change.map} ${change.key}`;
const last = (table: FakeNft) =>
  table.applied
    .at(-1)!
    .map(textOf)
    .filter((line) => !line.includes('attachments'));

/** Every element but the attachments' entries. */
const contents = ({ state }: FakeNft) =>
  [...state!.maps.values()]
    .flatMap((map) => [...map.values()])
    .filter(({ map }) => map !== 'attachments')
    .map(({ map, key, value, comment }) => `${map} { ${key} } ${value ?? ''} ${comment ?? ''}`.trim())
    .sort();

describe('an ADD', () => {
  test('creates claims and targets, adds what may be there', async () => {
    const { table, backend } = setUp();
    const config = configOf([{ hostPort: 80, hostIP: '10.1.1.1' }], { conditionsV4: ['iif', 'lo'] });
    expect(await backend.add(config, at('c'), [V4])).toEqual(new Set());
    expect(table.applied).toHaveLength(1);
    expect(last(table)).toEqual([
      `put-chain ${CHAIN}-4`,
      'create one4 10.1.1.1 . tcp . 80',
      'create one4_targets 10.1.1.1 . tcp . 80',
      'add own4 10.0.0.5 . tcp . 80',
      'add any4 tcp . 80',
    ]);
  });

  test('again, with everything in place, changes nothing', async () => {
    const { table, backend } = setUp();
    for (const config of [WEB, ONE, CONDITIONAL]) {
      await backend.add(config, at('c'), [V4, V6]);
      const before = contents(table);
      const { length } = table.applied;
      expect(await backend.add(config, at('c'), [V4, V6])).toEqual(new Set());
      // The attempt that collides, and no more.
      expect([table.applied.length - length, contents(table)]).toEqual([1, before]);
    }
  });

  test.each<[string, (table: FakeNft) => void]>([
    [
      'a target is another',
      ({ state }) =>
        void Object.assign(state!.maps.get('any4_targets')!.get('tcp . 80')!, { value: '10.0.0.9 . 8080' }),
    ],
    ['a target is missing', ({ state }) => void state!.maps.get('any4_targets')!.delete('tcp . 80')],
    [
      'there is a claim too many',
      ({ state }) =>
        void state!.maps
          .get('any4')!
          .set('tcp . 81', { map: 'any4', key: 'tcp . 81', value: 'continue', comment: 'net/c' }),
    ],
    ['its chain is another', ({ state }) => state!.chains.get(`${CHAIN}-4`)?.comments.pop()],
    ['the pod’s own address is missing', ({ state }) => void state!.maps.get('own4')!.clear()],
  ])('again, where %s, puts it right', async (_name, change) => {
    for (const config of [WEB, CONDITIONAL]) {
      const { table, backend } = setUp();
      await backend.add(config, at('c'), [V4]);
      const before = contents(table);
      change(table);
      await backend.add(config, at('c'), [V4]);
      expect(contents(table)).toEqual(before);
      await backend.check(config, at('c'), [V4]);
    }
  });

  test('of other ports, addresses or conditions than before leaves nothing of those', async () => {
    const { table, backend } = setUp();
    const fresh = setUp();
    await backend.add(
      configOf([{ hostPort: 80 }, { hostPort: 81 }], { conditionsV6: ['iif', 'lo'] }),
      at('c'),
      [V4, V6],
    );
    await backend.add(ONE, at('c'), [OTHER]);
    await fresh.backend.add(ONE, at('c'), [OTHER]);
    expect(contents(table)).toEqual(contents(fresh.table));
    expect([...table.state!.chains.keys()]).not.toContain(`${CHAIN}-6`);
  });

  test('is refused by nft: the fault of the conditions, or ours', async () => {
    for (const [config, code] of [
      [CONDITIONAL, 7],
      [WEB, 999],
    ] as const) {
      const { table, backend } = setUp();
      let asked = 0;
      table.apply = async () => {
        asked++;
        return { applied: false, why: 'refused', reason: 'syntax error' };
      };
      expect(await failure(backend.add(config, at('c'), [V4]))).toEqual({
        ...{ code, message: 'cannot map ports of container c (nftables)', details: 'syntax error' },
      });
      expect(asked).toBe(1);
    }
  });

  test('that always collides ends after four attempts, whatever the conditions', async () => {
    const { table, backend } = setUp();
    let asked = 0;
    table.apply = async () => {
      asked++;
      return { applied: false, why: 'exists', reason: `attempt ${asked}` };
    };
    expect(await failure(backend.add(CONDITIONAL, at('c'), [V4]))).toEqual({
      ...{ code: 999, message: 'cannot map ports of container c (nftables)', details: 'attempt 4' },
    });
    expect(asked).toBe(4);
  });

  test('installs what is missing of the table only', async () => {
    const { table, backend } = setUp();
    let installed = 0;
    const install = table.install.bind(table);
    table.install = (layout) => {
      installed++;
      return install(layout);
    };
    await backend.add(WEB, at('c'), [V4]);
    await backend.add(configOf([{ hostPort: 81 }]), at('d'), [V4]);
    expect(installed).toBe(1);
    await backend.add(configOf([{ hostPort: 82 }], { markMasqBit: 5 }), at('e'), [V4]);
    expect(installed).toBe(2);
  });
});

describe('a port that others have', () => {
  const rivals = () => new FakeAttachments({ old: 'gone', alive: 'alive' });
  test('of many: those that are gone leave, with all that they have', async () => {
    const { table, backend, warnings } = setUp(rivals());
    await backend.add(configOf([{ hostPort: 80, hostIP: '10.1.1.1' }, { hostPort: 90 }]), at('old'), [OTHER]);
    await backend.add(configOf([{ hostPort: 80, hostIP: '10.1.1.2' }]), at('what'), [
      parseCidr('10.0.0.7/32')!,
    ]);
    await backend.add(configOf([{ hostPort: 81, hostIP: '10.1.1.2' }]), at('far'), [
      parseCidr('10.0.0.8/32')!,
    ]);
    expect(await backend.add(WEB, at('c'), [V4])).toEqual(new Set([attachmentChain('net', 'old')]));
    expect(warnings).toEqual([
      '10.1.1.2 tcp 80 of container what of network net at 10.0.0.7:8080: cannot determine whether its sandbox still exists; the new mapping replaces it',
    ]);
    expect(contents(table)).toEqual([
      'any4 { tcp . 80 } jump own4-13 net/c',
      'any4 { tcp . 81 } return',
      'any4_targets { tcp . 80 } 10.0.0.5 . 8080 net/c',
      'one4 { 10.1.1.2 . tcp . 81 } jump own4-13 net/far',
      'one4_targets { 10.1.1.2 . tcp . 81 } 10.0.0.8 . 8080 net/far',
      'own4 { 10.0.0.5 . tcp . 80 }  net/c',
      'own4 { 10.0.0.8 . tcp . 81 }  net/far',
    ]);
  });

  test('without a name, without a target', async () => {
    const { table, backend, warnings } = setUp();
    await backend.add(configOf([{ hostPort: 81 }]), at('old'), [OTHER]);
    const { maps } = table.state!;
    maps.get('any4')!.set('tcp . 80', { map: 'any4', key: 'tcp . 80', value: 'continue' });
    await backend.add(WEB, at('c'), [V4]);
    expect(warnings).toEqual([
      'tcp 80 of an unknown owner at an unknown address: cannot determine whether its sandbox still exists; the new mapping replaces it',
    ]);
  });

  test('of IPv6', async () => {
    const { backend } = setUp(new FakeAttachments({ old: 'alive' }));
    await backend.add(configOf([{ hostPort: 80, hostIP: 'fd01::1' }]), at('old'), [V6]);
    expect(await failure(backend.add(WEB, at('c'), [V6]))).toEqual({
      ...{
        code: 110,
        message: expect.stringContaining('fd01::1 tcp 80 of container old of network net at [fd00::5]:8080'),
      },
    });
    // IPv4 is free.
    expect(await backend.add(WEB, at('c'), [V4])).toEqual(new Set());
  });

  test('by the name of its own interface is its own', async () => {
    const { backend } = setUp(new FakeAttachments({ c: 'alive' }));
    await backend.add(WEB, at('c', { ifName: 'eth0' }), [V4]);
    expect(await backend.add(WEB, at('c'), [V4])).toEqual(new Set([attachmentChain('net', 'c', 'eth0')]));
  });

  test.each<[string, ReturnType<typeof configOf>, PodAddress[], string[]]>([
    ['the same', WEB, [V4], ['tcp 80 of container old of network net at 10.0.0.6:8080']],
    ['one address', ONE, [V4], ['tcp 80 of container old of network net at 10.0.0.6:8080']],
    ['another port', configOf([{ hostPort: 81 }]), [V4], []],
    ['another family', WEB, [V6], []],
    ['another protocol', configOf([{ hostPort: 80, protocol: 'udp' }]), [V4], []],
  ])('shadows %s', async (_name, config, pods, found) => {
    const { backend } = setUp();
    await backend.add(WEB, at('old'), [OTHER]);
    expect(await backend.shadows(config, at('c'), pods)).toEqual(found);
    expect(await backend.shadows(config, at('old'), pods)).toEqual([]);
  });
});

describe('giving way to the other backend', () => {
  test('to nobody: a look, no transaction', async () => {
    const { table, backend } = setUp();
    expect(await backend.giveWay(ONE, at('c'), [V4])).toEqual(new Set());
    expect([table.applied.length, table.reads]).toEqual([0, 3]);
    await backend.add(configOf([{ hostPort: 81 }]), at('old'), [OTHER]);
    table.applied.length = 0;
    expect(await backend.giveWay(WEB, at('c'), [V4])).toEqual(new Set());
    expect(table.applied).toEqual([]);
  });

  test('of what is gone, with its entry and reservations, and no more', async () => {
    const { table, backend, warnings } = setUp(new FakeAttachments({ old: 'gone' }));
    await backend.add(configOf([{ hostPort: 80, hostIP: '10.1.1.1' }, { hostPort: 90 }]), at('old'), [OTHER]);
    await backend.add(configOf([{ hostPort: 91 }]), at('far'), [V4]);
    const before = contents(table).filter((line) => line.includes('net/far'));
    expect(await backend.giveWay(WEB, at('c'), [V4])).toEqual(new Set([attachmentChain('net', 'old')]));
    expect([contents(table), warnings]).toEqual([before, []]);
    expect(table.state!.maps.get('attachments')!.size).toBe(1);
  });

  test('of what is unknown, with conditions: the chain stays as long as one of its mappings does', async () => {
    const { table, backend } = setUp();
    const two = configOf([{ hostPort: 80 }, { hostPort: 81 }], {
      conditionsV4: ['ip', 'saddr', '10.9.0.0/16'],
    });
    await backend.add(two, at('old'), [OTHER]);
    const chain = `${attachmentChain('net', 'old')}-4`;
    await backend.giveWay(WEB, at('c'), [V4]);
    expect(contents(table).filter((line) => line.startsWith('any4 '))).toEqual([
      `any4 { tcp . 81 } goto ${chain} net/old`,
    ]);
    expect(table.state!.chains.has(chain)).toBe(true);
    await backend.add(configOf([{ hostPort: 81 }]), at('d'), [V4]);
    expect(table.state!.chains.has(chain)).toBe(false);
  });

  test('of what is unknown: that mapping only, with a warning', async () => {
    const { table, backend, warnings } = setUp();
    await backend.add(configOf([{ hostPort: 80 }, { hostPort: 90 }]), at('old'), [OTHER]);
    expect(await backend.giveWay(WEB, at('c'), [V4])).toEqual(new Set());
    expect(warnings).toHaveLength(1);
    expect(contents(table).some((line) => line.includes('tcp . 80'))).toBe(false);
    expect(contents(table).some((line) => line.includes('tcp . 90'))).toBe(true);
  });

  test('not of what lives', async () => {
    const { backend } = setUp(new FakeAttachments({ old: 'alive' }));
    await backend.add(WEB, at('old'), [OTHER]);
    expect(await failure(backend.giveWay(WEB, at('c'), [V4]))).toMatchObject({ code: 110 });
  });

  test('that always fails ends after four attempts', async () => {
    const { table, backend } = setUp(new FakeAttachments({ old: 'gone' }));
    await backend.add(WEB, at('old'), [OTHER]);
    let asked = 0;
    table.apply = async () => {
      asked++;
      return { applied: false, why: 'missing', reason: 'gone' };
    };
    expect(await failure(backend.giveWay(WEB, at('c'), [V4]))).toEqual({
      ...{
        code: 999,
        message: 'cannot remove stale mappings of the ports of container c (nftables)',
        details: 'gone',
      },
    });
    expect(asked).toBe(4);
  });
});

describe('a CHECK', () => {
  const missing = (details: string) => ({
    code: 999,
    message: 'nftables rule missing in table inet hostport',
    details,
  });
  const remove = (map: string, key: string) => (table: FakeNft) =>
    void table.state!.maps.get(map)!.delete(key);
  const alter = (map: string, key: string, fields: object) => (table: FakeNft) =>
    void Object.assign(table.state!.maps.get(map)!.get(key)!, fields);
  const BOTH = configOf([{ hostPort: 80 }, { hostPort: 53, protocol: 'udp', hostIP: '10.1.1.1' }]);

  test.each<[string, (table: FakeNft) => void, string]>([
    ['the table', (table) => void Object.assign(table, { state: undefined }), 'table is missing'],
    ['a map', ({ state }) => void state!.maps.delete('one6'), 'map one6 is missing'],
    ['a shared chain', ({ state }) => void state!.chains.delete('deliver4'), 'chain deliver4 is missing'],
    ['the chain that marks', ({ state }) => void state!.chains.delete('own4-13'), 'chain own4-13 is missing'],
    ['a claim', remove('any4', 'tcp . 80'), 'no element any4 { tcp . 80 : jump own4-13 } of net/c'],
    [
      'a target',
      remove('one4_targets', '10.1.1.1 . udp . 53'),
      'no element one4_targets { 10.1.1.1 . udp . 53 : 10.0.0.5 . 8080 } of net/c',
    ],
    [
      'the pod’s own address',
      remove('own4', '10.0.0.5 . tcp . 80'),
      'no element own4 { 10.0.0.5 . tcp . 80 } of net/c',
    ],
    ['a reservation', remove('any4', 'udp . 53'), 'no element any4 { udp . 53 : return }'],
    [
      'another target',
      alter('any4_targets', 'tcp . 80', { value: '10.0.0.9 . 1' }),
      'any4_targets { tcp . 80 : 10.0.0.5 . 8080 } of net/c is any4_targets { tcp . 80 : 10.0.0.9 . 1 } of net/c',
    ],
    [
      'another owner',
      alter('any4', 'tcp . 80', { comment: 'net/d' }),
      'any4 { tcp . 80 : jump own4-13 } of net/c is any4 { tcp . 80 : jump own4-13 } of net/d',
    ],
  ])('finds %s', async (_name, change, details) => {
    const { table, backend } = setUp();
    await backend.add(BOTH, at('c'), [V4]);
    await backend.check(BOTH, at('c'), [V4]);
    change(table);
    expect(await failure(backend.check(BOTH, at('c'), [V4]))).toEqual(missing(details));
  });

  test('finds its entry, and its chain of conditions', async () => {
    const { table, backend } = setUp();
    await backend.add(CONDITIONAL, at('c'), [V4]);
    table.state!.chains.get(`${CHAIN}-4`)!.comments.pop();
    expect(await failure(backend.check(CONDITIONAL, at('c'), [V4]))).toEqual(
      missing(`chain ${CHAIN}-4 lacks its rule "ip saddr 10.9.0.0/16 jump deliver4"`),
    );
    await backend.add(WEB, at('c'), [V4]);
    table.state!.maps.get('attachments')!.clear();
    expect(await failure(backend.check(WEB, at('c'), [V4]))).toMatchObject({
      details: expect.stringMatching(/^no element attachments/),
    });
  });

  test('is fine where the pod’s own address is noted by another', async () => {
    const { table, backend } = setUp();
    await backend.add(WEB, at('c'), [V4]);
    alter('own4', '10.0.0.5 . tcp . 80', { comment: 'net/before' })(table);
    expect(await backend.check(WEB, at('c'), [V4])).toBeUndefined();
  });

  const taking = (port: number, protocol = 'tcp', more: object[] = []) => ({
    nftables: [
      { chain: { family: 'inet', table: 'x', name: 'pre', type: 'nat', hook: 'prerouting', prio: -150 } },
      {
        rule: {
          ...{ family: 'inet', table: 'x', chain: 'pre', handle: 1 },
          expr: [
            ...more,
            { match: { op: '==', left: { payload: { protocol, field: 'dport' } }, right: port } },
            { drop: null },
          ] as Record<string, unknown>[],
        },
      },
    ],
  });
  const to = (address: string) => ({
    match: { op: '==', left: { payload: { protocol: 'ip', field: 'daddr' } }, right: address },
  });
  const of = (family: string) => ({ match: { op: '==', left: { meta: { key: 'nfproto' } }, right: family } });
  test.each<[string, ReturnType<typeof taking>, string | undefined]>([
    ['a port', taking(80), 'tcp 80'],
    ['the other', taking(53, 'udp'), 'udp 53'],
    ['the address of the other', taking(53, 'udp', [to('10.1.1.1')]), 'udp 53'],
    ['another address of the other', taking(53, 'udp', [to('10.1.1.2')]), undefined],
    ['an address of one for all', taking(80, 'tcp', [to('10.1.1.1')]), undefined],
    ['another port', taking(81), undefined],
    ['IPv6', taking(80, 'tcp', [of('ipv6')]), 'tcp 80'],
    ['IPv4', taking(80, 'tcp', [of('ipv4')]), 'tcp 80'],
  ])('finds an earlier rule that takes %s', async (_name, others, taken) => {
    const { table, backend } = setUp();
    await backend.add(BOTH, at('c'), [V4, V6]);
    table.others = others;
    let asked: number | undefined;
    const ahead = table.ahead.bind(table);
    table.ahead = (...args: number[]) => {
      asked = args[0];
      return ahead();
    };
    const check = backend.check(BOTH, at('c'), [V4, V6]);
    if (taken === undefined) expect(await check).toBeUndefined();
    else {
      expect(await failure(check)).toEqual({
        ...{ code: 999, message: `mapping shadowed: an earlier rule takes ${taken} (nftables)` },
        details: expect.stringMatching(/ in chain pre of inet x$/),
      });
    }
    expect(asked).toBe(-101);
  });
});

describe('what is there', () => {
  test('under a name', async () => {
    const { backend, attachments, table } = setUp();
    expect(await backend.mapped(at('c'))).toEqual([]);
    await backend.add(
      configOf([{ hostPort: 80 }, { hostPort: 53, protocol: 'udp', hostIP: 'fd01::1' }]),
      at('c'),
      [V4, V6],
    );
    await backend.add(configOf([{ hostPort: 81 }]), at('d'), [OTHER]);
    const found = [
      { protocol: 'tcp', hostPort: 80, hostIP: undefined, target: '10.0.0.5:8080' },
      { protocol: 'udp', hostPort: 53, hostIP: 'fd01::1', target: '[fd00::5]:8080' },
      { protocol: 'tcp', hostPort: 80, hostIP: undefined, target: '[fd00::5]:8080' },
    ];
    expect(await backend.mapped(at('c'))).toEqual(found);
    const ports = [{ protocol: 'tcp' as const, hostPort: 80 }];
    attachments.record(CHAIN, { ...at('c'), ifName: 'eth0', ports, devices: [] });
    expect((await backend.mapped(at('c'))).map(({ target }) => target)).toEqual([
      '10.0.0.5:8080',
      '[fd00::5]:8080',
    ]);
    // A claim without a target maps nothing.
    table.state!.maps.get('any4_targets')!.clear();
    expect((await backend.mapped(at('c'))).map(({ target }) => target)).toEqual(['[fd00::5]:8080']);
  });
});

describe('a removal', () => {
  test('of nothing is no transaction', async () => {
    const { table, backend } = setUp();
    expect(await backend.remove([at('c'), at('c', { ifName: 'eth0' })])).toEqual([]);
    expect(table.applied).toEqual([]);
  });

  test('of several names at once, of conditions, of an IPv6 pod without its target', async () => {
    const { table, backend } = setUp();
    await backend.add(CONDITIONAL, at('c'), [V4]);
    await backend.add(configOf([{ hostPort: 81 }]), at('c', { ifName: 'net1' }), [V6]);
    table.state!.maps.get('any6_targets')!.clear();
    const removed = await backend.remove([at('c'), at('c', { ifName: 'net1' })]);
    expect(removed.map(({ hostPort }) => hostPort)).toEqual([80]);
    expect(last(table)).toEqual([
      ...['delete any4 tcp . 80', 'delete any4_targets tcp . 80', 'delete own4 10.0.0.5 . tcp . 80'],
      ...['delete any6 tcp . 81', `delete-chain ${CHAIN}-4`],
    ]);
    expect(table.state!.maps.get('attachments')!.size).toBe(0);
  });

  test('leaves what another noted of the same address', async () => {
    const { table, backend } = setUp();
    await backend.add(WEB, at('c'), [V4]);
    table.state!.maps.get('own4')!.get('10.0.0.5 . tcp . 80')!.comment = 'net/d';
    await backend.remove([at('c')]);
    expect(contents(table)).toEqual(['own4 { 10.0.0.5 . tcp . 80 }  net/d']);
  });

  test('leaves a reservation that another needs, on another address or protocol', async () => {
    const { table, backend } = setUp();
    const on = (hostIP: string, protocol = 'tcp') => configOf([{ hostPort: 80, hostIP, protocol }]);
    await backend.add(on('10.1.1.1'), at('c'), [V4]);
    await backend.add(on('10.1.1.2'), at('d'), [OTHER]);
    await backend.add(on('10.1.1.2', 'udp'), at('e'), [OTHER]);
    await backend.remove([at('e')]);
    expect(contents(table).filter((line) => line.endsWith('return'))).toEqual(['any4 { tcp . 80 } return']);
    await backend.remove([at('c')]);
    expect(contents(table).filter((line) => line.endsWith('return'))).toEqual(['any4 { tcp . 80 } return']);
    await backend.remove([at('d')]);
    expect(contents(table)).toEqual([]);
  });

  test.each(['remove', 'collect'] as const)('that fails (%s)', async (method) => {
    const work = (backend: NftablesBackend) =>
      method === 'remove' ? backend.remove([at('c')]) : backend.collect('net', []);
    const what = method === 'remove' ? 'container c' : 'network net';
    const { table, backend } = setUp();
    await backend.add(WEB, at('c'), [V4]);
    let asked = 0;
    table.apply = async () => {
      asked++;
      return { applied: false, why: 'missing', reason: 'busy' };
    };
    expect(await failure(work(backend))).toEqual({
      code: 999,
      message: `cannot remove port mappings of ${what} (nftables)`,
      details: 'busy',
    });
    expect(asked).toBe(4);
    table.apply = async () => {
      throw new NftUnavailable('no nftables');
    };
    expect(await failure(work(backend))).toEqual({
      code: 999,
      message: `port mappings of ${what} remain in table inet hostport`,
      details: 'no nftables',
    });
    table.apply = async () => {
      throw new Error('other');
    };
    await expect(work(backend)).rejects.toThrow('other');
  });
});

describe('a GC', () => {
  test('of a network whose name begins another’s', async () => {
    const { table, backend } = setUp();
    await backend.add(WEB, at('c'), [V4]);
    await backend.add(configOf([{ hostPort: 81 }], { name: 'net2' }), at('c', { networkName: 'net2' }), [
      OTHER,
    ]);
    expect(await backend.collect('net', [])).toEqual([
      { protocol: 'tcp', hostPort: 80, hostIP: undefined, target: '10.0.0.5:8080' },
    ]);
    expect(contents(table).every((line) => line.endsWith('net2/c'))).toBe(true);
    expect(table.state!.maps.get('attachments')!.size).toBe(1);
    expect(await backend.collect('net', [])).toEqual([]);
  });
});

test.each<[string, (backend: NftablesBackend) => Promise<unknown>]>([
  ['add', (backend) => backend.add(WEB, at('c'), [V4])],
  ['giveWay', (backend) => backend.giveWay(WEB, at('c'), [V4])],
  ['shadows', (backend) => backend.shadows(WEB, at('c'), [V4])],
  ['check', (backend) => backend.check(WEB, at('c'), [V4])],
  ['mapped', (backend) => backend.mapped(at('c'))],
  ['remove', (backend) => backend.remove([at('c')])],
  ['collect', (backend) => backend.collect('net', [])],
  ['probe', (backend) => backend.probe()],
])('without nftables %s is error 50, with another error it is that', async (_name, work) => {
  const failing = (error: Error) => {
    const table = new FakeNft();
    const fail = async () => Promise.reject(error);
    Object.assign(table, { apply: fail, look: fail, list: fail, fault: fail, ahead: fail, probe: fail });
    return work(setUp(undefined, table).backend);
  };
  expect(await failure(failing(new NftUnavailable('no kernel support')))).toEqual({
    ...{ code: 50, message: 'nftables cannot be used', details: 'no kernel support' },
  });
  await expect(failing(new Error('other'))).rejects.toThrow('other');
});

test('a STATUS tries the basic layout', async () => {
  const { table, backend } = setUp();
  const tried: string[][] = [];
  table.probe = async (...args: Parameters<FakeNft['fault']>[0][]) => {
    tried.push(args[0]!.chains.map(({ name }) => name));
  };
  await backend.probe();
  expect(tried).toEqual([['ipv4', 'deliver4', 'ipv6', 'deliver6', 'prerouting', 'output', 'postrouting']]);
});

describe('conditions of attachments on one port', () => {
  const from = (...addresses: string[]) =>
    configOf([{ hostPort: 80 }], { conditionsV4: ['ip', 'saddr', `{ ${addresses.join(', ')} }`] });
  const record = (attachments: FakeAttachments, id: string, config: ReturnType<typeof configOf>) =>
    attachments.record(attachmentChain('net', id), {
      ...{ networkName: 'net', containerId: id, ifName: 'eth0', ports: config.portMappings, devices: [] },
      conditions: { ipv4: conditionsOf(config, 'ipv4'), ipv6: conditionsOf(config, 'ipv6') },
    });
  async function setUpPods(...configs: ReturnType<typeof configOf>[]) {
    const made = setUp(new FakeAttachments({ 0: 'alive', 1: 'alive', 2: 'alive', 3: 'alive', 4: 'alive' }));
    for (const [i, config] of configs.entries()) {
      record(made.attachments, String(i), config);
      await made.backend.add(config, at(String(i)), [OTHER]);
    }
    return made;
  }
  const [a, b, c, d, e] = [1, 2, 3, 4, 5].map((i) => from(`10.0.${i}.0/24`)) as [
    typeof WEB,
    typeof WEB,
    typeof WEB,
    typeof WEB,
    typeof WEB,
  ];
  const claims = (table: FakeNft) =>
    contents(table).flatMap(
      (line) => /^(any\S*4) \{ tcp \. 80 \} goto .* (\S+)$/.exec(line)?.slice(1).join(' ') ?? [],
    );

  test('that no packet meets two of: each has the port, in a layer of its own, and CHECK finds it there', async () => {
    const { table, backend, warnings } = await setUpPods(a, b, c);
    expect(claims(table)).toEqual(['any1_4 net/1', 'any2_4 net/2', 'any4 net/0']);
    expect(warnings).toEqual([]);
    for (const [i, config] of [a, b, c].entries()) {
      await backend.check(config, at(String(i)), [OTHER]);
      expect(await backend.add(config, at(String(i)), [OTHER])).toEqual(new Set());
    }
    expect(table.state!.chains.get('prerouting-1')).toMatchObject({ hook: { number: 0, priority: -101 } });
  });

  test('a removal leaves the others; the next takes the free layer', async () => {
    const { table, backend } = await setUpPods(a, b, c);
    expect(await backend.remove([at('1')])).toHaveLength(1);
    expect(claims(table)).toEqual(['any2_4 net/2', 'any4 net/0']);
    await backend.add(d, at('3'), [OTHER]);
    expect(claims(table)).toEqual(['any1_4 net/3', 'any2_4 net/2', 'any4 net/0']);
    await backend.collect('net', []);
    expect(contents(table)).toEqual([]);
  });

  test('that a packet may meet two of are refused, wherever the other one is; both are named', async () => {
    const { backend } = await setUpPods(a, b);
    await backend.remove([at('0')]);
    for (const [config, here] of [
      [from('10.0.2.7'), '"ip saddr { 10.0.2.7 }"'],
      [WEB, 'no conditions'],
    ] as const) {
      const wanted = {
        code: 110,
        message: expect.stringContaining('tcp 80 of container 1 of network net'),
        details: `both may have a packet: ${here} here, "ip saddr { 10.0.2.0/24 }" there`,
      };
      expect(await failure(backend.add(config, at('c'), [V4]))).toEqual(wanted);
      expect(await failure(backend.giveWay(config, at('c'), [V4]))).toEqual(wanted);
    }
  });

  test('that are not remembered may be any', async () => {
    const { attachments, backend } = await setUpPods(a);
    attachments.records.clear();
    expect(await failure(backend.add(b, at('c'), [V4]))).toMatchObject({
      ...{ code: 110, details: expect.stringContaining('unknown conditions there') },
    });
  });

  test('of more than four is refused', async () => {
    const { backend, table } = await setUpPods(a, b, c, d);
    const before = contents(table);
    expect(await failure(backend.add(e, at('4'), [OTHER]))).toMatchObject({ code: 110 });
    expect(contents(table)).toEqual(before);
  });
});
