import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { main as registryMain } from '../images/registry.ts';
import { enterNetns } from '../sys/netns.ts';
import { messageOf } from '../util/errors.ts';

/** One published port: connections to `listen` on the machine go to `target` on the node network. */
export interface PublishedPort {
  listen: { host: string; port: number };
  target: { host: string; port: number };
}

/** What the gateway of a cluster is told, as JSON in the file its one argument names. */
export interface GatewayConfig {
  /** Network namespace file of the lab. */
  netns: string;
  ports: PublishedPort[];
  /** Arguments of the registry daemon, which listens in the lab's namespace. */
  registry: string[];
}

/**
 * The one process of a cluster that stands in two namespaces. It listens on loopback in the namespace it was started in,
 * then moves into the lab's: a listening socket stays in the namespace it was made in while every connection made later
 * belongs to the new one. So the machine's own namespace never has a packet for a node. After the move it also serves the
 * lab's images.
 */
export async function main(argv: string[]): Promise<number> {
  const path = argv[0];
  if (path === undefined) throw new Error('gateway: needs the path of its configuration');
  const config = JSON.parse(await readFile(path, 'utf8')) as GatewayConfig;
  await Promise.all(config.ports.map(publish));
  enterNetns(config.netns);
  return await registryMain(config.registry);
}

function publish({ listen, target }: PublishedPort): Promise<void> {
  // A client that waits for a server to start tries many times a second: one line says it until something changes.
  let lastSaid = '';
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const upstream = net.connect({ ...target, allowHalfOpen: true });
    client.pipe(upstream);
    upstream.pipe(client);
    upstream.on('error', (error) => {
      const said = `publish ${target.host}:${target.port}: ${messageOf(error)}`;
      if (said !== lastSaid) console.error(said);
      lastSaid = said;
      client.destroy();
    });
    upstream.on('connect', () => {
      lastSaid = '';
    });
    client.on('error', () => upstream.destroy());
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new Error(`publish ${listen.host}:${listen.port}: ${cause.message}`, { cause })),
    );
    server.listen(listen.port, listen.host, resolve);
  });
}
