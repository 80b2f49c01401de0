import { dlopen } from 'bun:ffi';
import { closeSync, writeFileSync } from 'node:fs';
import { bunExec } from '../../../sys/bun-exec.ts';
import { output, realExec } from '../../../sys/exec.ts';
import { inNetns } from '../../../sys/netns.ts';
import { isLoopbackText } from '../../../util/address.ts';
import type { NftFamily } from '../../../util/family.ts';
import type { Hook, Ruleset } from '../../read/model.ts';
import { readRuleset } from '../../read/read-ruleset.ts';
import { decodeTrace, type TraceEvent } from '../kernel-message.ts';
import type { Environment } from '../trace-types.ts';
import { addressBytes, PROBE_DSCP, wirePacket } from './wire-packet.ts';

/** Rules as the tools read them: documents of `iptables-restore`, `ip6tables-restore` and `nft`. */
export interface Documents {
  ip?: string;
  ip6?: string;
  nft?: string;
}

export type Origin = 'outside' | 'a' | 'b' | 'node';

/** A packet to send. */
export interface Probe {
  from: Origin;
  family: NftFamily;
  protocol: 'tcp' | 'udp' | 'sctp' | 'icmp' | 'icmpv6' | number;
  source: string;
  destination: string;
  destinationPort: number;
  mark: number;
  /** `established`: a packet of it and an answer went through before the rules came; `invalid`: its checksum is wrong. */
  state: 'new' | 'established' | 'invalid';
}

/** Table that has the kernel trace probes and say where they are at both ends of each hook. */
export const WATCH = 'watch';
/** Ports of the packet after which everything that the kernel had to say of those before has been said. */
const LAST = { port: 7, sourcePort: 7 };

const LINKS: Record<Exclude<Origin, 'node'>, { ip: [string, string]; ip6: [string, string] }> = {
  outside: { ip: ['10.78.0.1', '10.78.0.2'], ip6: ['fd78::1', 'fd78::2'] },
  a: { ip: ['10.88.1.2', '10.88.1.1'], ip6: ['fd88:1::2', 'fd88:1::1'] },
  b: { ip: ['10.88.2.2', '10.88.2.1'], ip6: ['fd88:2::2', 'fd88:2::1'] },
};
/** Another address of the node. Of IPv6 the one added last is the first of its device. */
const SECOND = { ip: '10.78.0.3', ip6: 'fd78::3' };
const ORIGINS = Object.keys(LINKS) as (keyof typeof LINKS)[];
const NODE_ADDRESSES = new Set([
  ...Object.values(SECOND),
  ...ORIGINS.flatMap((origin) => [LINKS[origin].ip[1], LINKS[origin].ip6[1]]),
]);

/** What {@link KernelTrace} makes, for the simulator. */
export const NODE: Environment = {
  isLocal: (address) => NODE_ADDRESSES.has(address),
  route({ destination }) {
    if (NODE_ADDRESSES.has(destination) || isLoopbackText(destination)) return { kind: 'local' };
    const origin = ORIGINS.find((each) => {
      const { ip, ip6 } = LINKS[each];
      return (
        destination.startsWith(ip[0].replace(/\d+$/, '')) ||
        destination.startsWith(ip6[0].replace(/::\d+$/, '::'))
      );
    });
    return origin === undefined
      ? { kind: 'unroutable', reason: `no route to ${destination}` }
      : { kind: 'forward', outputInterface: `to-${origin}` };
  },
  primaryAddress(name, family) {
    if (name === 'lo') return LINKS.outside[family][1];
    const origin = ORIGINS.find((each) => name === `to-${each}`);
    return origin && LINKS[origin][family][1];
  },
};

/** Whose address it is, among those that answer. */
export function ownerOf(address: string): Origin | undefined {
  if (NODE_ADDRESSES.has(address) || isLoopbackText(address)) return 'node';
  return ORIGINS.find((origin) => LINKS[origin].ip[0] === address || LINKS[origin].ip6[0] === address);
}

/** The address that a place has. */
export function addressOf(origin: Origin, family: NftFamily): string {
  return origin === 'node' ? LINKS.outside[family][1] : LINKS[origin][family][0];
}

const AF_NETLINK = 16;
const AF_PACKET = 17;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const NETLINK_NETFILTER = 12;
const NFNLGRP_NFTRACE = 9;
const IPPROTO_RAW = 255;
const SOL_SOCKET = 1;
const SO_MARK = 36;
const SO_RCVBUFFORCE = 33;
const SO_RCVTIMEO = 20;
const ETHERTYPE = { ip: 0x0800, ip6: 0x86dd } as const;
/** Seconds that the kernel may take for a packet before something is wrong. */
const PATIENCE = 10;

