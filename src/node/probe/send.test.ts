import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createSocket, type Socket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import type { ProbeResult } from '../../path/model/probe.ts';
import type { Probe } from './heard.ts';
import type { ProbeOrder } from './order.ts';
import { sendProbes } from './send.ts';
import { probeStream, probeTcp } from './stream.ts';
import { probeUdp } from './udp.ts';

// Everything here goes to 127.0.0.1.
let server: Server;
let echo: Socket;
let mute: Socket;
let closed: number;

beforeAll(async () => {
  server = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  echo = await bound();
  echo.on('message', (message: Buffer, from: { port: number; address: string }) =>
    echo.send(message, from.port, from.address),
  );
  mute = await bound();
  const gone = await bound();
  closed = gone.address().port;
  await new Promise<void>((resolve) => gone.close(() => resolve()));
});
afterAll(() => {
  server.close();
  echo.close();
  mute.close();
});

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return socket;
}

const portOf = (listening: Server) => (listening.address() as { port: number }).port;
const IPPROTO_TCP = 6;
const probeRawTcp: Probe = (...asked) => probeStream(IPPROTO_TCP, ...asked);

describe('one probe', () => {
  test.each<[string, Probe, () => number, string]>([
    ['TCP to a listener', probeTcp, () => portOf(server), 'answered'],
    ['TCP to nobody', probeTcp, () => closed, 'refused'],
    ['UDP to what answers', probeUdp, () => echo.address().port, 'answered'],
    ['UDP to what is silent proves nothing', probeUdp, () => mute.address().port, 'unknown'],
    ['UDP to nobody', probeUdp, () => closed, 'refused'],
    ['a stream by system calls to a listener', probeRawTcp, () => portOf(server), 'answered'],
    ['a stream by system calls to nobody', probeRawTcp, () => closed, 'refused'],
  ])('%s', async (_, probe, port, outcome) => {
    const heard = await probe('127.0.0.1', port(), 300);
    expect(heard.outcome).toBe(outcome as typeof heard.outcome);
    if (outcome === 'answered') expect(heard.sourcePort).toBeGreaterThan(0);
  });

  test('its source port is the one that the other side sees', async () => {
    const own = createServer();
    await new Promise<void>((resolve) => own.listen(0, '127.0.0.1', resolve));
    const seen = new Promise<number>((resolve) =>
      own.once('connection', ({ remotePort }: { remotePort: number }) => resolve(remotePort)),
    );
    const { sourcePort } = await probeTcp('127.0.0.1', portOf(own), 300);
    expect(sourcePort).toBe(await seen);
    own.close();
  });

  test('a source port that somebody has is a reason with a code', async () => {
    expect(await probeRawTcp('127.0.0.1', closed, 300, portOf(server))).toEqual({
      outcome: 'unknown',
      detail: `cannot send from port ${portOf(server)}: EADDRINUSE`,
      problem: 'source-port-taken',
    });
  });

  test('a protocol that the kernel does not have is unknown', async () => {
    expect(await probeStream(253, '127.0.0.1', 9, 100)).toMatchObject({ outcome: 'unknown' });
  });
});

const order = (hostPort: number): ProbeOrder => ({
  vantage: 'node',
  node: 'n',
  podUid: 'u',
  protocol: 'TCP',
  hostPort,
  target: { address: '127.0.0.1', port: hostPort },
});

describe('many probes', () => {
  const senders = (probe: Probe) => ({ TCP: probe, UDP: probe, SCTP: probe });

  test('come back in the order they were asked for, at most 64 at a time', async () => {
    let now = 0;
    let most = 0;
    const slow: Probe = async (_, port) => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setImmediate(resolve));
      now--;
      return { outcome: 'answered', detail: String(port) };
    };
    const orders = Array.from({ length: 200 }, (_, i) => order(i + 1));
    const results = await sendProbes(orders, 100, senders(slow));
    expect(results.map(({ detail }) => detail)).toEqual(orders.map(({ hostPort }) => String(hostPort)));
    expect(most).toBe(64);
  });

  test.each<[string, ProbeResult['outcome'][], ProbeResult['outcome']]>([
    ['silence once is not believed', ['timeout', 'answered'], 'answered'],
    ['silence twice is', ['timeout', 'timeout', 'answered'], 'timeout'],
    ['a refusal is at once', ['refused', 'answered'], 'refused'],
  ])('%s', async (_, outcomes, expected) => {
    const [result] = await sendProbes(
      [order(1)],
      100,
      senders(async () => ({ outcome: outcomes.shift()!, detail: '' })),
    );
    expect(result?.outcome).toBe(expected);
  });

  test('one that fails to be made is unknown, and the others are made', async () => {
    const failing: Probe = async (_, port) => {
      if (port === 1) throw new Error('no socket');
      return { outcome: 'refused', detail: '' };
    };
    const results = await sendProbes([order(1), order(2)], 100, senders(failing));
    expect(results.map(({ outcome, detail }) => [outcome, detail])).toEqual([
      ['unknown', 'no socket'],
      ['refused', ''],
    ]);
  });
});
