import { beforeEach, describe, expect, test } from 'bun:test';
import type { NftFamily } from '../util/family.ts';
import { attachmentChain } from './layout.ts';
import { FakeMachine } from './machine.fake.ts';
import { ReferenceTables } from './nftables-reference.ts';
import { FakeAttachments } from './testing/attachments.fake.ts';

let machine: FakeMachine;
let attachments: FakeAttachments;
let tables: ReferenceTables;
beforeEach(() => {
  machine = new FakeMachine();
  attachments = new FakeAttachments();
  tables = new ReferenceTables(machine, attachments, machine);
});

const field = (protocol: string, name: string, right: unknown) => ({
  match: { op: '==', left: { payload: { protocol, field: name } }, right },
});
const dnat = (addr: unknown, port?: unknown) => ({ dnat: { addr, port } });

/** A rule of the reference: of a container, in one of its chains. */
function rule(
  handle: number,
  comment: string | undefined,
  expr: object[],
  chain = 'hostports',
  family: NftFamily = 'ip',
) {
  machine.foreign.push({ family, handle, chain, ...(comment === undefined ? {} : { comment }), expr });
}

const left = () => machine.foreign.map(({ handle }) => handle);
const KEY = { networkName: 'net', containerId: 'c', ifName: 'eth0' };
const web = [field('tcp', 'dport', 80), dnat('10.0.0.5', 8080)];
const MAPPING = { protocol: 'tcp', hostPort: 80, hostIP: undefined, target: '10.0.0.5:8080' };

describe('a removal', () => {
  test('of nothing starts no program', async () => {
    expect([await tables.remove(KEY), machine.ran]).toEqual([[], []]);
    rule(1, 'd', web);
    rule(2, undefined, web);
    rule(3, 'c', web, 'prerouting');
    expect([await tables.remove(KEY), machine.ran, left()]).toEqual([[], [], [1, 2, 3]]);
  });

  test('of a container, of both families, in one document each', async () => {
    rule(1, 'c', web);
    rule(2, 'd', web);
    rule(
      3,
      'c',
      [field('ip', 'daddr', '10.1.1.1'), field('udp', 'dport', 53), dnat('10.0.0.5', 53)],
      'hostip_hostports',
    );
    rule(4, 'c', [field('ip', 'daddr', '10.0.0.5'), { masquerade: null }], 'masquerading');
    rule(5, 'c', [field('tcp', 'dport', 80), dnat('fd00::5', 8080)], 'hostports', 'ip6');
    rule(6, 'c', web, 'other');
    rule(7, undefined, web);
    expect(await tables.remove(KEY)).toEqual([
      MAPPING,
      { protocol: 'udp', hostPort: 53, hostIP: '10.1.1.1', target: '10.0.0.5:53' },
      { ...MAPPING, target: '[fd00::5]:8080' },
    ]);
    expect(left()).toEqual([2, 6, 7]);
    expect(machine.ran.map(({ argv, options }) => [argv.join(' '), options?.stdin])).toEqual([
      ['nft -j list table ip cni_hostport', undefined],
      [
        'nft -f -',
        'delete rule ip cni_hostport hostports handle 1\ndelete rule ip cni_hostport hostip_hostports handle 3\ndelete rule ip cni_hostport masquerading handle 4\n',
      ],
      ['nft -j list table ip6 cni_hostport', undefined],
      ['nft -f -', 'delete rule ip6 cni_hostport hostports handle 5\n'],
    ]);
    expect(await tables.remove(KEY)).toEqual([]);
  });

  test('spares what leads to another interface', async () => {
    attachments.others.c = ['10.0.0.6', 'fd00::6'];
    rule(1, 'c', web);
    rule(2, 'c', [field('tcp', 'dport', 81), dnat('10.0.0.6', 8080)]);
    rule(3, 'c', [field('ip', 'daddr', '10.0.0.6'), { masquerade: null }], 'masquerading');
    rule(4, 'c', [field('ip', 'daddr', '10.0.0.5'), { masquerade: null }], 'masquerading');
    rule(
      5,
      'c',
      [field('ip', 'daddr', '10.0.0.6'), field('tcp', 'dport', 82), dnat('10.0.0.5', 1)],
      'hostip_hostports',
    );
    rule(6, 'c', [{ masquerade: null }], 'masquerading');
    rule(7, 'c', [field('ip', 'daddr', { set: ['10.0.0.6'] }), { masquerade: null }], 'masquerading');
    rule(8, 'c', [field('tcp', 'dport', 80), dnat('fd00:0::6', 8080)], 'hostports', 'ip6');
    await tables.remove(KEY);
    expect(left()).toEqual([2, 3, 8]);
  });

  test('of nothing but what is spared changes nothing', async () => {
    attachments.others.c = ['10.0.0.5'];
    rule(1, 'c', web);
    expect(await tables.remove(KEY)).toEqual([]);
    expect(machine.ran.map(({ argv }) => argv[1])).toEqual(['-j']);
  });

  test('asks for other interfaces once, and for those on any network', async () => {
    const asked: unknown[] = [];
    attachments.addressesOfOthers = (...args) => {
      asked.push(args);
      return new Set();
    };
    rule(1, 'c', web);
    rule(2, 'c', web);
    await tables.remove(KEY);
    expect(asked).toEqual([[KEY, 'any']] as unknown[]);
  });

  test.each(['list', 'delete'])('that fails to %s says so', async (step) => {
    rule(1, 'c', web);
    if (step === 'list') machine.unusable.add('nft');
    else {
      const run = machine.run.bind(machine);
      machine.run = async (argv, options) =>
        argv[1] === '-f' ? { code: 1, stdout: '', stderr: 'no nft' } : run(argv, options);
    }
    await expect(tables.remove(KEY)).rejects.toMatchObject({
      ...{
        code: 999,
        message: 'mappings of the reference plugin not removed',
        details: expect.stringContaining('no nft'),
      },
    });
  });
});

