import { describe, expect, test } from 'bun:test';
import { formatIp, ipOf, isUnspecified, numberOf, parseIp } from './ip.ts';

describe('addresses', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['FD00::00A1', 'fd00::a1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
  ])('%s is %s', (text, canonical) => {
    expect(formatIp(parseIp(text)!)).toBe(canonical);
  });

  test.each([
    '',
    'x',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '10.0.0.1 ',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '12345::',
    'fe80::1%eth0',
    '::1.2.3',
    '1.2.3.4::',
  ])('%p is invalid', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  test('unspecified are two', () => {
    expect(['0.0.0.0', '::', '0.0.0.1', '::1'].map((text) => isUnspecified(parseIp(text)!))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  test.each([
    ['255.0.0.1', 0xff000001],
    ['::', 0n],
    ['fd00::a1', (0xfdn << 120n) + 0xa1n],
  ])('%s is a number', (text, value) => {
    expect(numberOf(parseIp(text)!)).toBe(value);
    expect(ipOf(value)).toEqual(parseIp(text)!);
  });
});
