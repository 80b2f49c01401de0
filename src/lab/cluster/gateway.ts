import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { readIfExists, writeFileAtomic } from '../../sys/files.ts';
import { enterNetns } from '../../sys/netns.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { messageOf } from '../../util/errors.ts';
import { main as registryMain } from '../images/registry.ts';

/** One published port: connections to `listen` on the machine go to `target` on the node network. */
export interface PublishedPort {
  listen: { host: string; port: number };
  target: { host: string; port: number };
}

/** The configuration of a cluster's gateway, as JSON in the file that its one argument names. */
export interface GatewayConfig {
  /** Network namespace file of the lab. */
  netns: string;
  ports: PublishedPort[];
  /** File that gets a {@link GatewayReport}. */
  report: string;
  /** Arguments of the registry daemon, which listens in the lab's namespace. */
  registry: string[];
}

/** What became of the ports: where each listens, in their order, or why one of them does not. */
export type GatewayReport = { ports: number[] } | { error: string };

/**
 * The one process of a cluster that stands in two namespaces. It listens on loopback in the namespace it was started in,
 * then moves into the lab's: a listening socket stays in the namespace it was made in while every connection made later
 * belongs to the new one. So the machine's own namespace never has a packet for a node. After the move it also serves the
 * lab's images.
 *
 * The kernel chooses the number of a port 0 the first time, and the gateway writes it into its report; after a restart the
 * gateway uses the same numbers, because clients already know them.
 */
export async function main(argv: string[]): Promise<number> {
  const path = argv[0];
  if (path === undefined) throw new Error('gateway: needs the path of its configuration');
  const config = JSON.parse(await readFile(path, 'utf8')) as GatewayConfig;
  await listen(config);
  enterNetns(config.netns);
  return await registryMain(config.registry);
}

async function listen({ ports, report }: GatewayConfig): Promise<void> {
  const before = JSON.parse((await readIfExists(report)) ?? '{}') as Partial<GatewayReport>;
  const known = 'ports' in before ? before.ports : undefined;
  const tell = (content: GatewayReport) => writeFileAtomic(report, `${JSON.stringify(content)}\n`);
  try {
    const wanted = ports.map(({ listen }, index) => known?.[index] ?? listen.port);
    const bound: number[] = [];
    // Those that are fixed first, or the kernel might choose one of them.
    for (const isOpen of [false, true]) {
      await Promise.all(
        ports.map(async (port, index) => {
          if ((wanted[index] === 0) === isOpen) bound[index] = await publish(port, wanted[index]!);
        }),
      );
    }
    if (known === undefined) await tell({ ports: bound });
  } catch (cause) {
    if (known === undefined) await tell({ error: (cause as Error).message });
    throw cause;
  }
}

/** Publishes a target on `port` (0: any) of the address to listen on; returns the number of the port that was bound. */
function publish({ listen, target }: PublishedPort, port: number): Promise<number> {
  // A client that waits for a server to start tries many times a second: one line says it until something changes.
  let lastSaid = '';
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const upstream = net.connect({ ...target, allowHalfOpen: true });
    client.pipe(upstream);
    upstream.pipe(client);
    upstream.on('error', (error) => {
      const said = `publish ${formatEndpoint({ address: target.host, port: target.port })}: ${messageOf(error)}`;
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
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const what = cause.code === 'EADDRINUSE' ? 'another program listens there' : cause.message;
      const where = formatEndpoint({ address: listen.host, port });
      reject(new Error(`cannot publish ${where}: ${what}`, { cause }));
    });
    server.listen(port, listen.host, () => resolve((server.address() as net.AddressInfo).port));
  });
}
