import { describe, expect, test } from 'bun:test';
import { areDisjoint, type Conditions } from './disjoint.ts';
import { validateNftConditions } from './nftables-conditions.ts';

const nft = (text: string): Conditions => ({
  language: 'nftables',
  words: validateNftConditions([text], text.includes('ip6') ? 'conditionsV6' : 'conditionsV4'),
});
const iptables = (text: string): Conditions => ({ language: 'iptables', words: text.split(' ') });

describe('nothing in common, whichever is asked first', () => {
  test.each<[Conditions, Conditions]>([
    [nft('ip saddr 10.0.0.0/8'), nft('ip saddr 192.168.0.0/16')],
    [nft('ip saddr 10.0.0.0/8'), nft('ip saddr != 10.0.0.0/8')],
    [nft('ip saddr 10.1.0.0/16'), nft('ip saddr != { 10.0.0.0/8, 172.16.0.0/12 }')],
    [nft('ip saddr { 10.0.0.1, 10.0.0.3-10.0.0.5 }'), nft('ip saddr { 10.0.0.2, 10.0.0.6 }')],
    [nft('ip6 saddr fd00::/16'), nft('ip6 saddr fd01::/16')],
    [nft('ct state new ip daddr 10.0.0.1'), nft('ip daddr 10.0.0.2 counter')],
    [nft('iifname "eth0"'), nft('meta iif eth1')],
    [nft('iifname { eth0, eth1 }'), nft('iifname != { eth0, eth1, eth2 }')],
    [nft('tcp sport 1-1023'), nft('th sport 1024-65535')],
    [nft('mark 1'), nft('meta mark 0x2')],
    [iptables('-s 10.0.0.0/8'), iptables('! -s 10.0.0.0/8')],
    [iptables('-i eth0'), iptables('-i eth1')],
    [iptables('-m set --match-set x src -d 10.0.0.1'), iptables('-d 10.0.0.2,10.0.0.3')],
    [iptables('-s 10.0.0.0/8'), nft('ip saddr 11.0.0.0/8')],
    [iptables('-A CHAIN -s 10.0.0.1/32 -p tcp -m multiport --dports 80 -j X'), iptables('-s 10.0.0.2')],
  ])('%j %j', (a, b) => {
    expect([areDisjoint(a, b), areDisjoint(b, a)]).toEqual([true, true]);
  });
});

describe('something in common, or it cannot be known', () => {
  test.each<[Conditions, Conditions]>([
    [nft('ip saddr 10.0.0.0/8'), nft('ip saddr 10.1.0.0/16')],
    [nft('ip saddr 10.0.0.0/8'), nft('ip daddr 192.168.0.0/16')],
    [nft('ip saddr != 10.0.0.1'), nft('ip saddr != 10.0.0.2')],
    [nft('ip saddr 10.0.0.0/8'), nft('ip saddr != 10.1.0.0/16')],
    [nft('iifname "eth*"'), nft('iifname "wlan0"')],
    [nft('iifname eth0'), nft('iifname != eth1')],
    [nft('tcp sport < 1024'), nft('tcp sport 2000')],
    [nft('meta mark & 1 1'), nft('meta mark 2')],
    [nft('ct state new'), nft('ct state established')],
    [nft('meta hour "01:00"-"02:00"'), nft('meta hour "03:00"-"04:00"')],
    [iptables('-i eth+'), iptables('-i wlan0')],
    [iptables('-s 10.0.0.0/255.0.0.0'), iptables('-s 11.0.0.0/8')],
    [iptables('-s'), iptables('-s 11.0.0.0/8')],
    [iptables('-m mark --mark 1'), iptables('-m mark --mark 2')],
    [{ language: 'nftables', words: [] }, nft('ip saddr 10.0.0.0/8')],
    [
      { language: 'iptables', words: [] },
      { language: 'iptables', words: [] },
    ],
  ])('%j %j', (a, b) => {
    expect([areDisjoint(a, b), areDisjoint(b, a)]).toEqual([false, false]);
  });
});
