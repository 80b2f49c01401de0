import { describe, expect, test } from 'bun:test';
import { KeyValue, RangeRequest, TxnRequest } from './messages.ts';
import { decode, encode, message } from './protobuf.ts';

const text = (value: string) => new TextEncoder().encode(value);

describe('protocol buffers', () => {
  // Bytes from the encoding's documentation, so that reader and writer cannot agree on the same mistake.
  const Documented = message({ number: [1, 'int'], text: [2, 'string'] });
  test.each([
    { value: { number: 150, text: undefined }, bytes: [0x08, 0x96, 0x01] },
    {
      value: { number: undefined, text: 'testing' },
      bytes: [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67],
    },
  ])('$value is written as documented', ({ value, bytes }) => {
    expect(encode(Documented, value)).toEqual(Buffer.from(bytes));
    expect(decode(Documented, Uint8Array.from(bytes))).toMatchObject(JSON.parse(JSON.stringify(value)));
  });

  test('integers up to 2^53 survive', () => {
    for (const revision of [0, 127, 128, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
      const bytes = encode(KeyValue, { modRevision: revision });
      expect(decode(KeyValue, bytes).modRevision).toBe(revision);
    }
  });

  test('nested and repeated messages', () => {
    const request = {
      compare: [{ target: 2, key: text('a'), modRevision: 7 }],
      success: [{ put: { key: text('a'), value: text('b') } }],
      failure: [{ range: { key: text('a') } }],
    };
    const back = decode(TxnRequest, encode(TxnRequest, request));
    expect(back.compare).toHaveLength(1);
    expect(back.compare[0]).toMatchObject({ target: 2, modRevision: 7 });
    expect(Buffer.from(back.success[0]!.put!.value).toString()).toBe('b');
    expect(back.success[0]!.range).toBeUndefined();
    expect(Buffer.from(back.failure[0]!.range!.key).toString()).toBe('a');
  });

  test('what is not described is skipped, whatever its wire type', () => {
    const bytes = [0x50, 1, 0x59, 1, 2, 3, 4, 5, 6, 7, 8, 0x62, 2, 9, 9, 0x6d, 1, 2, 3, 4, 0x18, 42];
    expect(decode(RangeRequest, Uint8Array.from(bytes)).limit).toBe(42);
  });

  test.each([
    { name: 'a varint that does not end', bytes: [0x18, 0x80] },
    { name: 'a field longer than the message', bytes: [0x0a, 5, 1] },
    { name: 'a wire type that does not exist', bytes: [0x0f] },
  ])('$name is an error', ({ bytes }) => {
    expect(() => decode(RangeRequest, Uint8Array.from(bytes))).toThrow('protobuf');
  });

  test('negative integers are refused and not written wrong', () => {
    expect(() => encode(RangeRequest, { limit: -1 })).toThrow('negative');
  });
});
