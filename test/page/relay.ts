/**
 * Carries connections between network namespaces by a Unix socket. `bun relay.ts PORT SOCKET` listens on 127.0.0.1:PORT of the namespace that it runs
 * in, and passes what comes to whoever listens on SOCKET; it creates SOCKET.ready when it listens. Nothing but loopback and files is used.
 */
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Passes what comes on one connection to the other, until either ends. */
function join(a: Socket, b: Socket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    from.pipe(to);
  }
}

/** One connection that was carried, as bytes: what the browser sent, and what it was answered. */
export interface Carried {
  sent: string;
  answered: string;
}

/** The other end: passes what comes by the socket to 127.0.0.1:`port` of this process's namespace, and keeps it in `carried`. */
export function relayEnd(socket: string, port: number, carried: Carried[]): Server {
  return createServer((client) => {
    const server = connect(port, '127.0.0.1');
    const both: Carried = { sent: '', answered: '' };
    carried.push(both);
    client.on('data', (bytes) => {
      both.sent += bytes.toString('latin1');
    });
    server.on('data', (bytes) => {
      both.answered += bytes.toString('latin1');
    });
    join(client, server);
  }).listen(socket);
}

if (import.meta.main) {
  const [port, socket] = process.argv.slice(2);
  createServer((client) => join(client, connect(socket!))).listen(Number(port), '127.0.0.1', () =>
    writeFileSync(`${socket}.ready`, ''),
  );
}
