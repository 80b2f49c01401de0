import { describe, expect, test } from 'bun:test';
import { derBits, derOid, derParts, derSequence, derTime, derUtf8, derValue } from './der.ts';

const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');

// Written by `openssl asn1parse -genstr`.
test.each<[string, Buffer, string]>([
  ['an identifier', derOid('1.2.840.10045.4.3.2'), '06082a8648ce3d040302'],
  ['an identifier of X.500', derOid('2.5.29.35'), '0603551d23'],
  ['bits', derBits(Buffer.from([0x86]), 1), '03020186'],
  ['a text', derUtf8('ä'), '0c02c3a4'],
  ['a time before 2050', derTime(new Date('2049-12-31T23:59:59.999Z')), '170d3439313233313233353935395a'],
  ['a time from 2050 on', derTime(new Date('2050-01-01T00:00:00Z')), '180f32303530303130313030303030305a'],
  ['a length of a byte', derValue(4, Buffer.alloc(127)).subarray(0, 2), '047f'],
  ['a length of two bytes', derValue(4, Buffer.alloc(128)).subarray(0, 3), '048180'],
  ['a length of three bytes', derValue(4, Buffer.alloc(256)).subarray(0, 4), '04820100'],
])('%s', (_, value, want) => expect(hex(value)).toBe(want));

test('what is longer than a certificate is refused', () => {
  expect(() => derValue(4, Buffer.alloc(0x10000))).toThrow('longer');
});

describe('the parts of a value', () => {
  test('are what it was made of, whatever their length', () => {
    const parts = [derUtf8('a'), derSequence(), derUtf8('b'.repeat(300))];
    expect(derParts(derSequence(...parts))).toEqual(parts);
    expect(derParts(derSequence())).toEqual([]);
  });

  test.each([
    ['an empty text', ''],
    ['no length', '30'],
    ['an indefinite length', '30800000'],
    ['a length that is cut off', '308201'],
    ['content that is cut off', '3003020101'.slice(0, 8)],
    ['a part that is longer than its whole', '3003020401'],
  ])('are refused of %s', (_, text) => {
    expect(() => derParts(Buffer.from(text, 'hex'))).toThrow('malformed DER');
  });
});
