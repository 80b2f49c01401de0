import { describe, expect, test } from 'bun:test';
import type { NftRuleset, PrintedRule } from '../netfilter/nft/nft.ts';
import { takenBefore } from './nftables-precedence.ts';

type Statement = PrintedRule['expr'][number];

const dport = (right: unknown, op = '==', protocol = 'tcp'): Statement => ({
  match: { op, left: { payload: { protocol, field: 'dport' } }, right },
});
const to = (addr: unknown): Statement => ({ dnat: { addr, port: 1 } });
const local: Statement = {
  match: { op: '==', left: { fib: { result: 'type', flags: ['daddr'] } }, right: 'local' },
};
const from: Statement = {
  match: { op: '==', left: { payload: { protocol: 'ip', field: 'saddr' } }, right: '10.0.0.1' },
};
const field = (protocol: string, name: string, right: unknown): Statement => ({
  match: { op: '==', left: { payload: { protocol, field: name } }, right },
});
const meta = (key: string, right: unknown): Statement => ({
  match: { op: '==', left: { meta: { key } }, right },
});
const fib = (flags: string[], result: string, right: string, op = '=='): Statement => ({
  match: { op, left: { fib: { result, flags } }, right },
});
const at = (right: unknown, op = '=='): Statement => ({
  match: { op, left: { payload: { protocol: 'ip', field: 'daddr' } }, right },
});

function ruleset(rules: [string, Statement[]][], prio = -200, hook = 'prerouting'): NftRuleset {
  const where = { family: 'ip', table: 'other' };
  return {
    nftables: [
      { chain: { ...where, name: 'base', type: 'nat', hook, prio } },
      ...rules.map(([chain, expr], i) => ({ rule: { ...where, chain, handle: i, expr } })),
    ],
  };
}

