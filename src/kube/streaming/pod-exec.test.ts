import { afterEach, expect, test } from 'bun:test';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { ApiClient, ApiError } from '../client.ts';
import { PodExec } from './pod-exec.ts';
import { WebSocketConnection } from './websocket.ts';

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0).reverse()) undo();
});

const TARGET = { namespace: 'n', pod: 'p', container: 'c', argv: ['run', 'a b'] };
const signal = AbortSignal.timeout(20_000);
const status = (document: object) => Buffer.concat([Buffer.from([3]), Buffer.from(JSON.stringify(document))]);
const SUCCESS = status({ status: 'Success' });

/** An API server on loopback that hands each session to `serve`; the requests that it got. */
async function server(
  serve: (session: WebSocketConnection) => Promise<void>,
  { protocol = 'v5.channel.k8s.io', refuse }: { protocol?: string; refuse?: string } = {},
): Promise<{ client: ApiClient; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const http = createServer();
  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    requests.push(request);
    if (refuse !== undefined) {
      socket.end(refuse);
      return;
    }
    void serve(WebSocketConnection.accept(request, socket, head, protocol));
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  cleanUp.push(
    () => http.closeAllConnections(),
    () => http.close(),
  );
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  return {
    client: new ApiClient({ server: url, token: 't0ken', userAgent: 'test', proxy: false }),
    requests,
  };
}

test.each(['v5.channel.k8s.io', 'v4.channel.k8s.io'])(
  'a program gets its input and its output is read, over %s',
  async (protocol) => {
    const sent = Buffer.alloc(300_000, 'x');
    const { client, requests } = await server(
      async (session) => {
        let size = 0;
        for await (const message of session.messages()) {
          expect(message[0]).toBe(0);
          size += message.length - 1;
          if (size < sent.length) continue;
          await session.send(Buffer.from('\u0001got '));
          await session.send(Buffer.from(`\u0001${size}`));
          await session.send(SUCCESS);
          session.close();
        }
      },
      { protocol },
    );
    const exec = await PodExec.start(client, TARGET, signal);
    const [output] = await Promise.all([exec.rest(1000), exec.write(sent)]);
    expect(output).toBe('got 300000');
    expect(exec.end).toEqual({ code: 0, message: 'ended with exit status 0' });
    await exec.close();
    const [request] = requests;
    expect(request?.url).toBe(
      '/api/v1/namespaces/n/pods/p/exec?container=c&stdin=true&stdout=true&stderr=true&command=run&command=a+b',
    );
    expect(request?.headers.authorization).toBe('Bearer t0ken');
  },
);

test.each([
  [
    'its exit status, and what it said',
    [
      Buffer.from('\u0002no such file'),
      status({
        status: 'Failure',
        reason: 'NonZeroExitCode',
        details: { causes: [{ reason: 'ExitCode', message: '126' }] },
      }),
    ],
    { code: 126, message: 'ended with exit status 126: no such file' },
  ],
  [
    'what the runtime says of one that could not be started',
    [status({ status: 'Failure', message: 'exec: "run": executable file not found' })],
    { message: 'exec: "run": executable file not found' },
  ],
  ['that the connection ended', [], { message: 'the connection ended before the program did' }],
])('the end of a program is %s', async (_, messages, end) => {
  const { client } = await server(async (session) => {
    for (const message of messages) await session.send(message);
    session.close();
    for await (const _message of session.messages());
  });
  const exec = await PodExec.start(client, TARGET, signal);
  expect(await exec.rest(1000)).toBe('');
  expect(exec.end).toEqual(end);
});

test('more output than expected is an error', async () => {
  const { client } = await server((session) => session.send(Buffer.alloc(2000, 1)));
  const exec = await PodExec.start(client, TARGET, signal);
  await expect(exec.rest(1000)).rejects.toThrow('more than 1000 bytes');
  exec.destroy();
});

test('an API server that says no is an ApiError with its words', async () => {
  const body = JSON.stringify({
    kind: 'Status',
    code: 403,
    reason: 'Forbidden',
    message: 'pods "p" is forbidden',
  });
  const refuse = `HTTP/1.1 403 Forbidden\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const { client } = await server(async () => {}, { refuse });
  const error = await PodExec.start(client, TARGET, signal).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ code: 403, reason: 'Forbidden' });
});

test('what accepts anything is not taken for an API server', async () => {
  const refuse = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';
  const { client } = await server(async () => {}, { refuse });
  await expect(PodExec.start(client, TARGET, signal)).rejects.toThrow('does not speak v5.channel.k8s.io');
});
