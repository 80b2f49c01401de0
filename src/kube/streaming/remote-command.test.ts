import { afterEach, describe, expect, test } from 'bun:test';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { type FakeSession, maskedFrame, startFakeKubelet } from './peers.fake.ts';
import {
  BadHandshake,
  channelsOf,
  remoteCommandProtocol,
  serveRemoteCommandWebSocket,
} from './remote-command.ts';
import { UpgradeRefused } from './upgrade.ts';

const SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
  'X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n';
const SUCCESS = '{"metadata":{},"status":"Success"}';

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0).reverse()) undo();
});

interface Client {
  socket: net.Socket;
  /** All bytes that the client got. */
  received(): Buffer;
  /** Sends a binary message on a channel. */
  send(channel: number, data: Uint8Array | string): void;
}

/** An API server whose kubelet is a fake one, and a client of it that has asked for a session with `query`. */
async function session(options: {
  query?: string;
  answer?: string;
  streams?: number;
  timeoutMs?: number;
  protocol?: string;
  /** Sent in one piece with the handshake. */
  early?: Buffer;
  dial?: () => Promise<net.Socket>;
  onSession?: (session: FakeSession) => void;
}): Promise<{ client: Client; ended: Promise<unknown>; requests: string[] }> {
  const query = options.query ?? 'stdin=true&stdout=true&stderr=true';
  const kubelet = await startFakeKubelet(
    options.answer ?? SWITCHING,
    options.streams ?? 4,
    options.onSession ?? (() => {}),
  );
  cleanUp.push(() => kubelet.close());
  const dial = async () => {
    const upstream = net.connect(kubelet.port, '127.0.0.1');
    await once(upstream, 'connect');
    return upstream;
  };
  let ended: Promise<unknown> = Promise.resolve();
  const server: Server = createServer();
  const upgraded = new Promise<void>((resolve) => {
    server.on('upgrade', (request, socket, head) => {
      const target = { path: '/exec/default/web/main', headers: { 'X-Asked-By': 'test' } };
      ended = serveRemoteCommandWebSocket(
        request,
        socket,
        head,
        options.dial ?? dial,
        target,
        options.timeoutMs,
      ).then(
        () => 'ended',
        (error: unknown) => {
          socket.destroy();
          return error;
        },
      );
      resolve();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp.push(
    () => server.closeAllConnections(),
    () => server.close(),
  );
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  // In one piece that doubles: it is asked for at each event, and putting it together each time would take quadratic time.
  let [got, length] = [Buffer.alloc(1 << 16), 0];
  socket.on('data', (chunk: Buffer) => {
    if (length + chunk.length > got.length) got = Buffer.concat([got], 2 * (length + chunk.length));
    got.set(chunk, length);
    length += chunk.length;
  });
  socket.on('error', () => socket.destroy());
  cleanUp.push(() => socket.destroy());
  const handshake =
    `GET /api/v1/namespaces/default/pods/web/exec?${query} HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\n` +
    'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
    `Sec-WebSocket-Protocol: ${options.protocol ?? 'v5.channel.k8s.io'}\r\n\r\n`;
  socket.write(Buffer.concat([Buffer.from(handshake), options.early ?? Buffer.alloc(0)]));
  await upgraded;
  return {
    client: {
      socket,
      received: () => got.subarray(0, length),
      send: (channel, data) =>
        void socket.write(maskedFrame(0x82, Buffer.from([channel, ...Buffer.from(data)]))),
    },
    ended,
    requests: kubelet.requests,
  };
}

/** The frames that a client got after the handshake: `[opcode, payload]`. Reads unmasked frames, as servers send them. */
function framesOf(received: Buffer): [opcode: number, payload: Buffer][] {
  const frames: [number, Buffer][] = [];
  let at = received.indexOf('\r\n\r\n') + 4;
  while (at > 3 && at + 2 <= received.length) {
    const short = received[at + 1]!;
    const header = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (at + header > received.length) break;
    const length =
      short === 126
        ? received.readUInt16BE(at + 2)
        : short === 127
          ? Number(received.readBigUInt64BE(at + 2))
          : short;
    if (at + header + length > received.length) break;
    frames.push([received[at]! & 0x0f, received.subarray(at + header, at + header + length)]);
    at += header + length;
  }
  return frames;
}

/** What arrived on a channel, put together. */
function channel(received: Buffer, number: number): string {
  const messages = framesOf(received).filter(([opcode, payload]) => opcode === 2 && payload[0] === number);
  return Buffer.concat(messages.map(([, payload]) => payload.subarray(1))).toString();
}

/** Resolves when the client has got what `there` looks for. */
async function until(client: Client, there: (received: Buffer) => boolean): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const look = () => {
      if (there(client.received())) resolve();
      else if (client.socket.destroyed)
        reject(new Error(`ended before; got ${client.received().toString('latin1')}`));
    };
    client.socket.on('data', look).on('close', look);
    look();
  });
}

const closeFrame = (received: Buffer) => framesOf(received).find(([opcode]) => opcode === 8)?.[1];

/** Waits for the server's close frame, answers it, and returns its code. */
async function closed(client: Client): Promise<number> {
  await until(client, (received) => closeFrame(received) !== undefined);
  const payload = closeFrame(client.received())!;
  client.socket.write(maskedFrame(0x88, payload));
  return payload.readUInt16BE();
}

describe('a session', () => {
  test('passes streams both ways and ends with the Status of the container', async () => {
    const { client, ended, requests } = await session({
      onSession(fake) {
        for (const type of fake.streams.keys()) fake.reply(type);
        fake.send('stdout', 'out');
        fake.send('stderr', 'err');
        fake.once(
          () => fake.finished.has('stdin'),
          () => {
            fake.send('stdout', `got ${fake.received.get('stdin')}`, true);
            fake.send('stderr', '', true);
            // In two pieces: the client is to get one message.
            fake.send('error', SUCCESS.slice(0, 10));
            fake.send('error', SUCCESS.slice(10), true);
          },
        );
      },
    });
    client.send(0, 'one ');
    client.send(0, 'two');
    client.send(255, '\0');
    expect(await closed(client)).toBe(1000);
    expect(await ended).toBe('ended');
    const received = client.received();
    expect(received.toString('latin1')).toStartWith('HTTP/1.1 101 Switching Protocols\r\n');
    expect(received.toString('latin1')).toContain(
      '\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n',
    );
    expect(received.toString('latin1')).toContain('\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n');
    expect([channel(received, 1), channel(received, 2)]).toEqual(['outgot one two', 'err']);
    expect(framesOf(received).filter(([opcode, payload]) => opcode === 2 && payload[0] === 3)).toEqual([
      [2, Buffer.from(`\x03${SUCCESS}`)],
    ]);
    expect(requests).toEqual([
      'POST /exec/default/web/main HTTP/1.1\r\nHost: kubelet\r\nX-Asked-By: test\r\nConnection: Upgrade\r\n' +
        'Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0',
    ]);
  });

  test('of a terminal has a stream for its size and none for errors', async () => {
    const opened = Promise.withResolvers<FakeSession>();
    const { client } = await session({
      query: 'stdin=1&stdout=1&stderr=1&tty=1',
      protocol: 'v4.channel.k8s.io',
      onSession: opened.resolve,
    });
    const fake = await opened.promise;
    expect([...fake.streams.keys()]).toEqual(['error', 'stdin', 'stdout', 'resize']);
    const arrived = new Promise<void>((resolve) => {
      fake.once(() => fake.received.get('resize') === '{"Width":80,"Height":24}', resolve);
    });
    client.send(4, '{"Width":80,"Height":24}');
    await arrived;
    expect(client.received().toString('latin1')).toContain('Sec-WebSocket-Protocol: v4.channel.k8s.io');
  });

  test('answers pings of either side', async () => {
    const { client } = await session({
      onSession: (fake) => {
        fake.ping(2);
        fake.once(
          () => fake.pongs.includes(2),
          () => fake.send('stdout', 'ponged'),
        );
      },
    });
    client.socket.write(maskedFrame(0x89, Buffer.from('are you there')));
    await until(client, (received) => channel(received, 1) === 'ponged');
    await until(client, (received) => framesOf(received).some(([opcode]) => opcode === 10));
    expect(
      framesOf(client.received())
        .find(([opcode]) => opcode === 10)?.[1]
        .toString(),
    ).toBe('are you there');
  });

  test('takes input that came with the handshake, and drops what is for no stream', async () => {
    const opened = Promise.withResolvers<FakeSession>();
    const { client } = await session({
      query: 'stdin=true&stdout=true',
      streams: 3,
      onSession: opened.resolve,
      early: maskedFrame(0x82, Buffer.from('\0the very ')),
    });
    client.send(4, 'no terminal');
    client.send(1, 'not from a client');
    client.send(9, 'unknown');
    client.send(0, 'first');
    const fake = await opened.promise;
    const arrived = new Promise<void>((resolve) => {
      fake.once(() => fake.received.get('stdin') === 'the very first', resolve);
    });
    await arrived;
    expect([...fake.received.keys()]).toEqual(['stdin']);
  });

  test('waits for a slow client instead of holding what it has not taken', async () => {
    const total = 64 << 20;
    const piece = Buffer.alloc(32 << 10, 'x');
    let written = 0;
    const stalled = Promise.withResolvers<void>();
    const { client } = await session({
      query: 'stdout=true',
      streams: 2,
      onSession(fake) {
        const pump = () => {
          while (written < total) {
            written += piece.length;
            if (!fake.send('stdout', piece)) break;
          }
          if (written < total) return;
          fake.send('stdout', '', true);
          fake.send('error', SUCCESS, true);
        };
        fake.socket.on('drain', pump);
        pump();
        // Nothing moves for a while: whoever is between has stopped reading.
        let before = -1;
        const timer = setInterval(() => {
          if (written === before) {
            clearInterval(timer);
            stalled.resolve();
          }
          before = written;
        }, 200);
      },
    });
    client.socket.pause();
    await stalled.promise;
    // What kernel buffers hold on the way, and no more.
    expect(written).toBeLessThan(total / 2);
    client.socket.resume();
    const close = Buffer.from('880203e8', 'hex');
    await until(client, (received) => received.subarray(-close.length).equals(close));
    expect(channel(client.received(), 1).length).toBe(total);
  }, 120_000);
});

describe('a session that breaks', () => {
  const status = (received: Buffer) => JSON.parse(channel(received, 3) || '{}');

  test('by the kubelet ends with an InternalError', async () => {
    const { client, ended } = await session({ onSession: (fake) => fake.socket.destroy() });
    expect(await closed(client)).toBe(1000);
    expect(status(client.received())).toMatchObject({
      status: 'Failure',
      reason: 'InternalError',
      code: 500,
    });
    expect(await ended).toBe('ended');
  });

  test('by a kubelet that never sets the streams up ends after a while', async () => {
    const { client } = await session({ timeoutMs: 1000 });
    await closed(client);
    expect(status(client.received()).message).toContain(
      "the container's streams were not set up within 1000 ms",
    );
  });

  test('by nonsense from the kubelet says what it was', async () => {
    const { client } = await session({
      onSession: (fake) => fake.socket.write(Buffer.from('8002000600000000', 'hex')),
    });
    await closed(client);
    expect(status(client.received()).message).toContain('a frame of version 2');
  });

  test('by a reset of every stream ends, and says so', async () => {
    const { client } = await session({
      query: 'stdout=true',
      streams: 2,
      onSession(fake) {
        for (const stream of fake.streams.values()) {
          const frame = Buffer.from('80030003000000080000000000000003', 'hex');
          frame.writeUInt32BE(stream, 8);
          fake.socket.write(frame);
        }
      },
    });
    await closed(client);
    expect(status(client.received()).message).toContain('error stream was reset (status 3)');
  });

  const clients: [name: string, act: (client: Client) => void][] = [
    ['that vanishes', (client) => client.socket.destroy()],
    ['that ends its side', (client) => client.socket.end()],
    ['that closes', (client) => client.socket.write(maskedFrame(0x88, Buffer.from([3, 0xe8])))],
    ['that breaks the protocol', (client) => client.socket.write(Buffer.from('8105', 'hex'))],
    ['that sends text', (client) => client.socket.write(maskedFrame(0x81, Buffer.from('0aGk=')))],
  ];
  test.each(clients)('by a client %s takes the kubelet along', async (_, act) => {
    const opened = Promise.withResolvers<FakeSession>();
    const { client, ended } = await session({ onSession: opened.resolve });
    const fake = await opened.promise;
    const gone = once(fake.socket, 'close');
    act(client);
    await gone;
    expect(await ended).toBe('ended');
  });

  test('by a client that stops reading and vanishes takes the kubelet along', async () => {
    const stalled = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    const { client, ended } = await session({
      query: 'stdout=true',
      streams: 2,
      onSession(fake) {
        const pump = () => {
          while (fake.send('stdout', Buffer.alloc(32 << 10)));
        };
        fake.socket.on('drain', pump).on('close', () => gone.resolve());
        pump();
        let before = -1;
        const timer = setInterval(() => {
          const written = fake.socket.bytesWritten;
          if (written === before) {
            clearInterval(timer);
            stalled.resolve();
          }
          before = written;
        }, 200);
      },
    });
    client.socket.pause();
    await stalled.promise;
    client.socket.destroy();
    await gone.promise;
    expect(await ended).toBe('ended');
  }, 30_000);

  test('by a client that sends text is closed with 1003', async () => {
    const { client } = await session({});
    client.socket.write(maskedFrame(0x81, Buffer.from('text')));
    expect(await closed(client)).toBe(1003);
  });
});

describe('a session that does not come about writes nothing to the client', () => {
  const refusal = 'HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\ncontainer not found';
  const cases: { name: string; options: Parameters<typeof session>[0]; message: string; kind?: unknown }[] = [
    {
      name: 'the kubelet says no',
      options: { answer: refusal },
      message: 'status 404: container not found',
      kind: UpgradeRefused,
    },
    {
      name: 'the kubelet speaks something else',
      options: { answer: SWITCHING.replace('v4', 'v9') },
      message: 'the kubelet speaks v9.channel.k8s.io',
    },
    {
      name: 'the kubelet does not speak HTTP',
      options: { answer: 'SSH-2.0-x\r\n\r\n' },
      message: 'not an HTTP answer: "SSH-2.0-x"',
    },
    { name: 'the kubelet says nothing', options: { answer: '', timeoutMs: 50 }, message: 'timed out' },
    {
      name: 'there is no kubelet',
      options: { dial: () => Promise.reject(new Error('connection refused')) },
      message: 'connection refused',
    },
    {
      name: 'nothing is offered that is understood',
      options: { protocol: 'SPDY/3.1+portforward.k8s.io' },
      message: 'not a WebSocket handshake',
      kind: BadHandshake,
    },
  ];
  for (const { name, options, message, kind } of cases) {
    test(name, async () => {
      const { client, ended } = await session(options);
      const error = (await ended) as Error;
      expect(error).toBeInstanceOf((kind ?? Error) as typeof Error);
      expect(error.message).toContain(message);
      expect(client.received().length).toBe(0);
    });
  }
});

test('the protocol is the best that both know', () => {
  const cases: [headers: Record<string, string>, protocol: string | undefined][] = [
    [{ upgrade: 'websocket', 'sec-websocket-protocol': 'v5.channel.k8s.io' }, 'v5.channel.k8s.io'],
    [
      { upgrade: 'WebSocket', 'sec-websocket-protocol': 'channel.k8s.io, v4.channel.k8s.io' },
      'v4.channel.k8s.io',
    ],
    [
      { upgrade: 'websocket', 'sec-websocket-protocol': 'v4.channel.k8s.io,v5.channel.k8s.io' },
      'v5.channel.k8s.io',
    ],
    [{ upgrade: 'websocket', 'sec-websocket-protocol': 'SPDY/3.1+portforward.k8s.io' }, undefined],
    [{ upgrade: 'websocket', 'sec-websocket-protocol': 'base64.channel.k8s.io' }, undefined],
    [{ upgrade: 'websocket' }, undefined],
    [{ upgrade: 'SPDY/3.1', 'sec-websocket-protocol': 'v5.channel.k8s.io' }, undefined],
    [{}, undefined],
  ];
  for (const [headers, protocol] of cases) {
    expect(remoteCommandProtocol({ headers } as unknown as IncomingMessage)).toBe(protocol);
  }
});

test('streams are those that the query asks for', () => {
  const cases: [query: string, channels: string[]][] = [
    ['stdin=true&stdout=true&stderr=true', ['error', 'stdin', 'stdout', 'stderr']],
    ['stdout=1', ['error', 'stdout']],
    ['stdin=false&stderr=true', ['error', 'stderr']],
    ['stdin=true&stdout=true&stderr=true&tty=true', ['error', 'stdin', 'stdout', 'resize']],
    ['', ['error']],
  ];
  for (const [query, channels] of cases) {
    expect([query, channelsOf(new URLSearchParams(query)) as string[]]).toEqual([query, channels]);
  }
});
