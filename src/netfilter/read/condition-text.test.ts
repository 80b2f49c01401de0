import { expect, test } from 'bun:test';
import { conditionText } from './condition-text.ts';
import type { AnyOfMatch, FieldMatch } from './model.ts';
import { readRuleset } from './read-ruleset.ts';

/** The first comparison of a rule of iptables. */
function comparison(match: string, family: 'ip' | 'ip6'): FieldMatch | AnyOfMatch {
  const text = ['*nat', ':PREROUTING ACCEPT [0:0]', `-A PREROUTING ${match} -j ACCEPT`, 'COMMIT', ''].join(
    '\n',
  );
  const { tables } = readRuleset({ iptables: [{ backend: 'iptables-nft', family, text }] });
  const [rule] = tables[0]!.chains.get('PREROUTING')!.rules;
  // A module of ports follows its protocol.
  return rule!.expressions.findLast(({ kind }) => kind === 'match' || kind === 'any-of') as
    | FieldMatch
    | AnyOfMatch;
}

test.each<[match: string, text: string, family?: 'ip' | 'ip6']>([
  ['-s 10.0.0.0/8', 'from 10.0.0.0/8'],
  ['! -s 10.0.0.1/32', 'not from 10.0.0.1'],
  ['-m iprange --src-range 10.0.0.0-10.0.0.255', 'from 10.0.0.0/24'],
  ['-m iprange --src-range 10.0.0.1-10.0.0.255', 'from 10.0.0.1-10.0.0.255'],
  ['-s fd00::/8', 'from fd00::/8', 'ip6'],
  ['-i eth0', 'by eth0'],
  ['-i tun+', 'by tun*'],
  ['-m mark --mark 0x10/0xf0', 'with mark 0x10/0xf0'],
  ['-m mark --mark 0x10', 'with mark 0x10'],
  ['-m connmark --mark 0x80000000/0x80000000', 'with connection mark 0x80000000/0x80000000'],
  ['-m addrtype --src-type LOCAL', 'with source type local'],
  ['-p tcp -m multiport --sports 1,2,3,4,5,6', 'from port 1, 2, 3, 4 and 2 more'],
  ['-p tcp -m multiport --ports 1:9,80', 'from port 1-9, 80 or with destination port 1-9, 80'],
  ['-p tcp -m multiport ! --ports 80', 'neither from port 80 nor with destination port 80'],
])('%s', (match, text, family = 'ip') => {
  expect(conditionText(comparison(match, family))).toBe(text);
});
