import { createInterface } from 'node:readline';
import { enterNetns } from '../../../sys/netns.ts';

/**
 * Sends single datagrams between network namespaces and says which of them arrived where: `bun station.ts PORTS NAME=PATH...`.
 * It listens on every port in every namespace. A line `{from, to, port, source?, sourcePort, patience}` on standard input sends
 * one datagram; the answer is a line `{at, port, source}` or `null` when none arrived within `patience` milliseconds. Nothing is
 * ever sent back, so what the counters of the rules show is that one datagram.
 */
interface Probe {
  from: string;
  to: string;
  port: number;
  source?: string;
  sourcePort: number;
  patience: number;
}

interface Arrival {
  at: string;
  port: number;
  source: string;
}

const [portsText, ...places] = process.argv.slice(2);
const ports = portsText!.split(',').map(Number);
const paths = new Map(places.map((place) => place.split('=') as [string, string]));
let waiting: { token: string; arrived: (arrival: Arrival) => void } | undefined;

for (const [at, path] of paths) {
  enterNetns(path);
  for (const port of ports) {
    await Bun.udpSocket({
      hostname: '::',
      port,
      socket: {
        data: (_socket, data, _port, address) => {
          if (data.toString() !== waiting?.token) return;
          waiting.arrived({ at, port, source: address.replace(/^::ffff:/, '') });
        },
      },
    });
  }
}
console.log('ready');

let serial = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const probe = JSON.parse(line) as Probe;
  const token = `probe ${++serial}`;
  enterNetns(paths.get(probe.from)!);
  const socket = await Bun.udpSocket({
    hostname: probe.source ?? (probe.to.includes(':') ? '::' : '0.0.0.0'),
    port: probe.sourcePort,
    socket: { error: () => {} },
  });
  const arrival = Promise.withResolvers<Arrival | null>();
  waiting = { token, arrived: arrival.resolve };
  // A datagram crosses pairs of links while it is sent: what has not arrived soon was dropped.
  const timer = setTimeout(() => arrival.resolve(null), probe.patience);
  try {
    socket.send(token, probe.port, probe.to);
  } catch (error) {
    // Rules that drop what a process sends tell it so, and refusals come back at once.
    if (!['EPERM', 'ECONNREFUSED', 'EHOSTUNREACH'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    arrival.resolve(null);
  }
  console.log(JSON.stringify(await arrival.promise));
  clearTimeout(timer);
  waiting = undefined;
  socket.close();
}
process.exit(0);
