import type { IncomingMessage } from 'node:http';
import type { NetConnectOpts, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Headers that concern one connection only, and so are not passed on; those of the upgrade itself are. */
const HOP_BY_HOP = [
  'host',
  'keep-alive',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'authorization',
];

/**
 * Passes an HTTP upgrade on to `target` over plain TCP and then bytes both ways, each direction closed by itself, until both
 * are. Whatever the target answers (101 or a refusal) goes back as it is.
 */
export async function forwardUpgrade(
  request: IncomingMessage,
  client: Duplex,
  head: Uint8Array,
  target: URL,
  connect: (options: NetConnectOpts) => Socket,
): Promise<void> {
  const upstream = connect({
    host: target.hostname.replace(/^\[|\]$/g, ''),
    port: Number(target.port),
    allowHalfOpen: true,
  });
  await new Promise<void>((resolve, reject) => {
    upstream.once('connect', resolve);
    upstream.once('error', reject);
  });
  const lines = [`${request.method} ${target.pathname}${target.search} HTTP/1.1`, `Host: ${target.host}`];
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index]!;
    if (!HOP_BY_HOP.includes(name.toLowerCase())) lines.push(`${name}: ${request.rawHeaders[index + 1]}`);
  }
  upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
  if (head.length > 0) upstream.write(head);
  // A side that breaks ends the other: no one is left to send an error to.
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.destroy());
  client.pipe(upstream);
  upstream.pipe(client);
  client.once('close', () => upstream.destroy());
}
