import { describe, expect, test } from 'bun:test';
import { formatIPv4, formatIPv6, nthAddress, parseIPv4, parseIPv6, parseSubnet } from './address.ts';

describe('IPv4', () => {
  test.each([
    ['0.0.0.0', 0],
    ['10.0.100.1', 0x0a006401],
    ['255.255.255.255', 0xffffffff],
  ])('%s', (text, value) => {
    expect(parseIPv4(text)).toBe(value);
    expect(formatIPv4(value)).toBe(text);
  });

  test.each([
    '',
    '.',
    '1.2.3',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.00',
    ' 1.2.3.4',
    '1.2.3.4/8',
    '::1',
  ])('%j is invalid', (text) => expect(parseIPv4(text)).toBeUndefined());
});

describe('IPv6', () => {
  test.each([
    ['::', '::'],
    ['0:0:0:1::', '0:0:0:1::'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['::ffff:1.2.3.4', '::ffff:102:304'],
  ])('%s is %s', (text, canonical) => {
    const groups = parseIPv6(text);
    expect(groups).toHaveLength(8);
    expect(formatIPv6(groups!)).toBe(canonical);
  });

  test.each([
    '',
    ':',
    ':::',
    '1::2::3',
    '1:2',
    '1:2:3:4:5:6:7::8',
    '1.2.3.4::',
    '::1.2.3.04',
    'fe80::1%eth0',
  ])('%j is invalid', (text) => expect(parseIPv6(text)).toBeUndefined());
});

test('a subnet is named by its first address', () => {
  expect(parseSubnet('10.1.2.3/16')).toEqual({ network: 0x0a010000, prefix: 16 });
  expect(parseSubnet('10.1.2.3/33')).toBeUndefined();
});

test('addresses of a subnet have numbers', () => {
  expect(nthAddress('10.1.2.0/24', 255)).toBe('10.1.2.255');
  expect(() => nthAddress('10.1.2.0/24', 256)).toThrow('10.1.2.0/24: has no address number 256');
});