test.each<[string, NftRuleset, boolean]>([
  ['the same port', ruleset([['base', [dport(80), to('10.0.0.9')]]]), true],
  ['a range with it', ruleset([['base', [dport({ range: [1, 100] }), to('10.0.0.9')]]]), true],
  ['a set with it', ruleset([['base', [dport({ set: [79, 80] }), to('10.0.0.9')]]]), true],
  ['whatever goes to this machine', ruleset([['base', [local, { redirect: { port: 1 } }]]]), true],
  [
    'every other port but one',
    ruleset([['base', [dport(81, '!='), { counter: null }, to('10.0.0.9')]]]),
    true,
  ],
  [
    'a chain that is jumped to',
    ruleset([
      ['base', [local, { jump: { target: 'x' } }]],
      ['x', [dport(80), { drop: null }]],
    ]),
    true,
  ],
  ['packets from this machine', ruleset([['base', [dport(80), to('10.0.0.9')]]], -200, 'output'), true],
  ['its own address', ruleset([['base', [at('10.1.1.1'), dport(80), to('10.0.0.9')]]]), true],
  ['another address', ruleset([['base', [at('10.1.1.2'), dport(80), to('10.0.0.9')]]]), false],
  ['another port', ruleset([['base', [dport(81), to('10.0.0.9')]]]), false],
  ['another protocol', ruleset([['base', [dport(80, '==', 'udp'), to('10.0.0.9')]]]), false],
  ['some sources', ruleset([['base', [from, dport(80), to('10.0.0.9')]]]), false],
  ['who is in a map', ruleset([['base', [to({ map: { key: {}, data: '@m' } })]]]), false],
  ['what a limit lets through', ruleset([['base', [{ limit: { rate: 1 } }, to('10.0.0.9')]]]), false],
  [
    'what was let through before',
    ruleset([
      ['base', [dport(80), { accept: null }]],
      ['base', [dport(80), to('10.0.0.9')]],
    ]),
    false,
  ],
  [
    'what returned before',
    ruleset([
      ['base', [{ goto: { target: 'x' } }]],
      ['x', [{ return: null }]],
      ['base', [dport(80), to('10.0.0.9')]],
    ]),
    false,
  ],
  ['chains that lead to one another', ruleset([['base', [{ jump: { target: 'base' } }]]]), false],
  ['what is not in a named set', ruleset([['base', [dport('@ports', '!='), to('10.0.0.9')]]]), false],
  ['what does not go to a named set', ruleset([['base', [at('@addresses', '!='), to('10.0.0.9')]]]), false],
  [
    'what does not go to a network',
    ruleset([['base', [at({ prefix: { addr: '10.0.0.0', len: 8 } }, '!='), to('10.0.0.9')]]]),
    false,
  ],
  [
    'what does not go to one of several networks',
    ruleset([
      ['base', [at({ set: ['10.9.9.9', { prefix: { addr: '10.0.0.0', len: 8 } }] }, '!='), to('10.0.0.9')]],
    ]),
    false,
  ],
  [
    'what goes to one of several networks',
    ruleset([
      ['base', [at({ set: [{ prefix: { addr: '10.0.0.0', len: 8 } }, '10.1.1.1'] }), to('10.0.0.9')]],
    ]),
    true,
  ],
  [
    'what does not go to some addresses',
    ruleset([['base', [at({ range: ['10.0.0.1', '10.2.0.0'] }, '!='), to('10.0.0.9')]]]),
    false,
  ],
  ['what is not something that is no value', ruleset([['base', [dport(null, '!='), to('10.0.0.9')]]]), false],
  ['the first of a range', ruleset([['base', [dport({ range: [80, 90] }), to('10.0.0.9')]]]), true],
  ['the last of a range', ruleset([['base', [dport({ range: [70, 80] }), to('10.0.0.9')]]]), true],
  ['ports below', ruleset([['base', [dport({ range: [70, 79] }), to('10.0.0.9')]]]), false],
  ['ports above', ruleset([['base', [dport({ range: [81, 90] }), to('10.0.0.9')]]]), false],
  [
    'a set with a range',
    ruleset([['base', [dport({ set: [1, { range: [70, 90] }] }), to('10.0.0.9')]]]),
    true,
  ],
  ['other ports', ruleset([['base', [dport({ set: [79, 81] }), to('10.0.0.9')]]]), false],
  ['none of other ports', ruleset([['base', [dport({ set: [79, 81] }, '!='), to('10.0.0.9')]]]), true],
  ['a named set', ruleset([['base', [dport('@ports'), to('10.0.0.9')]]]), false],
  ['something that is no value', ruleset([['base', [dport(null), to('10.0.0.9')]]]), false],
  ['something else that is no value', ruleset([['base', [dport({}), to('10.0.0.9')]]]), false],
  ['a range of addresses', ruleset([['base', [at({ range: [1, 90] }), to('10.0.0.9')]]]), false],
  ['lower ports', ruleset([['base', [dport(81, '<'), to('10.0.0.9')]]]), false],
  ['one of a list', ruleset([['base', [dport(80, 'in'), to('10.0.0.9')]]]), true],
  ['any transport', ruleset([['base', [dport(80, '==', 'th'), to('10.0.0.9')]]]), true],
  ['source ports', ruleset([['base', [field('tcp', 'sport', 80), to('10.0.0.9')]]]), false],
  ['its protocol', ruleset([['base', [field('ip', 'protocol', 'tcp'), to('10.0.0.9')]]]), true],
  [
    'another protocol in the header',
    ruleset([['base', [field('ip', 'protocol', 'udp'), to('10.0.0.9')]]]),
    false,
  ],
  ['its next header', ruleset([['base', [field('ip6', 'nexthdr', 'tcp'), to('10.0.0.9')]]]), true],
  ['its transport', ruleset([['base', [meta('l4proto', 'tcp'), to('10.0.0.9')]]]), true],
  [
    'one of its transports',
    ruleset([['base', [meta('l4proto', { set: ['udp', 'tcp'] }), to('10.0.0.9')]]]),
    true,
  ],
  ['another transport', ruleset([['base', [meta('l4proto', 'udp'), to('10.0.0.9')]]]), false],
  ['its family', ruleset([['base', [meta('nfproto', 'ipv4'), to('10.0.0.9')]]]), true],
  ['another family', ruleset([['base', [meta('nfproto', 'ipv6'), to('10.0.0.9')]]]), false],
  ['a mark', ruleset([['base', [meta('mark', 1), to('10.0.0.9')]]]), false],
  [
    'what does not go to this machine',
    ruleset([['base', [fib(['daddr'], 'type', 'local', '!='), to('10.0.0.9')]]]),
    false,
  ],
  [
    'what comes from this machine',
    ruleset([['base', [fib(['saddr'], 'type', 'local'), to('10.0.0.9')]]]),
    false,
  ],
  ['what a route is for', ruleset([['base', [fib(['daddr'], 'oif', 'local'), to('10.0.0.9')]]]), false],
  ['not another address', ruleset([['base', [at('10.1.1.2', '!='), to('10.0.0.9')]]]), true],
  [
    'all that it notes',
    ruleset([['base', [{ counter: null }, { log: null }, { mangle: {} }, { redirect: null }]]]),
    true,
  ],
  ['all that it refuses', ruleset([['base', [{ reject: null }]]]), true],
  ['what is only noted', ruleset([['base', [{ counter: null }]]]), false],
  ['nothing', ruleset([['base', []]]), false],
  ['an empty statement', ruleset([['base', [{}]]]), false],
  [
    'a later rule',
    ruleset([
      ['base', [{ counter: null }]],
      ['base', [{ drop: null }]],
    ]),
    true,
  ],
  [
    'what an earlier chain jumped over',
    ruleset([
      ['base', [{ jump: { target: 'x' } }]],
      ['x', [{ return: null }]],
      ['base', [{ drop: null }]],
    ]),
    true,
  ],
  [
    'what a chain for good takes',
    ruleset([
      ['base', [{ goto: { target: 'x' } }]],
      ['x', [{ drop: null }]],
    ]),
    true,
  ],
  [
    'what a chain is not entered for',
    ruleset([
      ['base', [dport(81), { jump: { target: 'x' } }]],
      ['x', [{ drop: null }]],
    ]),
    false,
  ],
  ['a chain that is not entered', ruleset([['other', [{ drop: null }]]]), false],
  ['packets that go through it', ruleset([['base', [{ drop: null }]]], -200, 'forward'), false],
  ['just before', ruleset([['base', [{ drop: null }]]], -102), true],
  ['at the same time', ruleset([['base', [{ drop: null }]]], -101), false],
  ['who comes later', ruleset([['base', [dport(80), to('10.0.0.9')]]], -100), false],
])('a table that takes %s', (_what, rules, taken) => {
  const packet = { family: 'ipv4', protocol: 'tcp', port: 80, address: '10.1.1.1' } as const;
  expect(takenBefore(rules, -101, packet) !== undefined).toBe(taken);
  expect(takenBefore(rules, -101, { ...packet, family: 'ipv6' })).toBeUndefined();
});

