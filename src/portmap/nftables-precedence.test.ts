import { expect, test } from 'bun:test';
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
const at = (right: string, op = '=='): Statement => ({
  match: { op, left: { payload: { protocol: 'ip', field: 'daddr' } }, right },
});

function ruleset(rules: [string, Statement[]][], prio = -200, hook = 'prerouting'): NftRuleset {
  const where = { family: 'ip', table: 'other' };
  return {
    nftables: [
      { chain: { ...where, name: 'base', type: 'nat', hook, prio } },
      ...rules.map(([chain, expr]) => ({ rule: { ...where, chain, expr } })),
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
  ['who comes later', ruleset([['base', [dport(80), to('10.0.0.9')]]], -100), false],
])('a table that takes %s', (_what, rules, taken) => {
  const packet = { family: 'ipv4', protocol: 'tcp', port: 80, address: '10.1.1.1' } as const;
  expect(takenBefore(rules, -101, packet) !== undefined).toBe(taken);
  expect(takenBefore(rules, -101, { ...packet, family: 'ipv6' })).toBeUndefined();
});
