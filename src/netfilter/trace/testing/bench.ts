import { output, realExec } from '../../../sys/exec.ts';
import { isLoopbackText } from '../../../util/address.ts';
import { familyOf, NFT_FAMILY } from '../../../util/family.ts';
import type { Rule, Ruleset } from '../../read/model.ts';
import { readRuleset } from '../../read/read-ruleset.ts';
import type { Environment, Outcome, Packet } from '../trace-types.ts';

/** What is loaded into the node of a {@link Bench}: documents of iptables-restore and nft. */
export interface Rules {
  'iptables-nft'?: string;
  'ip6tables-nft'?: string;
  'iptables-legacy'?: string;
  nft?: string;
}

export type Place = 'outside' | 'node' | 'a' | 'b';

/** A datagram to send, and what is known of where it goes. */
export interface Sending {
  from: Place;
  to: string;
  port: number;
  /** Source address, when it is not the first of its place. */
  source?: string;
}

export interface Arrival {
  at: string;
  port: number;
  source: string;
}

/** Ports that everybody listens on. */
export const PORTS = [80, 81, 8080, 8081, 9000];

const LINKS: { place: Place; ip: [string, string]; ip6: [string, string] }[] = [
  { place: 'outside', ip: ['10.78.0.1', '10.78.0.2'], ip6: ['fd78::1', 'fd78::2'] },
  { place: 'a', ip: ['10.88.1.2', '10.88.1.1'], ip6: ['fd88:1::2', 'fd88:1::1'] },
  { place: 'b', ip: ['10.88.2.2', '10.88.2.1'], ip6: ['fd88:2::2', 'fd88:2::1'] },
];
/** A second address of the node. */
const SECOND = '10.78.0.3';

const NETWORKS: [prefix: string, link: string][] = LINKS.flatMap(({ place, ip, ip6 }) => [
  [ip[0].replace(/\d+$/, ''), `to-${place}`] as [string, string],
  [ip6[0].replace(/::\d+$/, '::'), `to-${place}`] as [string, string],
]);
const NODE_ADDRESSES = new Set([SECOND, ...LINKS.flatMap(({ ip, ip6 }) => [ip[1], ip6[1]])]);

/** The node as {@link Bench} makes it, for the simulator. */
export const ENVIRONMENT: Environment = {
  isLocal: (address) => NODE_ADDRESSES.has(address),
  route({ destination }) {
    if (NODE_ADDRESSES.has(destination) || isLoopbackText(destination)) {
      return { kind: 'local' };
    }
    const link = NETWORKS.find(([prefix]) => destination.startsWith(prefix))?.[1];
    return link === undefined
      ? { kind: 'unroutable', reason: `no route to ${destination}` }
      : { kind: 'forward', outputInterface: link };
  },
  primaryAddress(name, family) {
    // By way of lo the kernel takes the first address of the machine that is good everywhere (inet_select_addr).
    if (name === 'lo') return LINKS[0]![family][1];
    return LINKS.find(({ place }) => name === `to-${place}`)?.[family][1];
  },
};

let serial = 0;

/**
 * A node with a neighbour outside and two pods, each in a network namespace of its own and none with a way out, rules loaded by
 * the real tools, and datagrams sent by {@link file://./station.ts}.
 */
export class Bench {
  readonly #names: Record<Place, string>;
  #station: Bun.Subprocess<'pipe', 'pipe', 'inherit'> | undefined;
  #lines: AsyncIterator<string> | undefined;
  #sourcePort = 20_000;

  private constructor() {
    const name = (place: Place) => `hpt-rules-${process.pid}-${++serial}-${place}`;
    this.#names = { outside: name('outside'), node: name('node'), a: name('a'), b: name('b') };
  }