const openLibc = () =>
  dlopen('libc.so.6', {
    socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
    setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
    sendto: { args: ['i32', 'ptr', 'usize', 'i32', 'ptr', 'u32'], returns: 'i32' },
    recv: { args: ['i32', 'ptr', 'usize', 'i32'], returns: 'i32' },
    sched_getaffinity: { args: ['i32', 'usize', 'ptr'], returns: 'i32' },
    sched_setaffinity: { args: ['i32', 'usize', 'ptr'], returns: 'i32' },
  });

let serial = 0;

/**
 * A node with three links in a network namespace of its own. It loads rules, sends a packet through them and returns what the kernel's
 * own tracing says of its way (`meta nftrace set 1`, linux/netfilter/nf_tables.h, NFT_MSG_TRACE). Neighbours are not needed: packets that
 * leave the node are lost behind the last hook.
 */
export class KernelTrace {
  readonly #libc = openLibc();
  readonly #node: string;
  readonly #peer: string;
  readonly #buffer = Buffer.alloc(256 * 1024);
  readonly #links = new Map<number, string>();
  readonly #peerIndex = new Map<Origin, number>();
  readonly #macs = new Map<Origin, Buffer>();
  readonly #open: number[] = [];
  #trace = -1;
  #packets = -1;
  #raw = { ip: -1, ip6: -1 };
  #sourcePort = 20_000;

  private constructor() {
    const name = (place: string) => `hpt-trace-${process.pid}-${++serial}-${place}`;
    this.#node = name('node');
    this.#peer = name('peer');
  }

  static async create(): Promise<KernelTrace> {
    const made = new KernelTrace();
    try {
      await made.#build();
      return made;
    } catch (error) {
      await made.dispose();
      throw error;
    }
  }

