import { afterEach, describe, expect, test } from 'bun:test';
import { once } from 'node:events';
import { createServer } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { maskedFrame as masked } from './peers.fake.ts';
import { WebSocketConnection } from './websocket.ts';

const LIMIT = 4 << 20;
const HANDSHAKE =
  'GET / HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n';

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0).reverse()) undo();
});

/**
 * Sends `pieces` to the server's end of a WebSocket, one after the other. Returns the messages that it gave, how it ended (an
 * error, or `ended`) and the frames that the client got.
 */
async function exchange(
  pieces: readonly Buffer[],
  answer?: (connection: WebSocketConnection) => Promise<void>,
) {
  const messages: string[] = [];
  const server = createServer();
  const ended = new Promise<unknown>((resolve) => {
    server.on('upgrade', async (request, socket, head) => {
      const connection = WebSocketConnection.accept(request, socket, head, 'v5.channel.k8s.io');
      try {
        await answer?.(connection);
        for await (const message of connection.messages()) messages.push(message.toString('latin1'));
        resolve('ended');
      } catch (error) {
        resolve(error);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp.push(() => server.close());
  const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  cleanUp.push(() => client.destroy());
  const chunks: Buffer[] = [];
  client.on('data', (chunk: Buffer) => chunks.push(chunk));
  const closed = once(client, 'close');
  client.write(HANDSHAKE);
  for (const piece of pieces) await new Promise<void>((resolve) => client.write(piece, () => resolve()));
  const end = await ended;
  client.end();
  await closed;
  const received = Buffer.concat(chunks);
  return { messages, end, frames: received.subarray(received.indexOf('\r\n\r\n') + 4) };
}

const hello = Buffer.from('Hello');
const CLOSING = masked(0x88, Buffer.from([3, 0xe8]));

function inPieces(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

describe('messages of clients', () => {
  const cases: { name: string; bytes: Buffer; messages: string[]; frames?: string }[] = [
    // The masked bytes are those of RFC 6455's own example, of a binary message.
    { name: 'one', bytes: Buffer.from('828537fa213d7f9f4d5158', 'hex'), messages: ['Hello'] },
    { name: 'an empty one', bytes: masked(0x82, Buffer.alloc(0)), messages: [''] },
    { name: 'one of 126 bytes', bytes: masked(0x82, Buffer.alloc(126, 'x')), messages: ['x'.repeat(126)] },
    {
      name: 'one of 65536 bytes',
      bytes: masked(0x82, Buffer.alloc(65536, 'x')),
      messages: ['x'.repeat(65536)],
    },
    {
      name: 'fragments with a ping between them',
      bytes: Buffer.concat([masked(0x02, hello), masked(0x89, Buffer.from('?')), masked(0x80, hello)]),
      messages: ['HelloHello'],
      frames: '8a013f',
    },
    {
      name: 'two',
      bytes: Buffer.concat([masked(0x82, hello), masked(0x82, hello)]),
      messages: ['Hello', 'Hello'],
    },
  ];
  for (const { name, bytes, messages, frames = '' } of cases) {
    test.each([1, 3, 1 << 20])(`${name}, in pieces of %d`, async (size) => {
      // One byte at a time would take long for the large ones and prove nothing more.
      const pieces = inPieces(bytes, bytes.length > 1000 ? Math.max(size, 999) : size);
      const got = await exchange([...pieces, CLOSING]);
      expect([got.messages, got.end]).toEqual([messages, 'ended']);
      expect(got.frames.toString('hex')).toBe(`${frames}880203e8`);
    });
  }
});

describe('a client that breaks the protocol is closed with the reason', () => {
  const half = Buffer.alloc(LIMIT / 2 + 1);
  const cases: { name: string; bytes: Buffer[]; code: number }[] = [
    { name: 'an unmasked frame', bytes: [Buffer.from('820548656c6c6f', 'hex')], code: 1002 },
    { name: 'reserved bits', bytes: [masked(0xc2, hello)], code: 1002 },
    { name: 'an unknown data opcode', bytes: [masked(0x83, hello)], code: 1002 },
    { name: 'an unknown control opcode', bytes: [masked(0x8b, hello)], code: 1002 },
    { name: 'a fragmented ping', bytes: [masked(0x09, hello)], code: 1002 },
    { name: 'a long ping', bytes: [masked(0x89, Buffer.alloc(126))], code: 1002 },
    { name: 'a continuation of nothing', bytes: [masked(0x80, hello)], code: 1002 },
    { name: 'a beginning inside a message', bytes: [masked(0x02, hello), masked(0x82, hello)], code: 1002 },
    {
      name: 'a close with a code that nobody may send',
      bytes: [masked(0x88, Buffer.from([3, 0xed]))],
      code: 1002,
    },
    {
      name: 'a frame above the limit, before it has come',
      bytes: [Buffer.from('82ff000000010000000000000000', 'hex')],
      code: 1009,
    },
    { name: 'a message above the limit', bytes: [masked(0x02, half), masked(0x80, half)], code: 1009 },
    { name: 'text', bytes: [masked(0x81, hello)], code: 1003 },
  ];
  for (const { name, bytes, code } of cases) {
    test(`${name}: ${code}`, async () => {
      const { messages, end, frames } = await exchange(bytes);
      expect(messages).toEqual([]);
      expect(end).toBeInstanceOf(Error);
      expect([frames[0], frames.readUInt16BE(2)]).toEqual([0x88, code]);
    });
  }
});

test('frames of the server are those of RFC 6455, 5.7', async () => {
  const cases: [parts: Uint8Array[], header: string][] = [
    [[hello], '8205'],
    [[Buffer.from([1]), hello], '820601'],
    [[Buffer.alloc(125)], '827d'],
    [[Buffer.alloc(126)], '827e007e'],
    [[Buffer.alloc(0xffff)], '827effff'],
    [[Buffer.alloc(0x10000)], '827f0000000000010000'],
  ];
  for (const [parts, header] of cases) {
    const { frames } = await exchange([CLOSING], (connection) => connection.send(...parts));
    expect(frames.subarray(0, header.length / 2).toString('hex')).toBe(header);
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    expect(frames.subarray(-4 - length, -4)).toEqual(Buffer.concat(parts));
    expect(frames.subarray(-4).toString('hex')).toBe('880203e8');
  }
});