describe('chains that are looked at', () => {
  const packet = { family: 'ipv4', protocol: 'tcp', port: 80, address: undefined } as const;
  const chain = (fields: object) => ({
    chain: { family: 'ip', table: 't', name: 'base', type: 'nat', hook: 'prerouting', prio: -200, ...fields },
  });
  const dropping = (fields: object = {}) => ({
    rule: { family: 'ip', table: 't', chain: 'base', handle: 1, expr: [{ drop: null }], ...fields },
  });
  const taken = (...nftables: NftRuleset['nftables']) => takenBefore({ nftables }, -101, packet);
  const taker = (chain: string, of = 'ip t') => `[{"drop":null}] in chain ${chain} of ${of}`;

  test.each<[string, NftRuleset['nftables'], string | undefined]>([
    ['of its family', [chain({}), dropping()], taker('base')],
    ['of both families', [chain({ family: 'inet' }), dropping({ family: 'inet' })], taker('base', 'inet t')],
    ['of the other family', [chain({ family: 'ip6' }), dropping({ family: 'ip6' })], undefined],
    ['of type filter', [chain({ type: 'filter' }), dropping()], undefined],
    ['without a hook', [chain({ hook: undefined }), dropping()], undefined],
    ['without a priority', [chain({ prio: undefined }), dropping()], undefined],
    ['with rules of another table', [chain({}), dropping({ table: 'u' })], undefined],
    ['with rules of another family', [chain({}), dropping({ family: 'inet' })], undefined],
    [
      'in order of priority',
      [
        chain({ name: 'b', prio: -150 }),
        dropping({ chain: 'b' }),
        chain({ name: 'a' }),
        dropping({ chain: 'a' }),
      ],
      taker('a'),
    ],
    [
      'one after the other',
      [chain({ name: 'a' }), chain({ name: 'b' }), dropping({ chain: 'b' })],
      taker('b'),
    ],
    [
      'by addresses that are not known',
      [chain({}), dropping({ expr: [at('10.1.1.1'), { drop: null }] })],
      undefined,
    ],
    ['without anything', [], undefined],
  ])('%s', (_name, listed, by) => expect(taken(...listed)).toBe(by as string));

  test('IPv6', () => {
    const nftables = [chain({ family: 'ip6' }), dropping({ family: 'ip6' })];
    expect(takenBefore({ nftables }, -101, { ...packet, family: 'ipv6' })).toBe(taker('base', 'ip6 t'));
    const both = [
      chain({ family: 'inet' }),
      dropping({ family: 'inet', expr: [meta('nfproto', 'ipv6'), { drop: null }] }),
    ];
    expect(takenBefore({ nftables: both }, -101, { ...packet, family: 'ipv6' })).toContain('inet t');
  });
});
