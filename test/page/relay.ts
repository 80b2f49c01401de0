/**
 * Carries connections between network namespaces by a Unix socket: `bun relay.ts PORT SOCKET` listens on 127.0.0.1:PORT of the namespace that it runs
 * in, and passes what comes to whoever listens on SOCKET. Nothing but loopback and a file is used.
 */
import { connect, createServer, type Socket } from 'node:net';

/** Passes what comes on one connection to the other, until either ends. */
export function join(a: Socket, b: Socket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    from.pipe(to);
  }
}

if (import.meta.main) {
  const [port, socket] = process.argv.slice(2);
  createServer((client) => join(client, connect(socket!))).listen(Number(port), '127.0.0.1');
}
