import { randomInt } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { NodeServer } from '../src/lab/doctor/node-server.ts';
import { askForProbes } from '../src/node/probe/ask.ts';
import type { ProbeOrder } from '../src/node/probe/order.ts';
import { type FlowRecord, flowRecordSchema, type TracedFlow } from '../src/path/model/flow-trace.ts';
import { known } from '../src/path/model/observed.ts';
import type { ProbeResult } from '../src/path/model/probe.ts';
import { firstPackets } from '../src/path/trace/packets.ts';
import type { Sender } from '../src/path/trace/story.ts';
import { output, realExec } from '../src/sys/exec.ts';
import { linesOf } from '../src/sys/lines.ts';
import { waitFor } from '../src/sys/wait.ts';
import { familyOf } from '../src/util/family.ts';

/** Addresses of the places: a client outside, the node, a pod behind it. Nothing leads out of these namespaces. */
export const CLIENT = '10.91.0.1';
export const NODE = '10.91.0.2';
export const NODE6 = 'fd91::2';
export const POD = '10.92.0.2';
export const HOST_PORT = 8080;
export const CONTAINER_PORT = 80;

const PROBE_MS = 700;
const ASKED = { timeoutMs: 60_000 };

interface TraceOptions {
  from?: Place;
  to?: string;
  protocol?: TracedFlow['protocol'];
  /** The client sends to another machine of the link. */
  isAstray?: boolean;
}

/** What the story is made from. */
export interface Recorded {
  flow: TracedFlow;
  sender: Sender;
  probe: Pick<ProbeResult, 'outcome' | 'detail'>;
  record: FlowRecord;
}

const PLACES = ['client', 'node', 'pod'] as const;
type Place = (typeof PLACES)[number];

const LISTENER = `
  const tcp = Bun.listen({ hostname: '0.0.0.0', port: ${CONTAINER_PORT}, socket: { data() {} } });
  const udp = await Bun.udpSocket({
    hostname: '0.0.0.0',
    port: ${CONTAINER_PORT},
    socket: { data: (socket, data, port, address) => void socket.send(data, port, address) },
  });
  console.log('ready');
`;

/** A hostPort by iptables-nft as portmap writes it: DNAT, and masquerading where the answer would not come back. */
export const MAPPING = `*nat
-A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport ${HOST_PORT} -j DNAT --to-destination ${POD}:${CONTAINER_PORT}
-A PREROUTING -m addrtype --dst-type LOCAL -p udp --dport ${HOST_PORT} -j DNAT --to-destination ${POD}:${CONTAINER_PORT}
-A OUTPUT -m addrtype --dst-type LOCAL -p tcp --dport ${HOST_PORT} -j DNAT --to-destination ${POD}:${CONTAINER_PORT}
-A POSTROUTING -s 127.0.0.0/8 ! -d 127.0.0.0/8 -j MASQUERADE
COMMIT
`;

/** A node with a hostPort of a pod, and a client, each in a network namespace of its own. */
export class TraceBench {
  readonly #name: string;
  readonly servers: Record<'client' | 'node', NodeServer>;
  #listener: Bun.Subprocess<'ignore', 'pipe', 'inherit'> | undefined;

  private constructor(name: string) {
    this.#name = name;
    this.servers = { client: this.newServer('client'), node: this.newServer('node') };
  }

