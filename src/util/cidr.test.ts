import { describe, expect, test } from 'bun:test';
import { parseAddress } from './address.ts';
import {
  contains,
  formatSubnet,
  isWhole,
  networkOf,
  networkRange,
  nthAddress,
  parseCidr,
  parseNetwork,
  parseRange,
  parseSubnet,
  subnetsOverlap,
} from './cidr.ts';
import { formatIp, parseIp } from './ip.ts';

test.each([
  ['10.0.0.5/24', 24],
  ['fd00::5/128', 128],
  ['10.0.0.5/33', undefined],
  ['10.0.0.5/', undefined],
  ['10.0.0.5', undefined],
  ['/24', undefined],
  ['10.0.0.5/24/24', undefined],
  ['10.0.0.5/-1', undefined],
  ['10.0.0.5\n/24', undefined],
])('prefix of %s is %p', (text, prefix) => {
  expect(parseCidr(text)?.prefix).toBe(prefix as number);
});

test.each<[text: string, network: string, whole: boolean]>([
  ['10.1.2.3/32', '10.1.2.3', true],
  ['10.1.2.3/31', '10.1.2.2', false],
  ['10.1.2.3/17', '10.1.0.0', false],
  ['10.1.2.3/0', '0.0.0.0', false],
  ['fd00:1::ffff/127', 'fd00:1::fffe', false],
  ['fd00:1::ffff/20', 'fd00::', false],
  ['fd00:1::ffff/0', '::', false],
  ['fd00:1::ffff', 'fd00:1::ffff', true],
  ['10.1.2.3', '10.1.2.3', true],
])('%s is of the network %s', (text, network, whole) => {
  expect(formatIp(networkOf(parseNetwork(text)!))).toBe(network);
  expect(isWhole(parseNetwork(text)!)).toBe(whole);
});

test.each<[network: string, address: string, expected: boolean]>([
  ['10.1.2.3/24', '10.1.2.0', true],
  ['10.1.2.3/24', '10.1.2.255', true],
  ['10.1.2.3/24', '10.1.3.0', false],
  ['10.1.2.3/24', '10.1.1.255', false],
  ['0.0.0.0/0', '255.255.255.255', true],
  ['0.0.0.0/0', '::1', false],
  ['::/0', '10.0.0.1', false],
  ['::/0', 'ffff::', true],
  ['fd00::8/125', 'fd00::f', true],
  ['fd00::8/125', 'fd00::10', false],
  ['10.0.0.0/8', '::ffff:10.0.0.1', true],
])('%s contains %s: %p', (network, address, expected) => {
  expect(contains(parseCidr(network)!, parseIp(address)!)).toBe(expected);
});

test('networks by their first and last address', () => {
  expect(networkRange(parseAddress('10.1.2.3')!, 8)).toEqual({ from: 0x0a000000, to: 0x0affffff, prefix: 8 });
  expect(networkRange(parseAddress('10.1.2.3')!, 33)).toBeUndefined();
  expect(parseRange('fd00::1/127')).toEqual({ from: 0xfdn << 120n, to: (0xfdn << 120n) + 1n, prefix: 127 });
  expect(parseRange('fd00::1')).toBeUndefined();
});

describe('a subnet', () => {
  test('is named by its first address', () => {
    expect(parseSubnet('10.1.2.3/16')).toEqual({ network: 0x0a010000, prefix: 16 });
    expect(formatSubnet(parseSubnet('10.1.2.3/16')!)).toBe('10.1.0.0/16');
  });

  test.each(['10.1.2.3/33', '10.1.2.3', 'fd00::/8'])('is not %s', (text) => {
    expect(parseSubnet(text)).toBeUndefined();
  });

  test.each<[string, string, boolean]>([
    ['10.0.0.0/8', '10.1.0.0/16', true],
    ['10.1.0.0/16', '10.0.0.0/8', true],
    ['10.1.0.0/16', '10.2.0.0/16', false],
  ])('%s and %s overlap: %p', (a, b, expected) => {
    expect(subnetsOverlap(parseSubnet(a)!, parseSubnet(b)!)).toBe(expected);
  });

  test('has addresses with numbers', () => {
    expect(nthAddress('10.1.2.0/24', 255)).toBe('10.1.2.255');
    expect(() => nthAddress('10.1.2.0/24', 256)).toThrow('10.1.2.0/24: has no address number 256');
  });
});

describe('an address in a network', () => {
  test.each<[string, string, boolean]>([
    ['10.0.0.1', '10.0.0.1/32', true],
    ['10.0.0.1', '10.0.0.0/32', false],
    ['10.0.0.1', '10.0.0.0/31', true],
    ['10.0.0.2', '10.0.0.0/31', false],
    ['10.0.0.2', '0.0.0.0/0', true],
    ['10.127.0.2', '10.0.0.0/9', true],
    ['10.128.0.2', '10.0.0.0/9', false],
    ['11.0.0.1', '10.0.0.0/7', true],
    ['12.0.0.1', '10.0.0.0/7', false],
    ['10.1.0.0', '10.0.0.0/16', false],
    ['10.0.1.0', '10.0.255.0/16', true],
    ['fd00::1', 'fd00::/64', true],
    ['fd00:0:0:1::1', 'fd00::/64', false],
    ['fd00:0:0:1::1', 'fd00::/63', true],
    ['::1', '0.0.0.0/0', false],
    ['10.0.0.1', '::/0', false],
  ])('%s in %s: %p', (address, network, inside) => {
    expect(contains(parseCidr(network)!, parseIp(address)!)).toBe(inside);
  });
});
