import { describe, expect, test } from 'bun:test';
import type { NodeReport, PolicyRule } from '../model/node-report.ts';
import { cniNode } from '../testing/cni-node.ts';
import { appliesTo, describeRule, policyRules, type RoutedPacket, STANDARD_RULES } from './policy-rules.ts';

const all: PolicyRule = { priority: 100, table: '2' };

test.each<[string, PolicyRule]>([
  ['100: from all lookup 2', all],
  ['100: not from 10.0.0.0/8 lookup 2', { ...all, inverted: true, source: '10.0.0.0/8' }],
  ['100: from all to 10.1.0.0/16 lookup 2', { ...all, destination: '10.1.0.0/16' }],
  ['100: from all fwmark 0x200/0xf00 lookup 2', { ...all, mark: { value: 0x200, mask: 0xf00 } }],
  ['100: from all iif eth0 oif eth1 lookup 2', { ...all, inputInterface: 'eth0', outputInterface: 'eth1' }],
  ['100: from all ipproto tcp dport 80 lookup 2', { ...all, others: ['ipproto tcp', 'dport 80'] }],
  ['100: from all goto 200', { priority: 100, action: 'goto 200' }],
])('a rule is written %s', (written, rule) => {
  expect(describeRule(rule)).toBe(written);
});

describe('the rules of a family', () => {
  const reportWith = (rules?: NodeReport['network']['rules']) =>
    cniNode({}, { network: rules === undefined ? {} : { rules } });

  test.each<[string, NodeReport, object]>([
    [
      'are those that were reported',
      reportWith({ ipv4: { value: [all] }, ipv6: { value: [] } }),
      { value: [all] },
    ],
    [
      'are the standard ones where there are none',
      reportWith({ ipv4: { value: [] }, ipv6: { value: [all] } }),
      { value: STANDARD_RULES },
    ],
    ['are the standard ones where none are reported', reportWith(), { value: STANDARD_RULES }],
    [
      'are not known where they were not seen',
      reportWith({ ipv4: { unknown: 'no ip' }, ipv6: { value: [] } }),
      { unknown: 'no ip' },
    ],
  ])('%s', (_, report, rules) => {
    expect(policyRules(report, 'ipv4')).toEqual(rules as never);
  });

  test('are of this family', () => {
    const rules = { ipv4: { value: [] }, ipv6: { value: [all] } };
    expect(policyRules(reportWith(rules), 'ipv6')).toEqual({ value: [all] });
  });

  test('begin with the local table and end with the default one', () => {
    expect(STANDARD_RULES.map(describeRule)).toEqual([
      '0: from all lookup local',
      '32766: from all lookup main',
      '32767: from all lookup default',
    ]);
  });
});

describe('a rule applies', () => {
  const link = (name: string, more: object = {}) => ({ name, index: 1, up: true, mtu: 1500, ...more });
  const report = cniNode(
    {},
    {
      network: {
        links: { value: [link('eth0'), link('red', { kind: 'vrf' }), link('eth7', { master: 'red' })] },
      },
    },
  );
  const PACKET = { source: '10.0.0.1', destination: '10.1.0.2', inputInterface: 'eth0', mark: 0x200 };
  const alone = { destination: '10.1.0.2' };
  const V6 = { ...PACKET, source: 'fd00::1', destination: 'fd00:1::2' };

  test.each<[string, Partial<PolicyRule>, RoutedPacket, boolean | undefined]>([
    ['to all', {}, PACKET, true],
    ['to all, whatever is known', {}, alone, true],
    ['to none, inverted', { inverted: true }, PACKET, false],
    ['to its network', { source: '10.0.0.0/24' }, PACKET, true],
    ['to the first address of a network', { source: '10.0.0.1/32' }, PACKET, true],
    ['to the last address of a network', { source: '10.0.0.0/31' }, PACKET, true],
    ['not to the address before a network', { source: '10.0.0.2/31' }, PACKET, false],
    ['not to the address behind a network', { source: '10.0.0.0/32' }, PACKET, false],
    ['perhaps, by a source that is not known', { source: '10.0.0.0/24' }, alone, undefined],
    ['perhaps, by a source that is no network', { source: 'nowhere/8' }, PACKET, undefined],
    [
      'perhaps, to a source that is no address',
      { source: '10.0.0.0/8' },
      { ...PACKET, source: 'x' },
      undefined,
    ],
    ['to a network of IPv6', { source: 'fd00::/64' }, V6, true],
    ['not to one of the other family', { source: '0.0.0.0/0' }, V6, false],
    ['not to one of the other family, either', { source: '::/0' }, PACKET, false],
    ['to a destination', { destination: '10.1.0.0/16' }, PACKET, true],
    ['not to another destination', { destination: '10.2.0.0/16' }, PACKET, false],
    [
      'to a source, not to another destination',
      { source: '10.0.0.0/8', destination: '10.2.0.0/16' },
      PACKET,
      false,
    ],
    ['not, though a source is not known', { source: '10.0.0.0/8', destination: '10.2.0.0/16' }, alone, false],
    ['perhaps, inverted', { source: '10.0.0.0/8', inverted: true }, alone, undefined],
    ['by the way in', { inputInterface: 'eth0' }, PACKET, true],
    ['not by another way in', { inputInterface: 'eth1' }, PACKET, false],
    ['perhaps, by a way in that is not known', { inputInterface: 'eth0' }, alone, undefined],
    ['to what the machine sends', { inputInterface: 'lo' }, { ...PACKET, inputInterface: undefined }, true],
    ['not by a way out', { outputInterface: 'eth0' }, PACKET, false],
    ['by a mark', { mark: { value: 0x200, mask: 0xf00 } }, PACKET, true],
    ['not by another mark', { mark: { value: 0x100, mask: 0xf00 } }, PACKET, false],
    ['by the bits of a mark that count', { mark: { value: 0x0, mask: 0x0ff } }, PACKET, true],
    ['perhaps, by a mark that is not known', { mark: { value: 0, mask: 1 } }, alone, undefined],
    ['perhaps, by what is not followed', { others: ['dport 80'] }, PACKET, undefined],
    ['not to what is in no VRF', { others: ['l3mdev'] }, PACKET, false],
    ['to what is in a VRF', { others: ['l3mdev'] }, { ...PACKET, inputInterface: 'eth7' }, true],
    ['perhaps, by a VRF and a way in that is not known', { others: ['l3mdev'] }, alone, undefined],
    [
      'perhaps, by a VRF and something else',
      { others: ['l3mdev', 'dport 80'] },
      { ...PACKET, inputInterface: 'red' },
      undefined,
    ],
  ])('%s', (_, rule, packet, expected) => {
    expect(appliesTo({ ...all, ...rule }, packet, report)).toBe(expected as boolean);
  });
});
