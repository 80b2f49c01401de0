import type { NetDevice, NetDevices } from '../net/links.ts';
import type { KernelRoute } from '../net/routes.ts';
import { FakeNat } from '../netfilter/iptables/iptables.fake.ts';
import { IptablesUnavailable, type NatTable } from '../netfilter/iptables/iptables.ts';
import { splitWords } from '../netfilter/iptables/rule-text.ts';
import type { NatGlance } from '../netfilter/nft/kernel-rules.ts';
import { FakeNft } from '../netfilter/nft/nft.fake.ts';
import { type NftTable, NftUnavailable } from '../netfilter/nft/nft.ts';
import type { Exec, ExecOptions, ExecResult } from '../sys/exec.ts';
import type { Family, NftFamily } from '../util/family.ts';
import { formatIp, parseIp } from '../util/ip.ts';
import type { Machine } from './machine.ts';
import { asPrinted, command } from './rules.ts';

/** A tracked UDP flow: the port and address it goes to, and who answers it. */
export interface FakeFlow {
  to: string;
  port: number;
  by: string;
}

/**
 * A machine in memory, and the programs `conntrack` and `nft` on it. It admits its differences: rules of a pod's chain are printed as both
 * variants of iptables print them, the nftables tables of others are only listed and deleted from, and a device has no life of its own.
 */
export class FakeMachine implements Machine, Exec {
  readonly tables: Record<Family, FakeNat> = { ipv4: new FakeNat('ipv4'), ipv6: new FakeNat('ipv6') };
  readonly nftTable = new FakeNft();
  /** What cannot be used here. */
  readonly unusable = new Set<Family | 'nft' | 'conntrack'>();
  readonly glances: Partial<Record<Family, NatGlance>> = {};
  /** Rules of the reference plugin's tables, as `nft -j` prints them. */
  readonly foreign: {
    family: NftFamily;
    handle: number;
    chain: string;
    comment?: string;
    expr: object[];
  }[] = [];
  readonly addresses = new Set(['::1', '10.1.1.1', 'fd01::1']);
  readonly flows: FakeFlow[] = [];
  /** Whether the kernel says how many flows it tracks. */
  countsFlows = true;
  readonly links: NetDevice[] = [];
  /** The other end of an interface: its name here, by `namespace interface`. */
  readonly ends = new Map<string, string>();
  readonly namespaces = new Set<string>();
  readonly ways: KernelRoute[] = [];
  readonly settings = new Map<string, string>([['all', '0']]);
  /** Programs that were run. */
  readonly ran: { argv: readonly string[]; options: ExecOptions | undefined }[] = [];
  locks = { taken: 0, held: 0 };
  lockError: Error | undefined;

  nat(_exec: Exec, family: Family): NatTable {
    const nat = this.tables[family];
    const usable = <T>(work: () => Promise<T>): Promise<T> =>
      this.unusable.has(family)
        ? Promise.reject(new IptablesUnavailable(`no program for ${family}`))
        : work();
    const print = (line: string) => {
      const [, chain = '', ...words] = splitWords(line);
      return chain.startsWith('CNI-DN-') ? command('-A', asPrinted({ chain, words })) : line;
    };
    return {
      family,
      listChain: (chain) => usable(async () => (await nat.listChain(chain))?.map(print)),
      listAll: () => usable(async () => (await nat.listAll()).map(print)),
      restore: (commands, conditions) => usable(() => nat.restore(commands, conditions)),
      begin: (conditions) => {
        const begun = nat.begin(conditions);
        return { ...begun, commit: (commands) => usable(() => begun.commit(commands)) };
      },
    };
  }

  nft(): NftTable {
    const fail = async () => {
      throw new NftUnavailable('no nftables');
    };
    return new Proxy(this.nftTable, {
      get: (table, name) => {
        const value: unknown = Reflect.get(table, name, table);
        if (typeof value !== 'function') return value;
        return this.unusable.has('nft') ? fail : value.bind(table);
      },
    });
  }

  glance(family: Family): NatGlance | undefined {
    return this.glances[family];
  }

  mayHaveIptablesChain(chain: string, family?: Family): boolean {
    const asked: Family[] = family === undefined ? ['ipv4', 'ipv6'] : [family];
    return asked.some((one) => this.hasIptablesNftChain(chain, one));
  }

  hasIptablesNftChain(chain: string, family: Family): boolean {
    return this.tables[family].hasChain(chain);
  }

