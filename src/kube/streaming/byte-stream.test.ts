import { afterEach, expect, test } from 'bun:test';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { byteStreamProtocol, serveByteStreamWebSocket } from './byte-stream.ts';
import { BadHandshake } from './remote-command.ts';

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0).reverse()) undo();
});

/** A server that answers every upgrade with `source`; its sessions end with what they resolve or reject with. */
async function serve(source: () => Promise<Readable>) {
  const server = createServer();
  const ended = Promise.withResolvers<unknown>();
  server.on('upgrade', (request, socket, head) => {
    serveByteStreamWebSocket(request, socket, head, source).then(
      () => ended.resolve('ended'),
      (error: unknown) => {
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
        ended.resolve(error);
      },
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp.push(() => server.close());
  return { port: (server.address() as AddressInfo).port, ended: ended.promise };
}

test.each([
  [['binary.k8s.io'], [Buffer.alloc(0), Buffer.from('one'), Buffer.from([0, 255])]],
  [[], [Buffer.alloc(0), Buffer.from('one'), Buffer.from([0, 255])]],
  [
    ['unknown', 'base64.binary.k8s.io'],
    ['', 'b25l', 'AP8='],
  ],
])('protocols %p', async (protocols: string[], messages: (string | Buffer)[]) => {
  const { port, ended } = await serve(async () => Readable.from([Buffer.from('one'), Buffer.from([0, 255])]));
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, protocols);
  socket.binaryType = 'arraybuffer';
  const received: (string | Buffer)[] = [];
  socket.addEventListener('message', ({ data }) => {
    received.push(typeof data === 'string' ? data : Buffer.from(data as ArrayBuffer));
  });
  const { code } = await new Promise<CloseEvent>((resolve) => socket.addEventListener('close', resolve));
  expect(code).toBe(1000);
  expect(socket.protocol).toBe(protocols.at(-1) ?? '');
  expect(received).toEqual(messages);
  expect(await ended).toBe('ended');
});

test('a client that leaves ends the source', async () => {
  const source = new Readable({ read() {} });
  const closed = once(source, 'close');
  const { port, ended } = await serve(async () => source);
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  await new Promise((resolve) => socket.addEventListener('message', resolve));
  socket.close();
  await closed;
  expect(await ended).toBe('ended');
});

test('a source that breaks ends the session', async () => {
  const source = new Readable({ read() {} });
  const { port, ended } = await serve(async () => source);
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  const close = new Promise<CloseEvent>((resolve) => socket.addEventListener('close', resolve));
  await new Promise((resolve) => socket.addEventListener('message', resolve));
  source.destroy(new Error('the kubelet is gone'));
  expect((await close).code).not.toBe(1000);
  expect(await ended).toBe('ended');
});

test('what the source is refused with, and a bad handshake, write nothing', async () => {
  const { port, ended } = await serve(async () => {
    throw new Error('no such container');
  });
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  await new Promise((resolve) => socket.addEventListener('close', resolve));
  expect(await ended).toEqual(new Error('no such container'));
  const request = { method: 'GET', headers: { upgrade: 'websocket' } } as unknown as IncomingMessage;
  const refused = serveByteStreamWebSocket(request, null as never, Buffer.alloc(0), async () =>
    Readable.from([]),
  );
  expect(await refused.catch((error) => error)).toBeInstanceOf(BadHandshake);
});

test('byteStreamProtocol', () => {
  const cases: [Record<string, string>, string | undefined][] = [
    [{ upgrade: 'websocket' }, ''],
    [
      { upgrade: 'WebSocket', 'sec-websocket-protocol': 'base64.binary.k8s.io, binary.k8s.io' },
      'binary.k8s.io',
    ],
    [{ upgrade: 'websocket', 'sec-websocket-protocol': 'channel.k8s.io' }, undefined],
    [{ upgrade: 'SPDY/3.1' }, undefined],
    [{}, undefined],
  ];
  for (const [headers, protocol] of cases) {
    expect(byteStreamProtocol({ headers } as unknown as IncomingMessage)).toBe(protocol);
  }
});
