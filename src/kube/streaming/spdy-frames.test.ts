import { describe, expect, test } from 'bun:test';
import { encodeData, encodePing, SpdyDecoder, type SpdyFrame, SynStreamEncoder } from './spdy-frames.ts';

/** zlib's two bytes that announce a preset dictionary, and the Adler-32 of SPDY/3's. */
const ZLIB = '78bbe3c6a7c2';

test('frames of clients', () => {
  const encoder = new SynStreamEncoder();
  // Name and value lists are count, then length and text of each; the first of a connection starts the zlib stream.
  const block = '000000010000000a73747265616d747970650000000473746469';
  const cases: [name: string, frame: Buffer, hex: string][] = [
    ['data', encodeData(3, Buffer.from('hi')), '00000003000000026869'],
    ['the end of a stream', encodeData(3, Buffer.alloc(0), true), '0000000301000000'],
    ['a ping', encodePing(2), '800300060000000400000002'],
    [
      'the first stream',
      encoder.encode(1, { streamtype: 'stdi' }),
      `800300010000003400000001000000000000${ZLIB}001a00e5ff${block}000000ffff`,
    ],
    [
      'the second stream',
      encoder.encode(3, { streamtype: 'stdi' }),
      `800300010000002e00000003000000000000001a00e5ff${block}000000ffff`,
    ],
  ];
  for (const [name, frame, hex] of cases) expect([name, frame.toString('hex')]).toEqual([name, hex]);
});

test('headers that do not fit into one block are refused', () => {
  expect(() => new SynStreamEncoder().encode(1, { a: 'x'.repeat(70_000) })).toThrow('headers are too many');
});

describe('frames of servers', () => {
  const cases: [name: string, hex: string, frame: SpdyFrame][] = [
    ['data', '00000003000000026869', { type: 'data', stream: 3, fin: false, data: Buffer.from('hi') }],
    [
      'the last data',
      '00000003010000026869',
      { type: 'data', stream: 3, fin: true, data: Buffer.from('hi') },
    ],
    ['a reply', '80030002000000080000000500000000', { type: 'reply', stream: 5, fin: false }],
    ['a reply that ends', '80030002010000080000000500000000', { type: 'reply', stream: 5, fin: true }],
    ['a reset', '80030003000000080000000500000003', { type: 'reset', stream: 5, status: 3 }],
    ['a ping', '800300060000000400000002', { type: 'ping', id: 2 }],
    ['a goodbye', '80030007000000080000000500000001', { type: 'goAway', status: 1 }],
    ['settings', '800300040000000400000000', { type: 'other', control: 4 }],
  ];
  const whole = Buffer.from(cases.map(([, hex]) => hex).join(''), 'hex');
  test.each([1, 7, 1000])('in pieces of %d', (size) => {
    const decoder = new SpdyDecoder();
    const got: SpdyFrame[] = [];
    for (let at = 0; at < whole.length; at += size) got.push(...decoder.push(whole.subarray(at, at + size)));
    expect(got).toEqual(cases.map(([, , frame]) => frame));
  });

  const bad: [name: string, hex: string, message: string][] = [
    ['another version', '800200060000000400000002', 'a frame of version 2, expected 3'],
    ['HTTP', Buffer.from('HTTP/1.1 200 OK\r\n').toString('hex'), 'a frame of'],
    ['a reset without a status', '800300030000000400000005', 'type 3 is too short'],
  ];
  test.each(bad)('%s is refused', (_, hex, message) => {
    expect(() => new SpdyDecoder().push(Buffer.from(hex, 'hex'))).toThrow(message);
  });
});