  static async create(): Promise<Bench> {
    const bench = new Bench();
    for (const name of Object.values(bench.#names)) {
      await output(realExec, ['ip', 'netns', 'add', name]);
      await output(realExec, ['ip', '-n', name, 'link', 'set', 'lo', 'up']);
    }
    await bench.#run('node', ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    for (const { place, ip, ip6 } of LINKS) {
      const at = bench.#names[place];
      const node = bench.#names.node;
      await output(realExec, [
        ...['ip', '-n', at, 'link', 'add', 'to-node', 'type', 'veth', 'peer', 'name', `to-${place}`],
        ...['netns', node],
      ]);
      for (const [where, link, mine, theirs, mine6, theirs6] of [
        [at, 'to-node', ip[0], ip[1], ip6[0], ip6[1]],
        [node, `to-${place}`, ip[1], undefined, ip6[1], undefined],
      ] as const) {
        await output(realExec, ['ip', '-n', where, 'address', 'add', `${mine}/24`, 'dev', link]);
        await output(realExec, ['ip', '-n', where, 'address', 'add', `${mine6}/64`, 'dev', link, 'nodad']);
        await output(realExec, ['ip', '-n', where, 'link', 'set', link, 'up']);
        if (theirs === undefined) continue;
        await output(realExec, ['ip', '-n', where, 'route', 'add', 'default', 'via', theirs]);
        await output(realExec, ['ip', '-n', where, '-6', 'route', 'add', 'default', 'via', theirs6!]);
      }
      await bench.#run('node', ['sysctl', '-qw', `net.ipv4.conf.to-${place}.route_localnet=1`]);
    }
    await bench.#run('node', ['ip', 'address', 'add', `${SECOND}/24`, 'dev', 'to-outside']);
    const station = Bun.spawn(
      [
        ...[process.execPath, 'run', `${import.meta.dir}/station.ts`, PORTS.join(',')],
        ...Object.entries(bench.#names).map(([place, name]) => `${place}=/run/netns/${name}`),
      ],
      { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' },
    );
    bench.#station = station;
    bench.#lines = linesOf(station.stdout);
    const first = await bench.#lines.next();
    if (first.value !== 'ready') throw new Error(`the station did not get ready: ${String(first.value)}`);
    return bench;
  }

  /** Puts rules in the place of all that are there. */
  async load(rules: Rules): Promise<void> {
    await this.#run('node', ['nft', 'flush', 'ruleset']);
    const empty = ['raw', 'mangle', 'nat', 'filter'].map((table) => `*${table}\nCOMMIT\n`).join('');
    await this.#run('node', ['iptables-legacy-restore'], `${empty}${rules['iptables-legacy'] ?? ''}`);
    for (const tool of ['iptables-nft', 'ip6tables-nft'] as const) {
      if (rules[tool] !== undefined) await this.#run('node', [`${tool}-restore`], rules[tool]);
    }
    if (rules.nft !== undefined) await this.#run('node', ['nft', '-f', '-'], rules.nft);
  }

  /** What the tools say is loaded. */
  async ruleset(): Promise<Ruleset> {
    const [nft4, nft6, legacy, native] = await Promise.all([
      this.#run('node', ['iptables-nft-save', '-c']),
      this.#run('node', ['ip6tables-nft-save', '-c']),
      this.#run('node', ['iptables-legacy-save', '-c']),
      this.#run('node', ['nft', '-j', 'list', 'ruleset']),
    ]);
    return readRuleset({
      iptables: [
        { backend: 'iptables-nft', family: 'ip', text: nft4 },
        { backend: 'iptables-nft', family: 'ip6', text: nft6 },
        { backend: 'iptables-legacy', family: 'ip', text: legacy },
      ],
      nft: native,
    });
  }

  /** The packet that {@link send} would send, for the simulator. */
  packet({ from, to, port, source }: Sending): Packet {
    const family = NFT_FAMILY[familyOf(to)];
    const link = LINKS.find(({ place }) => place === from);
    const common = {
      family,
      protocol: 'udp' as const,
      destination: to,
      destinationPort: port,
      sourcePort: this.#sourcePort + 1,
    };
    if (link !== undefined) {
      const own = source ?? link[family][0];
      return { ...common, entry: 'prerouting', source: own, inputInterface: `to-${from}` };
    }
    const route = ENVIRONMENT.route({
      family,
      source: '',
      destination: to,
      inputInterface: undefined,
      mark: 0,
    });
    const loopback = isLoopbackText(to);
    const chosen =
      route.kind === 'forward'
        ? ENVIRONMENT.primaryAddress!(route.outputInterface, family)!
        : loopback
          ? family === 'ip'
            ? '127.0.0.1'
            : '::1'
          : // The kernel prefers the first address of the interface that has it.
            to === SECOND
            ? LINKS[0]!.ip[1]
            : to;
    return { ...common, entry: 'output', source: source ?? chosen };
  }

  /** Sends a datagram; resolves with where it arrived, or `null` when it did not within `patience` milliseconds. */
  async send(sending: Sending, patience: number): Promise<Arrival | null> {
    const sourcePort = ++this.#sourcePort;
    this.#station!.stdin.write(`${JSON.stringify({ ...sending, sourcePort, patience })}\n`);
    this.#station!.stdin.flush();
    const { value } = await this.#lines!.next();
    return JSON.parse(value as string) as Arrival | null;
  }

  async dispose(): Promise<void> {
    this.#station?.stdin.end();
    this.#station?.kill('SIGKILL');
    await this.#station?.exited;
    for (const name of Object.values(this.#names)) await output(realExec, ['ip', 'netns', 'delete', name]);
  }

  #run(place: Place, argv: string[], stdin?: string): Promise<string> {
    return output(realExec, ['ip', 'netns', 'exec', this.#names[place], ...argv], { stdin });
  }
}

/** Where a datagram with this outcome arrives on a {@link Bench}. */
export function arrivalOf(outcome: Outcome): Arrival | null {
  const { delivery, destination, destinationPort, source } = outcome;
  if (outcome.verdict !== 'accept' || delivery === undefined || source === undefined) return null;
  if (destinationPort === undefined || !PORTS.includes(destinationPort)) return null;
  if (delivery.kind === 'local') return { at: 'node', port: destinationPort, source };
  const link = LINKS.find(({ place }) => `to-${place}` === delivery.outputInterface);
  const isTheirs = link !== undefined && (destination === link.ip[0] || destination === link.ip6[0]);
  // Nobody takes a packet from outside that claims to come from himself or from loopback.
  const martian = isLoopbackText(source) || source === link?.ip[0] || source === link?.ip6[0];
  return isTheirs && !martian ? { at: link.place, port: destinationPort, source } : null;
}

/** Rules whose counters went up from one reading to the next, by place. */
export function counted(before: Ruleset, after: Ruleset): string[] {
  const counts = new Map(rulesOf(before).map((rule) => [placeOf(rule), rule.counters?.packets]));
  return rulesOf(after)
    .filter((rule) => rule.counters !== undefined && rule.counters.packets !== counts.get(placeOf(rule)))
    .map(placeOf)
    .sort();
}

/** Place and text of a rule. */
export function placeOf({ location, text }: Rule): string {
  return `${location.backend} ${location.family} ${location.table} ${location.chain} ${location.index}: ${text}`;
}

function rulesOf(ruleset: Ruleset): Rule[] {
  return ruleset.tables.flatMap(({ chains }) => [...chains.values()].flatMap(({ rules }) => rules));
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop()!;
    yield* parts;
  }
}
