import { describe, expect, test } from 'bun:test';
import { maskedFrame as masked } from './peers.fake.ts';
import { encodeClose, encodeFrame, MessageDecoder, OPCODE, WebSocketError } from './websocket-frames.ts';

const LIMIT = 70_000;

const hello = Buffer.from('Hello');

test('frames of servers are those of RFC 6455, 5.7', () => {
  const cases: [frame: Buffer, header: string, length: number][] = [
    [encodeFrame(OPCODE.text, hello), '8105', 7],
    [encodeFrame(OPCODE.binary, Buffer.from([1]), hello), '820601', 8],
    [encodeFrame(OPCODE.binary, Buffer.alloc(125)), '827d', 127],
    [encodeFrame(OPCODE.binary, Buffer.alloc(126)), '827e007e', 130],
    [encodeFrame(OPCODE.binary, Buffer.alloc(0xffff)), '827effff', 0xffff + 4],
    [encodeFrame(OPCODE.binary, Buffer.alloc(0x10000)), '827f0000000000010000', 0x10000 + 10],
    [encodeClose(1000), '880203e8', 4],
    [encodeClose(1002, 'x'), '880303ea78', 5],
    [encodeClose(1002, 'ü'.repeat(100)), '887c03ea', 126],
  ];
  for (const [frame, header, length] of cases) {
    expect(frame.subarray(0, header.length / 2).toString('hex')).toBe(header);
    expect(frame.length).toBe(length);
  }
});

describe('messages of clients', () => {
  // The masked frame is RFC 6455's own example.
  const cases: { name: string; bytes: Buffer; messages: [opcode: number, payload: string][] }[] = [
    { name: 'a masked text', bytes: Buffer.from('818537fa213d7f9f4d5158', 'hex'), messages: [[1, 'Hello']] },
    { name: 'an empty one', bytes: masked(0x82, Buffer.alloc(0)), messages: [[2, '']] },
    {
      name: 'one of 126 bytes',
      bytes: masked(0x82, Buffer.alloc(126, 'x')),
      messages: [[2, 'x'.repeat(126)]],
    },
    {
      name: 'one of 65536 bytes',
      bytes: masked(0x82, Buffer.alloc(65536, 'x')),
      messages: [[2, 'x'.repeat(65536)]],
    },
    {
      name: 'fragments with a ping between them',
      bytes: Buffer.concat([masked(0x02, hello), masked(0x89, Buffer.from('?')), masked(0x80, hello)]),
      messages: [
        [9, '?'],
        [2, 'HelloHello'],
      ],
    },
    {
      name: 'two and a close',
      bytes: Buffer.concat([masked(0x82, hello), masked(0x82, hello), masked(0x88, Buffer.from([3, 0xe8]))]),
      messages: [
        [2, 'Hello'],
        [2, 'Hello'],
        [8, '\x03\xe8'],
      ],
    },
  ];
  for (const { name, bytes, messages } of cases) {
    test.each([1, 3, 1 << 20])(`${name}, in pieces of %d`, (size) => {
      const decoder = new MessageDecoder(LIMIT);
      const got: [number, string][] = [];
      // One byte at a time would be quadratic for the large ones and prove nothing more.
      const step = bytes.length > 1000 ? Math.max(size, 999) : size;
      for (let at = 0; at < bytes.length; at += step) {
        for (const { opcode, payload } of decoder.push(bytes.subarray(at, at + step))) {
          got.push([opcode, payload.toString('latin1')]);
        }
      }
      expect(got).toEqual(messages);
    });
  }
});

describe('what breaks the protocol', () => {
  const huge = Buffer.from('82ff000000010000000000000000', 'hex');
  const cases: { name: string; bytes: Buffer; code: number }[] = [
    { name: 'an unmasked frame', bytes: Buffer.from('8105', 'hex'), code: 1002 },
    { name: 'reserved bits', bytes: masked(0xc2, hello), code: 1002 },
    { name: 'an unknown data opcode', bytes: masked(0x83, hello), code: 1002 },
    { name: 'an unknown control opcode', bytes: masked(0x8b, hello), code: 1002 },
    { name: 'a fragmented ping', bytes: masked(0x09, hello), code: 1002 },
    { name: 'a long ping', bytes: masked(0x89, Buffer.alloc(126)), code: 1002 },
    { name: 'a continuation of nothing', bytes: masked(0x80, hello), code: 1002 },
    {
      name: 'a beginning inside a message',
      bytes: Buffer.concat([masked(0x02, hello), masked(0x82, hello)]),
      code: 1002,
    },
    { name: 'a frame above the limit, before it has come', bytes: huge, code: 1009 },
    {
      name: 'a message above the limit',
      bytes: Buffer.concat([masked(0x02, Buffer.alloc(60000)), masked(0x80, Buffer.alloc(60000))]),
      code: 1009,
    },
  ];
  for (const { name, bytes, code } of cases) {
    test(`${name}: ${code}`, () => {
      let thrown: unknown;
      try {
        new MessageDecoder(LIMIT).push(bytes);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(WebSocketError);
      expect((thrown as WebSocketError).code).toBe(code);
    });
  }
});
