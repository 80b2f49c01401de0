import { describe, expect, test } from 'bun:test';
import { type Rule, readRuleset } from '../../netfilter/index.ts';
import { mapped, type Otherwise } from '../testing/mapped-node.ts';
import { endEvidence, endOf, namesDestination } from './trace-end.ts';
import { traceFrom } from './traces.ts';

const DROP = '-A FORWARD -p tcp -j DROP';
const REJECT = '-A FORWARD -p tcp -j REJECT --reject-with icmp-port-unreachable';
/** A chain of nft's own that drops all that is forwarded, by its policy. */
const POLICY: Otherwise['report'] = ({ netfilter }) => {
  const chain = {
    family: 'inet',
    table: 'fw',
    name: 'fwd',
    handle: 1,
    type: 'filter',
    hook: 'forward',
    prio: 10,
  };
  const nftables = [
    { table: { family: 'inet', name: 'fw', handle: 1 } },
    { chain: { ...chain, policy: 'drop' } },
  ];
  netfilter.nft = { value: JSON.stringify({ nftables }) };
};

describe('what ends a packet', () => {
  test.each<[string, Otherwise, [verdict: string, chain: string, where: string, saw: string] | undefined]>([
    ['is nothing where it gets through', {}, undefined],
    [
      'is the rule that drops it',
      { filter: [DROP] },
      ['drop', 'FORWARD', 'iptables-nft filter FORWARD', DROP],
    ],
    [
      'is the rule that rejects it',
      { filter: [REJECT] },
      ['reject', 'FORWARD', 'iptables-nft filter FORWARD', REJECT],
    ],
    [
      'is the rule of a chain that leads off from that of the hook',
      { filter: ['-A FORWARD -j MY-CHAIN', '-A MY-CHAIN -j DROP'] },
      ['drop', 'FORWARD', 'iptables-nft filter MY-CHAIN', '-A MY-CHAIN -j DROP'],
    ],
    ['is the policy of a chain', { report: POLICY }, ['drop', 'fwd', 'nft fw fwd', 'policy drop of fwd']],
    [
      'is not known where the rule is not understood',
      { filter: ['-A FORWARD -m set --match-set x src -j DROP'] },
      undefined,
    ],
    [
      'is nothing where there is no route',
      {
        report: ({ network }) => {
          if ('value' in network.routes) network.routes.value = network.routes.value.slice(0, 1);
        },
        before: ['-A PREROUTING -p tcp -j DNAT --to-destination 192.0.2.1'],
      },
      undefined,
    ],
  ])('%s', (_, otherwise, expected) => {
    const { path, scene } = mapped(otherwise);
    const trace = traceFrom('outside', path, scene);
    const end = 'value' in trace ? endOf(trace.value) : undefined;
    if (expected === undefined) {
      expect(end).toBeUndefined();
      return;
    }
    const [verdict, chain, where, saw] = expected;
    expect(end).toMatchObject({ verdict, base: { name: chain } });
    expect(end!.rule?.text).toBe(saw.startsWith('policy') ? undefined : (saw as never));
    expect(endEvidence(end!)).toEqual({ kind: 'rule', where, saw });
  });
});

describe('a rule is about one destination', () => {
  const ruleOf = (match: string): Rule => {
    const text = `*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD ${match} -j DROP\nCOMMIT\n`;
    const { tables } = readRuleset({ iptables: [{ backend: 'iptables-nft', family: 'ip', text }] });
    return tables.flatMap(({ chains }) => [...chains.values()]).flatMap(({ rules }) => rules)[0]!;
  };

  test.each<[string, boolean]>([
    ['-d 10.0.0.1/32', true],
    ['-p tcp -m tcp --dport 80', true],
    ['-p tcp -m multiport --dports 80,81', true],
    ['-p tcp -m multiport --ports 80', true],
    ['-m conntrack --ctorigdst 10.0.0.1', true],
    ['-p tcp -m conntrack --ctorigdstport 80', true],
    ['-s 10.0.0.1/32', false],
    ['-p tcp -m tcp --sport 80', false],
    ['-p tcp', false],
    ['-i eth0', false],
    ['', false],
  ])('%s: %p', (match, expected) => {
    expect(namesDestination(ruleOf(match))).toBe(expected);
  });

  test('not one that is not there', () => {
    expect(namesDestination(undefined)).toBe(false);
  });
});
