import type { Clock } from '../../sys/clock.ts';
import { formatIPv4, parseIPv4 } from '../../util/address.ts';
import { formatSubnet, type Subnet, subnetContains, subnetSize } from '../../util/cidr.ts';
import type { AddressRequest } from './cni/agent-api.ts';
import { MOST_REDIRECTS } from './redirects.ts';

/** An address in use, and by what. */
export interface Allocation extends AddressRequest {
  address: string;
  /** When it was given, in milliseconds: of {@link Clock.monotonic}, and since the epoch in what is kept on disk. */
  at: number;
}

/** What is kept on disk. */
export interface IpamState {
  version: 1;
  podCIDR: string;
  /** The address given last: the next search starts behind it. */
  cursor: string;
  allocations: Allocation[];
  /** Released addresses, which are not assigned again for a while. */
  released: { address: string; at: number }[];
}

/** Where the state is kept. `save` returns when a crash cannot lose it any more. */
export interface IpamStore {
  load(): Promise<IpamState | undefined>;
  save(state: IpamState): Promise<void>;
}

/** Whether an attachment is still there, as the kernel sees it. */
export type InUse = (allocation: Allocation) => boolean;

/** No address is free at the moment. */
export class PoolExhausted extends Error {
  constructor(subnet: Subnet, resting: number) {
    super(`no free address in ${formatSubnet(subnet)} (${resting} rest after their release)`);
    this.name = 'PoolExhausted';
  }
}

/**
 * An attachment whose ADD may still be under way is not released. Its link is created right after the address is assigned;
 * the plugin ends in at most twice the half minute that a command of `ip` gets.
 */
const IN_FLIGHT_MS = 120_000;
/** How long an address rests: peers, conntrack and ARP caches have forgotten its last user by then. */
const REST_MS = 30_000;

/**
 * The addresses of a node. Every change is on disk before it is answered, so a killed agent never gives an address twice; a
 * change that cannot be saved did not happen. Addresses are given in turn, so that one is not used again at once.
 */