  async #build(): Promise<void> {
    for (const name of [this.#node, this.#peer]) await output(realExec, ['ip', 'netns', 'add', name]);
    this.#in(this.#node, () => {
      const settings = {
        'ipv4/ip_forward': 1,
        'ipv6/conf/all/forwarding': 1,
        ...{ 'ipv4/conf/all/rp_filter': 0, 'ipv4/conf/default/rp_filter': 0 },
        ...{ 'ipv4/conf/all/route_localnet': 1, 'ipv6/conf/default/accept_dad': 0 },
        'ipv6/conf/default/router_solicitations': 0,
        // A redirect is a packet of the same connection, whose rules would change it.
        ...{ 'ipv4/conf/all/send_redirects': 0, 'ipv4/conf/default/send_redirects': 0 },
      };
      for (const [path, value] of Object.entries(settings))
        writeFileSync(`/proc/sys/net/${path}`, String(value));
    });
    const batch = [
      'link set lo up',
      `address add ${SECOND.ip}/24 dev to-outside`,
      `address add ${SECOND.ip6}/128 dev lo`,
    ];
    const lines = ORIGINS.flatMap((origin) => [
      `link add to-${origin} type veth peer name ${origin} netns ${this.#peer}`,
      `address add ${LINKS[origin].ip[1]}/24 dev to-${origin}`,
      `address add ${LINKS[origin].ip6[1]}/64 dev to-${origin} nodad`,
      // Nobody is asked where an address is, and no answer is missed (which the kernel would report to the sender, later).
      `link set dev to-${origin} arp off up`,
    ]);
    await output(realExec, ['ip', '-n', this.#node, '-batch', '-'], {
      stdin: [...lines, ...batch, ''].join('\n'),
    });
    await output(realExec, ['ip', '-n', this.#peer, '-batch', '-'], {
      stdin: ORIGINS.map((origin) => `link set dev ${origin} up\n`).join(''),
    });
    this.#in(this.#node, () => {
      const { symbols } = this.#libc;
      for (const { ifindex, ifname, address } of this.#linksHere()) {
        this.#links.set(ifindex, ifname);
        const origin = ORIGINS.find((each) => ifname === `to-${each}`);
        if (origin !== undefined) this.#macs.set(origin, Buffer.from(address.replaceAll(':', ''), 'hex'));
      }
      this.#trace = this.#socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
      const size = Buffer.from(new Int32Array([8 << 20]).buffer);
      symbols.setsockopt(this.#trace, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length);
      const patience = Buffer.from(new BigInt64Array([BigInt(PATIENCE), 0n]).buffer);
      symbols.setsockopt(this.#trace, SOL_SOCKET, SO_RCVTIMEO, patience, patience.length);
      const address = Buffer.alloc(12);
      address.writeUInt16LE(AF_NETLINK, 0);
      address.writeUInt32LE(1 << (NFNLGRP_NFTRACE - 1), 8);
      if (symbols.bind(this.#trace, address, address.length) !== 0)
        throw new Error('cannot listen to the trace of nftables');
      this.#raw = {
        ip: this.#socket(AF_INET, SOCK_RAW, IPPROTO_RAW),
        ip6: this.#socket(AF_INET6, SOCK_RAW, IPPROTO_RAW),
      };
    });
    this.#in(this.#peer, () => {
      for (const { ifindex, ifname } of this.#linksHere()) this.#peerIndex.set(ifname as Origin, ifindex);
      this.#packets = this.#socket(AF_PACKET, SOCK_DGRAM, 0);
    });
  }

  /** Loads rules in the place of all that are there; returns what the tools list then, and where each rule's handle leads. */
  async load(documents: Documents): Promise<{ ruleset: Ruleset; places: Map<string, string> }> {
    await this.#run(['nft', '-f', '-'], `flush ruleset\n${watchTable()}${documents.nft ?? ''}`);
    const [ip, ip6] = [documents.ip, documents.ip6];
    if (ip !== undefined) await this.#run(['iptables-nft-restore'], ip);
    if (ip6 !== undefined) await this.#run(['ip6tables-nft-restore'], ip6);
    const [nft, ipSaved, ip6Saved] = await Promise.all([
      this.#run(['nft', '-j', '-a', 'list', 'ruleset']),
      ip === undefined ? undefined : this.#run(['iptables-nft-save']),
      ip6 === undefined ? undefined : this.#run(['ip6tables-nft-save']),
    ]);
    const list = (JSON.parse(nft) as { nftables: Listed[] }).nftables.filter((item) => !isWatch(item));
    const places = new Map<string, string>();
    const counts = new Map<string, number>();
    for (const { rule } of list) {
      if (rule === undefined) continue;
      const chain = `${rule.family} ${rule.table} ${rule.chain}`;
      const index = counts.get(chain) ?? 0;
      counts.set(chain, index + 1);
      places.set(`${chain} ${rule.handle}`, `${chain} ${index}`);
    }
    const ruleset = readRuleset({
      nft: JSON.stringify({ nftables: list }),
      iptables: [
        ...(ipSaved === undefined
          ? []
          : [{ backend: 'iptables-nft' as const, family: 'ip' as const, text: ipSaved }]),
        ...(ip6Saved === undefined
          ? []
          : [{ backend: 'iptables-nft' as const, family: 'ip6' as const, text: ip6Saved }]),
      ],
    });
    return { ruleset, places };
  }

  /** Removes all rules, and has the probes that are to be `established` exchange a packet; returns the source port of each. */
  async prepare(probes: readonly Probe[]): Promise<number[]> {
    const ports = probes.map(() => this.#nextPort());
    if (probes.some(({ state }) => state === 'established')) {
      await this.#run(['nft', '-f', '-'], `flush ruleset\n${watchTable()}`);
      for (const [i, probe] of probes.entries()) {
        if (probe.state !== 'established') continue;
        const back: Probe = {
          ...probe,
          from: ownerOf(probe.destination) ?? 'node',
          ...{ source: probe.destination, destination: probe.source },
        };
        this.#trip(probe, wirePacket({ ...probe, sourcePort: ports[i]! }));
        this.#trip(
          back,
          wirePacket({ ...back, sourcePort: probe.destinationPort, destinationPort: ports[i]! }),
        );
      }
    }
    return ports;
  }

  /** Sends a probe through the rules that are loaded. */
  send(probe: Probe, sourcePort: number): TraceEvent[] {
    return this.#trip(probe, wirePacket({ ...probe, sourcePort }, probe.state === 'invalid'));
  }

  /**
   * The kernel takes a packet through the rules while it is sent, or right afterwards on the same processor, in order of arrival. What
   * comes after it on that processor is traced after it.
   */
  #trip(probe: Probe, packet: Buffer): TraceEvent[] {
    const { symbols } = this.#libc;
    const before = Buffer.alloc(128);
    const size = symbols.sched_getaffinity(0, before.length, before);
    const one = Buffer.alloc(128);
    const at = before.findIndex((byte) => byte !== 0);
    one[at] = before[at]! & -before[at]!;
    try {
      symbols.sched_setaffinity(0, one.length, one);
      this.#sendPacket(probe, packet);
      const last = {
        family: 'ip',
        protocol: 'udp',
        source: LINKS.outside.ip[0],
        destination: LINKS.outside.ip[1],
      } as const;
      this.#sendPacket(
        { ...last, from: 'outside', mark: 0 },
        wirePacket({ ...last, sourcePort: LAST.sourcePort, destinationPort: LAST.port }),
      );
      return this.#readTrace();
    } finally {
      if (size >= 0) symbols.sched_setaffinity(0, before.length, before);
    }
  }

  #sendPacket(
    { from, family, destination, mark }: Pick<Probe, 'from' | 'family' | 'destination' | 'mark'>,
    packet: Buffer,
  ): void {
    const { symbols } = this.#libc;
    if (from === 'node') {
      const fd = this.#raw[family];
      const value = Buffer.from(new Uint32Array([mark]).buffer);
      if (symbols.setsockopt(fd, SOL_SOCKET, SO_MARK, value, value.length) !== 0)
        throw new Error('cannot set a mark');
      const to = Buffer.alloc(family === 'ip' ? 16 : 28);
      to.writeUInt16LE(family === 'ip' ? AF_INET : AF_INET6, 0);
      addressBytes(destination).copy(to, family === 'ip' ? 4 : 8);
      // A refusal is what rules that drop it say to who sends it; the trace says which.
      symbols.sendto(fd, packet, packet.length, 0, to, to.length);
      return;
    }
    const to = Buffer.alloc(20);
    to.writeUInt16LE(AF_PACKET, 0);
    to.writeUInt16BE(ETHERTYPE[family], 2);
    to.writeInt32LE(this.#peerIndex.get(from)!, 4);
    to[11] = 6;
    this.#macs.get(from)!.copy(to, 12);
    if (symbols.sendto(this.#packets, packet, packet.length, 0, to, to.length) !== packet.length) {
      throw new Error(`cannot send a packet from ${from}`);
    }
  }

  /** Messages up to those of the last packet. */
  #readTrace(): TraceEvent[] {
    const events: TraceEvent[] = [];
    for (;;) {
      const size = this.#libc.symbols.recv(this.#trace, this.#buffer, this.#buffer.length, 0);
      if (size <= 0) throw new Error(`the kernel said nothing of the last packet within ${PATIENCE} s`);
      const read = this.#buffer.subarray(0, Number(size));
      for (const event of decodeTrace(read, (index) => this.#links.get(index))) {
        if (event.table === WATCH && event.chain === 'last' && event.type === 'rule') {
          const first = events.findLastIndex(({ packet }) => packet !== undefined);
          return events.slice(0, first);
        }
        events.push(event);
      }
    }
  }

  async dispose(): Promise<void> {
    for (const fd of this.#open.splice(0)) closeSync(fd);
    for (const name of [this.#node, this.#peer]) await realExec.run(['ip', 'netns', 'delete', name]);
  }

  #nextPort(): number {
    this.#sourcePort = this.#sourcePort >= 60_000 ? 20_000 : this.#sourcePort + 1;
    return this.#sourcePort;
  }

  #socket(family: number, type: number, protocol: number): number {
    const fd = this.#libc.symbols.socket(family, type | SOCK_CLOEXEC, protocol);
    if (fd < 0) throw new Error(`cannot open a socket of family ${family}`);
    this.#open.push(fd);
    return fd;
  }

  #linksHere(): { ifindex: number; ifname: string; address: string }[] {
    const { stdout } = Bun.spawnSync(['ip', '-j', 'link']);
    return JSON.parse(stdout.toString()) as { ifindex: number; ifname: string; address: string }[];
  }

  #in<T>(name: string, work: () => T): T {
    return inNetns(`/run/netns/${name}`, work);
  }

  async #run(argv: string[], stdin?: string): Promise<string> {
    return await this.#in(this.#node, () => output(bunExec, argv, { stdin }));
  }
}