  foreignRules(family: NftFamily, table: string): { chain: string; comment: string | undefined }[] {
    if (table !== 'cni_hostport') return [];
    return this.foreign
      .filter((rule) => rule.family === family)
      .map(({ chain, comment }) => ({ chain, comment }));
  }

  tracksFlows(): boolean {
    return !this.countsFlows || this.flows.length > 0;
  }

  async lockRules(): Promise<{ fd: number; release(): void }> {
    if (this.lockError !== undefined) throw this.lockError;
    if (this.locks.held > 0) throw new Error('the lock is taken twice');
    this.locks = { taken: this.locks.taken + 1, held: 1 };
    return {
      fd: 77,
      release: () => {
        this.locks.held--;
      },
    };
  }

  localAddressTest(family: Family): (address: string) => boolean {
    return (address) => {
      const ip = parseIp(address);
      if (ip?.family !== family) return false;
      return this.addresses.has(formatIp(ip)) || (family === 'ipv4' && ip.bytes[0] === 127);
    };
  }

  routes(): KernelRoute[] {
    return this.ways;
  }

  devices(): NetDevices {
    const byName = (name: string) => this.links.find((link) => link.name === name);
    return {
      byName,
      byIndex: (index) => this.links.find((link) => link.index === index),
      otherEnd: (netns, ifName) => byName(this.ends.get(`${netns} ${ifName}`) ?? ''),
      close: () => {},
    };
  }

  sysctl(ifName: string, key: string): string {
    const value = this.settings.get(ifName);
    if (key !== 'route_localnet' || value === undefined) throw new Error(`no setting ${key} of ${ifName}`);
    return value;
  }

  setSysctl(ifName: string, key: string, value: string): void {
    this.sysctl(ifName, key);
    this.settings.set(ifName, value);
  }

  isNamespace(path: string): boolean {
    return this.namespaces.has(path);
  }

  async run(argv: readonly string[], options?: ExecOptions): Promise<ExecResult> {
    this.ran.push({ argv, options });
    const done = (stdout = ''): ExecResult => ({ code: 0, stdout, stderr: '' });
    const [program, verb, ...args] = argv;
    if (program === 'conntrack') {
      if (this.unusable.has('conntrack')) return { code: 1, stdout: '', stderr: 'no conntrack' };
      return done(verb === '-L' ? this.#listFlows(args) : this.#deleteFlows(args));
    }
    if (program !== 'nft') throw new Error(`there is no program ${program}`);
    if (this.unusable.has('nft')) return { code: 1, stdout: '', stderr: 'no nft' };
    if (verb === '-j') {
      const rules = this.foreign.filter(({ family }) => family === args[2]);
      return done(JSON.stringify({ nftables: [{ metainfo: {} }, ...rules.map((rule) => ({ rule }))] }));
    }
    for (const line of String(options?.stdin).trim().split('\n')) {
      const [, , family, table, chain, , handle] = line.split(' ');
      const at = this.foreign.findIndex(
        (rule) => rule.family === family && rule.chain === chain && rule.handle === Number(handle),
      );
      if (at < 0 || table !== 'cni_hostport') return { code: 1, stdout: '', stderr: `no rule for ${line}` };
      this.foreign.splice(at, 1);
    }
    return done();
  }

  #listFlows(args: readonly string[]): string {
    const family = args[args.indexOf('-f') + 1];
    const port = Number(args[args.indexOf('--orig-port-dst') + 1]);
    return this.flows
      .filter((flow) => flow.port === port && flow.to.includes(':') === (family === 'ipv6'))
      .map(({ to, port, by }) => {
        const at = by.lastIndexOf(' ');
        const reply = `src=${by.slice(0, at)} dst=1.1.1.1 sport=${by.slice(at + 1)} dport=9`;
        return `udp 17 29 src=1.1.1.1 dst=${to} sport=9 dport=${port} ${reply}\n`;
      })
      .join('');
  }

  #deleteFlows(args: readonly string[]): string {
    const value = (option: string) => args[args.indexOf(option) + 1];
    const at = this.flows.findIndex(
      ({ to, port, by }) =>
        to === value('--orig-dst') &&
        port === Number(value('--orig-port-dst')) &&
        by === `${value('--reply-src')} ${value('--reply-port-src')}`,
    );
    this.flows.splice(at, 1);
    return '';
  }
}