  static async create(name: string): Promise<TraceBench> {
    const bench = new TraceBench(`hpt-${name}-${process.pid}`);
    for (const place of PLACES) await output(realExec, ['ip', 'netns', 'add', bench.netns(place)]);
    const lines = (place: Place, ...commands: string[]) =>
      output(realExec, ['ip', '-n', bench.netns(place), '-batch', '-'], {
        stdin: [...commands, 'link set lo up', ''].join('\n'),
      });
    await lines(
      'node',
      `link add eth0 type veth peer name eth0 netns ${bench.netns('client')}`,
      `link add lxc1 type veth peer name eth0 netns ${bench.netns('pod')}`,
      `address add ${NODE}/24 dev eth0`,
      `address add ${NODE6}/64 dev eth0 nodad`,
      'address add 10.92.0.1/24 dev lxc1',
      'link set eth0 up',
      'link set lxc1 up',
    );
    await lines(
      'client',
      `address add ${CLIENT}/24 dev eth0`,
      'address add fd91::1/64 dev eth0 nodad',
      'link set eth0 up',
    );
    await lines(
      'pod',
      `address add ${POD}/24 dev eth0`,
      'link set eth0 up',
      'route add default via 10.92.0.1',
    );
    await bench.inNode('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.lxc1.route_localnet=1');
    await bench.listen();
    return bench;
  }

  netns(place: Place): string {
    return `${this.#name}-${place}`;
  }

  path(place: Place): string {
    return `/run/netns/${this.netns(place)}`;
  }

  async listen(): Promise<void> {
    const listener = Bun.spawn(['nsenter', `--net=${this.path('pod')}`, process.execPath, '-e', LISTENER], {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'inherit',
    });
    this.#listener = listener;
    let printed = '';
    void (async () => {
      for await (const chunk of listener.stdout) printed += new TextDecoder().decode(chunk);
    })();
    await waitFor('the listener', () => printed.includes('ready'), { timeoutMs: 30_000 });
  }

  async silence(): Promise<void> {
    this.#listener?.kill('SIGKILL');
    await this.#listener?.exited;
    this.#listener = undefined;
  }

  inNode(...argv: string[]): Promise<string> {
    return output(realExec, ['nsenter', `--net=${this.path('node')}`, ...argv]);
  }

  /** Puts the mapping in the place of all rules, and more rules behind it. */
  async load(more: { iptables?: string; nft?: string; legacy?: string } = {}): Promise<void> {
    const load = (argv: string[], stdin: string) =>
      output(realExec, ['nsenter', `--net=${this.path('node')}`, ...argv], { stdin });
    await load(['nft', '-f', '-'], 'flush ruleset\n');
    await load(
      ['iptables-legacy-restore'],
      `${['raw', 'mangle', 'filter', 'nat'].map((table) => `*${table}\nCOMMIT\n`).join('')}${more.legacy ?? ''}`,
    );
    await load(['iptables-nft-restore'], MAPPING);
    if (more.iptables !== undefined) await load(['iptables-nft-restore', '--noflush'], more.iptables);
    if (more.nft !== undefined) await load(['nft', '-f', '-'], more.nft);
  }

  /** Removes all rules. */
  async clear(): Promise<void> {
    await output(realExec, ['nsenter', `--net=${this.path('node')}`, 'nft', '-f', '-'], {
      stdin: 'flush ruleset\n',
    });
  }

  /** The number of the node's network namespace. */
  get netnsNumber(): number {
    return statSync(this.path('node')).ino;
  }

  /** A `node-serve` that a test can kill. */
  rawServer(): {
    child: Bun.Subprocess<'pipe', 'pipe', 'inherit'>;
    write(request: unknown): void;
    line(): Promise<string>;
  } {
    const child = Bun.spawn(this.#argv('node'), { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' });
    const lines = linesOf(child.stdout, 1024 * 1024);
    return {
      child,
      write: (request) => {
        child.stdin.write(`${JSON.stringify(request)}\n`);
        child.stdin.flush();
      },
      line: async () => String((await lines.next()).value),
    };
  }

  newServer(place: Place): NodeServer {
    return new NodeServer(async () => this.#argv(place));
  }

  #argv(place: Place): string[] {
    const main = join(import.meta.dir, '../src/cli/main.ts');
    return ['nsenter', `--net=${this.path(place)}`, process.execPath, main, 'node-serve'];
  }

  /** Sends one probe. */
  async probe({
    from = 'client',
    to = NODE,
    protocol = 'TCP',
    sourcePort,
  }: TraceOptions & { sourcePort?: number }): Promise<ProbeResult> {
    const order: ProbeOrder = {
      ...{ vantage: 'outside', node: 'node', podUid: '', protocol, hostPort: HOST_PORT },
      target: { address: to, port: HOST_PORT },
      ...(sourcePort !== undefined && { sourcePort }),
    };
    const [sent] = await askForProbes(
      [{ stand: { at: 'outside' }, orders: [order] }],
      { timeoutMs: PROBE_MS, placeOf: async () => ({ path: this.path(from) }) },
      (request, timeoutMs) => this.#senderAt(from).ask(request, { timeoutMs }),
    );
    return known(sent!)![0]!;
  }

  #senderAt(place: Place): NodeServer {
    return this.servers[place === 'client' ? 'client' : 'node'];
  }