interface Listed {
  rule?: { family: string; table: string; chain: string; handle: number };
  table?: { name: string };
  [kind: string]: { table?: string; name?: string } | undefined;
}

function isWatch(item: Listed): boolean {
  return item.table?.name === WATCH || Object.values(item).some((body) => body?.table === WATCH);
}

/** Priorities before and after all that rules may have. The last packet is dropped where it comes in. */
function watchTable(): string {
  const hooks: Hook[] = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
  const chains = hooks.flatMap((hook) => {
    const start = hook === 'prerouting' || hook === 'output';
    const traced = start
      ? `ip dscp ${PROBE_DSCP} meta nftrace set 1\nip6 dscp ${PROBE_DSCP} meta nftrace set 1\n`
      : '';
    const last =
      hook === 'prerouting' ? `udp sport ${LAST.sourcePort} udp dport ${LAST.port} jump last\n` : '';
    // Conditions on connections make the kernel track them (nf_ct_netns_get).
    const end =
      hook === 'postrouting' || hook === 'input'
        ? 'ct state new,established,related,invalid,untracked accept'
        : '';
    return [
      `chain ${hook}-first { type filter hook ${hook} priority -900; ${traced}${last}}`,
      `chain ${hook}-end { type filter hook ${hook} priority 900; ${end}\n}`,
    ];
  });
  return `table inet ${WATCH} {\nchain last { drop; }\n${chains.join('\n')}\n}\n`;
}
