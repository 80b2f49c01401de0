import { describe, expect, test } from 'bun:test';
import { validateNftConditions } from './nftables-conditions.ts';

describe('conditions of nftables are taken', () => {
  test.each<[unknown, string]>([
    [undefined, ''],
    [null, ''],
    [[], ''],
    [['ip', 'saddr', '10.0.0.0/8'], 'ip saddr 10.0.0.0/8'],
    [['ip saddr != 10.0.0.0/8'], 'ip saddr != 10.0.0.0/8'],
    [
      ['ip saddr', '{ 10.0.0.1, 10.1.0.0/16,10.2.0.1-10.2.0.9 }'],
      'ip saddr { 10.0.0.1 , 10.1.0.0/16 , 10.2.0.1-10.2.0.9 }',
    ],
    [['iifname "eth0" tcp sport 1024-65535'], 'iifname "eth0" tcp sport 1024-65535'],
    [['iifname != lo', 'meta mark and 0xff == 0x1'], 'iifname != lo meta mark and 0xff == 0x1'],
    [['ct', 'state', 'new,related'], 'ct state new , related'],
    [['fib saddr type local'], 'fib saddr type local'],
  ])('%j', (value, words) => {
    expect(validateNftConditions(value, 'conditionsV4').join(' ')).toBe(words);
  });
  test('IPv6 ones for IPv6', () => {
    const words = ['ip6', 'daddr', '!=', 'fd00::/8'];
    expect(validateNftConditions(words, 'conditionsV6')).toEqual(words);
  });
});

describe('refused with error 7, naming field and word', () => {
  test.each<[unknown, string]>([
    ['ip saddr 10.0.0.1', 'conditionsV4 must be a list of words'],
    [[1], 'conditionsV4[0] must be a word, is 1'],
    [['ip saddr 10.0.0.1\nflush ruleset'], 'must not have control characters'],
    [['ip saddr 10.0.0.1; flush ruleset'], 'must not have control characters, ;'],
    [['ip saddr @others'], 'must not have control characters'],
    [['ip saddr $x'], 'must not have'],
    [['ip saddr 10.0.0.1 # x'], 'must not have'],
    [['ip saddr 10.0.0.1 accept'], 'unknown field "accept"'],
    [['ip saddr 10.0.0.1', 'dnat to 10.0.0.2'], 'unknown field "dnat"'],
    [['jump input'], 'unknown field "jump"'],
    [['ip saddr'], 'ends where a value is expected'],
    [['ip saddr !='], 'ends where a value is expected'],
    [['ip saddr 10.0.0.300'], 'must have an IPv4 address here, is "10.0.0.300"'],
    [['ip saddr fd00::1'], 'must have an IPv4 address'],
    [['ip6 saddr fd00::1'], 'conditionsV4 must match only ipv4, is "ip6 saddr"'],
    [['ip saddr { 10.0.0.1'], 'has a set without a closing }'],
    [['ip saddr 10.0.0.1 }'], 'unknown field'],
    [['tcp sport 70000'], 'must have a port here'],
    [['iifname "eth0 accept"'], 'must have an interface here'],
    [['iifname "eth0'], 'must have an interface here'],
    [['iifname accept'], 'must have an interface here'],
    [['ct state new accept'], 'unknown field "accept"'],
    [['ct state return'], 'must have a name here, is "return"'],
    [['meta mark set 1'], 'must have a number here, is "set"'],
    [['-s', '10.0.0.1'], 'unknown field "-s"'],
    [['constructor'], 'unknown field "constructor"'],
  ])('%j', (value, message) => {
    let thrown: unknown;
    try {
      validateNftConditions(value, 'conditionsV4');
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 7 });
    expect((thrown as Error).message).toContain(message);
  });
});
