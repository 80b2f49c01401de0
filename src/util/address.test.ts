import { describe, expect, test } from 'bun:test';
import {
  formatAddress,
  formatIPv4,
  formatIPv6,
  isLoopbackText,
  parseAddress,
  parseIPv4,
  parseIPv6,
} from './address.ts';

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

describe('addresses of either family', () => {
  test.each([
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['fd00:0:0:1::2', 'fd00:0:0:1::2'],
    ['FD00::A', 'fd00::a'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ])('%s', (text, canonical) => {
    const value = parseAddress(text);
    expect(value).toBeDefined();
    expect(formatAddress(value!)).toBe(canonical);
  });

  test.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '1..2.3',
    ':',
    ':::',
    '1:2',
    '::1::',
    'fd00::g',
    '1.2.3.4/8',
    `${'1:'.repeat(40)}1`,
  ])('%j is invalid', (text) => expect(parseAddress(text)).toBeUndefined());
});

test.each([
  ['127.0.0.1', true],
  ['127.255.0.1', true],
  ['128.0.0.1', false],
  ['::1', true],
  ['0:0::0:1', true],
  ['::2', false],
  ['127.x', false],
])('%s is of the loopback: %p', (text, expected) => expect(isLoopbackText(text)).toBe(expected));