  /** Traces one probe. */
  async trace(options: TraceOptions): Promise<Recorded> {
    const { from = 'client', to = NODE, protocol = 'TCP', isAstray = false } = options;
    const sourcePort = randomInt(61_000, 65_536);
    const flow: TracedFlow = {
      protocol,
      family: familyOf(to),
      address: to,
      port: HOST_PORT,
      sourcePort,
      containerPort: CONTAINER_PORT,
    };
    const pid = (await this.#senderAt(from).ask({ do: 'trace-sender' }, ASKED)) as number | null;
    if (isAstray) await this.#neighbour('replace', 'lladdr', '02:00:00:00:00:99', 'dev', 'eth0');
    const trace = (await this.servers.node.ask({ do: 'trace-start', flow }, ASKED)) as string;
    const probe = await this.probe({ ...options, sourcePort });
    const record = flowRecordSchema.parse(await this.servers.node.ask({ do: 'trace-stop', trace }, ASKED));
    if (isAstray) await this.#neighbour('del', 'dev', 'eth0');
    return { flow, sender: { isNode: from === 'node', pid: pid ?? undefined }, probe, record };
  }

  async #neighbour(verb: string, ...words: string[]): Promise<void> {
    await output(realExec, ['ip', '-n', this.netns('client'), 'neighbour', verb, NODE, ...words]);
  }

  async dispose(): Promise<void> {
    await Promise.all(Object.values(this.servers).map((server) => server.close()));
    await this.silence();
    for (const place of PLACES) await realExec.run(['ip', 'netns', 'delete', this.netns(place)]);
  }
}

/** A record without what differs from run to run: numbers of packets and threads, the source port, drops of others; later packets are left out. */
export function normalised({ flow, sender, probe, record }: Recorded): Recorded {
  const PORT = 61_000;
  const { events, drops } = record;
  const kept = 'value' in events ? firstPackets(flow, events.value) : {};
  const wanted = new Set(Object.values(kept).flatMap((packet) => packet.events));
  const ids = new Map<number, number>();
  const number = (id: number) => ids.get(id) ?? ids.set(id, ids.size + 1).get(id)!;
  const port = (value: number | undefined) => (value === flow.sourcePort ? PORT : value);
  const { outcome, detail } = probe;
  return {
    flow: { ...flow, sourcePort: PORT },
    sender: { ...sender, pid: 1 },
    probe: { outcome, detail },
    record: {
      ...record,
      pid: 2,
      events:
        'value' in events
          ? {
              value: events.value
                .filter((event) => wanted.has(event))
                .map((event) => ({
                  ...event,
                  id: number(event.id),
                  table: event.table.replace(/^(hostport-trace-).*/, '$1x'),
                  ...(event.packet && {
                    packet: {
                      ...event.packet,
                      sourcePort: port(event.packet.sourcePort),
                      destinationPort: port(event.packet.destinationPort),
                    },
                  }),
                })),
            }
          : events,
      drops:
        'value' in drops
          ? {
              value: drops.value.filter(({ pid }) => pid === sender.pid).map((drop) => ({ ...drop, pid: 1 })),
            }
          : drops,
    },
  };
}
