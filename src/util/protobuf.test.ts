import { expect, test } from 'bun:test';
import {
  bool,
  bytes,
  choice,
  int,
  message,
  nested,
  repeated,
  repeatedInt,
  repeatedString,
  string,
  stringMap,
} from './protobuf.ts';

const inner = message({ name: string(1), attempt: int(4) });
const everything = message({
  text: string(1),
  number: int(2),
  flag: bool(3),
  raw: bytes(4),
  kind: choice(5, ['first', 'second']),
  one: nested(6, inner),
  words: repeatedString(7),
  numbers: repeatedInt(8),
  many: repeated(9, inner),
  labels: stringMap(16),
});

test.each([
  ['a string', { text: 'hé' }, '0a0368c3a9'],
  ['a small integer', { number: 150 }, '109601'],
  ['a negative integer takes ten bytes', { number: -1 }, '10ffffffffffffffffff01'],
  ['an integer of 33 bits', { number: 2 ** 32 + 1 }, '108180808010'],
  ['the largest safe integer', { number: Number.MAX_SAFE_INTEGER }, '10ffffffffffffff0f'],
  ['true', { flag: true }, '1801'],
  ['a default is not written', { flag: false, text: '', number: 0, kind: 'first' as const }, ''],
  ['bytes', { raw: Uint8Array.of(0, 255) }, '220200ff'],
  ['an enum by name', { kind: 'second' as const }, '2801'],
  ['an empty message is present', { one: {} }, '3200'],
  ['a nested message', { one: { name: 'a', attempt: 2 } }, '32050a01612002'],
  ['repeated strings keep empty ones', { words: ['a', ''] }, '3a01613a00'],
  ['packed integers', { numbers: [1, 300] }, '420301ac02'],
  ['repeated messages', { many: [{ name: 'a' }, {}] }, '4a030a01614a00'],
  ['a map, field number above 15', { labels: { k: 'v' } }, '8201060a016b120176'],
])('%s', (_name, value, hex) => {
  const encoded = everything.encode(value);
  expect(Buffer.from(encoded).toString('hex')).toBe(hex);
  const decoded = everything.decode(encoded);
  for (const [key, given] of Object.entries(value)) {
    const got = decoded[key as keyof typeof decoded];
    if (typeof given === 'object') expect(got as unknown).toMatchObject(given as object);
    else expect(got as unknown).toBe(given);
  }
});

test('nanosecond times survive to the microsecond', () => {
  const time = message({ at: int(1) });
  // 1783656000123456789 as a varint
  const wire = Buffer.from([8, ...varintOf(1783656000123456789n)]);
  expect(Math.floor(time.decode(wire).at / 1e3)).toBe(1783656000123456);
});

test('unknown fields and unpacked integers are read as proto3 says', () => {
  const wire = Buffer.concat([
    Buffer.from('f20702aabb', 'hex'), // field 126, bytes
    Buffer.from('f80701', 'hex'), // field 127, varint
    Buffer.from('f1070102030405060708', 'hex'), // field 126, eight bytes
    Buffer.from('f50701020304', 'hex'), // field 126, four bytes
    Buffer.from('f307f00701f407', 'hex'), // field 126, a group
    Buffer.from('4005', 'hex'), // numbers, not packed
  ]);
  expect(everything.decode(wire).numbers).toEqual([5]);
});

test.each([
  ['0a05', 'premature EOF'],
  ['10ff', 'premature EOF'],
  ['0b', 'premature EOF'],
  ['0f', 'wire type 7'],
  ['00', 'field no 0'],
  ['09ffff', 'premature EOF'],
  [`10${'ff'.repeat(11)}`, 'varint'],
])('a broken message %s is refused', (hex, words) => {
  expect(() => everything.decode(Buffer.from(hex, 'hex'))).toThrow(new RegExp(`^protobuf: .*${words}`));
});

function varintOf(value: bigint): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest > 127n) {
    out.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return [...out, Number(rest)];
}