describe('a GC', () => {
  test('removes what is gone and not kept', async () => {
    Object.assign(attachments.sandboxes, { gone: 'gone', alive: 'alive', kept: 'gone' });
    const asked: unknown[] = [];
    const state = attachments.sandboxState.bind(attachments);
    attachments.sandboxState = (chain, owner) => {
      asked.push([chain, owner]);
      return state(chain, owner);
    };
    for (const [i, container] of ['gone', 'alive', 'kept', 'unknown'].entries()) rule(i, container, web);
    expect(await tables.collect('net', [{ networkName: 'net', containerId: 'kept' }])).toEqual([MAPPING]);
    expect(left()).toEqual([1, 2, 3]);
    expect(asked[0]).toEqual([attachmentChain('net', 'gone'), { networkName: 'net', containerId: 'gone' }]);
  });
});

describe('where mappings lead', () => {
  test('of IPv4, of every container', async () => {
    expect([await tables.targets(), machine.ran]).toEqual([[], []]);
    rule(1, undefined, web, 'other');
    expect([await tables.targets(), machine.ran]).toEqual([[], []]);
    rule(2, 'c', web);
    rule(3, 'd', web, 'hostports', 'ip6');
    machine.foreign.shift();
    expect(await tables.targets()).toEqual(['10.0.0.5:8080']);
  });

  /** A rule, where it leads, and the mapping that is known when it is removed. */
  test.each<[string, object[], string[], object[]]>([
    ['a mapping', web, ['10.0.0.5:8080'], [MAPPING]],
    [
      'of one address',
      [field('ip', 'daddr', '10.1.1.1'), ...web],
      ['10.0.0.5:8080'],
      [{ ...MAPPING, hostIP: '10.1.1.1' }],
    ],
    ['of several addresses', [field('ip', 'daddr', { set: [] }), ...web], ['10.0.0.5:8080'], [MAPPING]],
    ['of a source port', [field('tcp', 'sport', 80), dnat('10.0.0.5', 8080)], ['10.0.0.5:8080'], []],
    [
      'of a range of ports',
      [field('tcp', 'dport', { range: [1, 2] }), dnat('10.0.0.5', 8080)],
      ['10.0.0.5:8080'],
      [],
    ],
    ['without a port', [dnat('10.0.0.5', 8080)], ['10.0.0.5:8080'], []],
    [
      'to the same port',
      [field('tcp', 'dport', 80), dnat('10.0.0.5')],
      ['10.0.0.5'],
      [{ ...MAPPING, target: '10.0.0.5' }],
    ],
    [
      'to the same port of IPv6',
      [field('tcp', 'dport', 80), dnat('fd00::5')],
      ['fd00::5'],
      [{ ...MAPPING, target: 'fd00::5' }],
    ],
    [
      'to a range of ports',
      [field('tcp', 'dport', 80), dnat('10.0.0.5', { range: [80, 90] })],
      ['10.0.0.5:80-90'],
      [{ ...MAPPING, target: '10.0.0.5:80-90' }],
    ],
    [
      'to ports from a map',
      [field('tcp', 'dport', 80), dnat('10.0.0.5', { map: {} })],
      ['{"addr":"10.0.0.5","port":{"map":{}}}'],
      [{ ...MAPPING, target: '{"addr":"10.0.0.5","port":{"map":{}}}' }],
    ],
    [
      'into a map',
      [field('tcp', 'dport', 80), dnat({ map: {} })],
      ['{"addr":{"map":{}}}'],
      [{ ...MAPPING, target: '{"addr":{"map":{}}}' }],
    ],
    ['to nothing', [field('tcp', 'dport', 80), { dnat: null }], ['null'], [{ ...MAPPING, target: 'null' }]],
    ['before its port', [dnat('10.0.0.5', 1), field('tcp', 'dport', 80)], ['10.0.0.5:1'], []],
    [
      'by something else',
      [{ counter: null }, { match: { op: '==', left: { meta: {} }, right: 80 } }, ...web],
      ['10.0.0.5:8080'],
      [MAPPING],
    ],
    ['without a translation', [field('tcp', 'dport', 80)], [], []],
  ])('%s', async (_name, expr, targets, removed) => {
    rule(1, 'c', expr);
    expect(await tables.targets()).toEqual(targets);
    expect(await tables.remove(KEY)).toEqual(removed as never);
  });
});
