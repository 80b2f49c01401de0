import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import net from 'node:net';
import { ask } from './http-ask.ts';

const DEADLINE_MS = 300;

/** What a server does with a connection once a request has come. */
type Behaviour = (socket: net.Socket) => void;

const ok = (page: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(page)}\r\n\r\n${page}`;

const CASES: readonly { name: string; does: Behaviour; heard: object }[] = [
  {
    name: 'a page that names its host',
    does: (socket) => socket.end(ok('Welcome\n\n-> My hostname is: echo-1\n\n')),
    heard: { result: 'answered', status: 200, host: 'echo-1' },
  },
  {
    name: 'a page that does not',
    does: (socket) => socket.end(ok('hello\n')),
    heard: { result: 'answered', status: 200, host: undefined },
  },
  {
    name: 'an error of the application is an answer',
    does: (socket) => socket.end('HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n'),
    heard: { result: 'answered', status: 503 },
  },
  {
    name: 'silence',
    does: () => {},
    heard: { result: 'timeout', detail: `no whole answer within ${DEADLINE_MS} ms` },
  },
  {
    name: 'a page that stops half way',
    does: (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'),
    heard: { result: 'timeout' },
  },
  {
    name: 'a page that breaks off',
    does: (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'),
    heard: { result: 'error' },
  },
  { name: 'a connection closed without a word', does: (socket) => socket.end(), heard: { result: 'error' } },
  {
    name: 'something that is not HTTP',
    does: (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'),
    heard: { result: 'error' },
  },
];

describe('ask', () => {
  let behaviour: Behaviour = () => {};
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => behaviour(socket));
  });
  let port = 0;
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as net.AddressInfo).port;
  });
  afterAll(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });

  for (const { name, does, heard } of CASES) {
    test(name, async () => {
      behaviour = does;
      expect(await ask('127.0.0.1', port, DEADLINE_MS)).toMatchObject(heard);
    });
  }

  test('nobody listens', async () => {
    const gone = net.createServer();
    await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
    const { port: free } = gone.address() as net.AddressInfo;
    await new Promise((resolve) => gone.close(resolve));
    expect(await ask('127.0.0.1', free)).toEqual({ result: 'refused', detail: 'connection refused' });
  });
});