export class Ipam {
  readonly #store: IpamStore;
  readonly #clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly #allocations = new Map<string, Allocation>();
  #released = new Map<string, number>();
  #subnet: Subnet;
  #cursor: number;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(store: IpamStore, clock: Pick<Clock, 'now' | 'monotonic'>, subnet: Subnet) {
    this.#store = store;
    this.#clock = clock;
    this.#subnet = subnet;
    this.#cursor = routerOf(subnet);
  }

  /**
   * Opens the pool for `subnet` with what was kept and with `observed` attachments that the kernel has but the state does not
   * (it was lost): their addresses are in use, whoever gave them.
   */
  static async open(
    store: IpamStore,
    clock: Pick<Clock, 'now' | 'monotonic'>,
    subnet: Subnet,
    observed: readonly Allocation[] = [],
  ): Promise<Ipam> {
    const ipam = new Ipam(store, clock, subnet);
    const state = await store.load();
    for (const allocation of state?.allocations ?? [])
      ipam.#allocations.set(allocation.link, { ...allocation, at: ipam.#fromDisk(allocation.at) });
    ipam.#released = new Map(state?.released.map(({ address, at }) => [address, ipam.#fromDisk(at)]));
    ipam.#cursor = parseIPv4(state?.cursor ?? '') ?? ipam.#cursor;
    const known = new Set([...ipam.#allocations.values()].map(({ address }) => address));
    for (const allocation of observed) {
      if (!known.has(allocation.address)) ipam.#allocations.set(allocation.link, allocation);
    }
    await ipam.#store.save(ipam.#state());
    return ipam;
  }

  /** The node's own address in the pool, which pods have as their gateway. */
  get router(): string {
    return Ipam.routerOf(this.#subnet);
  }

  /** The router address of a subnet: its first, which the node keeps for itself. */
  static routerOf(subnet: Subnet): string {
    return formatIPv4(routerOf(subnet));
  }

  list(): Allocation[] {
    return [...this.#allocations.values()];
  }

  /** Gives an address; to an attachment that has one, the same. Rejects with {@link PoolExhausted}. */
  allocate(request: AddressRequest): Promise<string> {
    return this.#exclusively(async () => {
      const existing = this.#allocations.get(request.link);
      const address = existing?.address ?? formatIPv4(this.#next());
      const before = { cursor: this.#cursor, rested: this.#released.get(address) };
      this.#allocations.set(request.link, { ...request, address, at: this.#clock.monotonic() });
      this.#released.delete(address);
      if (existing === undefined) this.#cursor = parseIPv4(address)!;
      await this.#saveOr(() => {
        if (existing === undefined) this.#allocations.delete(request.link);
        else this.#allocations.set(request.link, existing);
        if (before.rested !== undefined) this.#released.set(address, before.rested);
        this.#cursor = before.cursor;
      });
      return address;
    });
  }

  /** Takes an address back; one that was not given is fine. */
  release(link: string): Promise<void> {
    return this.#exclusively(() => this.#takeBack(this.list().filter((entry) => entry.link === link)));
  }

  /** Releases the addresses of attachments that are gone, but not of those whose ADD may be under way. Returns them. */
  reconcile(inUse: InUse): Promise<Allocation[]> {
    return this.#exclusively(async () => {
      const oldest = this.#clock.monotonic() - IN_FLIGHT_MS;
      const gone = this.list().filter((allocation) => allocation.at <= oldest && !inUse(allocation));
      await this.#takeBack(gone);
      return gone;
    });
  }

  async #takeBack(gone: readonly Allocation[]): Promise<void> {
    if (gone.length === 0) return;
    const now = this.#clock.monotonic();
    for (const { link, address } of gone) {
      this.#allocations.delete(link);
      this.#released.set(address, now);
    }
    await this.#saveOr(() => {
      for (const allocation of gone) {
        this.#allocations.set(allocation.link, allocation);
        this.#released.delete(allocation.address);
      }
    });
  }

  #next(): number {
    const now = this.#clock.monotonic();
    for (const [address, at] of this.#released) if (now - at >= REST_MS) this.#released.delete(address);
    const taken = new Set(this.list().map(({ address }) => parseIPv4(address)));
    const size = Math.min(subnetSize(this.#subnet), MOST_REDIRECTS + 1);
    const start = subnetContains(this.#subnet, this.#cursor) ? this.#cursor - this.#subnet.network : 1;
    for (let step = 1; step <= size; step++) {
      const offset = (start + step) % size;
      // Network, router and broadcast address are not for pods.
      if (offset < 2 || offset === size - 1) continue;
      const address = this.#subnet.network + offset;
      if (!taken.has(address) && !this.#released.has(formatIPv4(address))) return address;
    }
    throw new PoolExhausted(this.#subnet, this.#released.size);
  }

  async #saveOr(undo: () => void): Promise<void> {
    try {
      await this.#store.save(this.#state());
    } catch (error) {
      undo();
      throw error;
    }
  }

  #state(): IpamState {
    return {
      version: 1,
      podCIDR: formatSubnet(this.#subnet),
      cursor: formatIPv4(this.#cursor),
      allocations: this.list().map((allocation) => ({ ...allocation, at: this.#toDisk(allocation.at) })),
      released: [...this.#released].map(([address, at]) => ({ address, at: this.#toDisk(at) })),
    };
  }

  #toDisk(at: number): number {
    return Math.round(this.#clock.now() + at - this.#clock.monotonic());
  }

  /** What is younger than now has been given before the clock was set back, nobody knows how long: it counts as new. */
  #fromDisk(at: number): number {
    return this.#clock.monotonic() - Math.max(0, this.#clock.now() - at);
  }

  /** One change at a time, in the order they came; a failed one does not hold up the next. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }
}

/** The first address of a subnet, which the node keeps for itself. */
function routerOf(subnet: Subnet): number {
  return subnet.network + 1;
}
