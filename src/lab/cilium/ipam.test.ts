import { describe, expect, test } from 'bun:test';
import { parseIPv4 } from '../../util/address.ts';
import { parseSubnet, subnetContains } from '../../util/cidr.ts';
import { type Allocation, Ipam, type IpamState, type IpamStore, PoolExhausted } from './ipam.ts';

/** The disk: what was saved last, and whether it takes the next. */
function memory(): IpamStore & { state?: IpamState; failing: boolean; saves: number } {
  return {
    failing: false,
    saves: 0,
    load() {
      return Promise.resolve(structuredClone(this.state));
    },
    async save(state) {
      // A crash between two microtasks must find the old state or the new.
      await Promise.resolve();
      if (this.failing) throw new Error('disk full');
      this.state = structuredClone(state);
      this.saves++;
    },
  };
}

const SUBNET = parseSubnet('10.0.0.0/28')!;
const request = (link: string) => ({ link, containerId: `container-of-${link}`, ifName: 'eth0' });

function clockAt(start: number) {
  return {
    time: start,
    /** By how much the clock of the machine was set. */
    setBy: 0,
    now() {
      return this.time + this.setBy;
    },
    monotonic() {
      return this.time;
    },
  };
}

test('gives addresses in turn, never network, router or broadcast', async () => {
  const ipam = await Ipam.open(memory(), clockAt(0), SUBNET);
  const given = await Promise.all(Array.from({ length: 13 }, (_, i) => ipam.allocate(request(`l${i}`))));
  expect(given).toEqual(Array.from({ length: 13 }, (_, i) => `10.0.0.${i + 2}`));
  expect(ipam.router).toBe('10.0.0.1');
  await expect(ipam.allocate(request('more'))).rejects.toBeInstanceOf(PoolExhausted);
});

test('gives the same address to the same attachment', async () => {
  const ipam = await Ipam.open(memory(), clockAt(0), SUBNET);
  expect(await ipam.allocate(request('a'))).toBe(await ipam.allocate(request('a')));
  expect(ipam.list().length).toBe(1);
});

test('an address rests after its release, and others go before it', async () => {
  const clock = clockAt(0);
  const ipam = await Ipam.open(memory(), clock, parseSubnet('10.0.0.0/29')!);
  const [first] = [await ipam.allocate(request('a'))];
  await ipam.release('a');
  for (const link of ['b', 'c', 'd', 'e']) expect(await ipam.allocate(request(link))).not.toBe(first!);
  await expect(ipam.allocate(request('f'))).rejects.toThrow('10.0.0.0/29 (1 rest after their release)');
  clock.time += 30_000;
  expect(await ipam.allocate(request('f'))).toBe(first!);
});

test('a change that cannot be saved did not happen', async () => {
  const store = memory();
  const clock = clockAt(0);
  const ipam = await Ipam.open(store, clock, SUBNET);
  const kept = await ipam.allocate(request('a'));
  store.failing = true;
  await expect(ipam.allocate(request('b'))).rejects.toThrow('disk full');
  await expect(ipam.release('a')).rejects.toThrow('disk full');
  store.failing = false;
  expect(ipam.list().map(({ link, address }) => [link, address])).toEqual([['a', kept]]);
  expect(await ipam.allocate(request('b'))).toBe('10.0.0.3');
});

test('releases what is gone, but not what an ADD may still be setting up', async () => {
  const clock = clockAt(0);
  const ipam = await Ipam.open(memory(), clock, SUBNET);
  for (const link of ['alive', 'dead']) await ipam.allocate(request(link));
  clock.time = 100_000;
  await ipam.allocate(request('fresh'));
  const inUse = ({ link }: Allocation) => link === 'alive';
  expect(await ipam.reconcile(inUse)).toEqual([]);
  clock.time = 130_000;
  expect((await ipam.reconcile(inUse)).map(({ link }) => link)).toEqual(['dead']);
  expect(ipam.list().map(({ link }) => link)).toEqual(['alive', 'fresh']);
});

test.each([5, -5])(
  'a clock that is set by %d hours neither takes an address early nor keeps it',
  async (hours) => {
    const store = memory();
    const clock = clockAt(Date.UTC(2026, 0, 1));
    const ipam = await Ipam.open(store, clock, SUBNET);
    for (const link of ['dead', 'released']) await ipam.allocate(request(link));
    await ipam.release('released');
    clock.setBy = hours * 3_600_000;
    expect(await ipam.reconcile(() => false)).toEqual([]);
    clock.time += 130_000;
    expect((await ipam.reconcile(() => false)).map(({ link }) => link)).toEqual(['dead']);
    // What is written down later has later times, and is read with the clock that there is then.
    const kept = store.state!.released.map(({ at }) => clock.now() - at);
    expect(kept.toSorted((a, b) => a - b)).toEqual([0, 130_000]);
  },
);

test('what was kept before the clock was set back counts as new', async () => {
  const store = memory();
  const clock = clockAt(Date.UTC(2026, 0, 1));
  await (await Ipam.open(store, clock, SUBNET)).allocate(request('dead'));
  clock.setBy = -3_600_000;
  const ipam = await Ipam.open(store, clock, SUBNET);
  expect(await ipam.reconcile(() => false)).toEqual([]);
  clock.time += 120_000;
  expect((await ipam.reconcile(() => false)).map(({ link }) => link)).toEqual(['dead']);
});

test('when the state was lost, what the kernel shows is in use', async () => {
  const observed = [{ ...request('lxc0123456789ab'), address: '10.0.0.2', at: 0 }];
  const ipam = await Ipam.open(memory(), clockAt(0), SUBNET, observed);
  expect(await ipam.allocate(request('new'))).toBe('10.0.0.3');
});

describe('over random histories', () => {
  // A fixed generator, so that a failure can be run again.
  function random(seed: number) {
    let state = seed;
    return (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
  }

  test.each(Array.from({ length: 20 }, (_, seed) => [seed]))(
    'seed %d: no address has two owners',
    async (seed) => {
      const next = random(seed);
      const store = memory();
      const clock = clockAt(0);
      let ipam = await Ipam.open(store, clock, SUBNET);
      /** The addresses that callers got and released: the model. */
      const held = new Map<string, string>();
      const releasedAt = new Map<string, number>();
      let setForwardAt = 0;
      for (let step = 0; step < 300; step++) {
        clock.time += next(8_000);
        if (next(30) === 0) {
          const hours = next(5) - 2;
          clock.setBy += hours * 3_600_000;
          if (hours > 0) setForwardAt = clock.time;
        }
        const link = `l${next(18)}`;
        store.failing = next(20) === 0;
        const action = next(10);
        try {
          if (action < 5) {
            const address = await ipam.allocate(request(link));
            const owner = [...held].find(([, other]) => other === address)?.[0];
            expect(owner ?? link).toBe(link);
            expect(held.get(link) ?? address).toBe(address);
            expect(subnetContains(SUBNET, parseIPv4(address)!)).toBe(true);
            const rested = releasedAt.get(address);
            // What is read from disk after the clock was set forward has rested for as long as the clock says.
            if (rested !== undefined && rested > setForwardAt && !held.has(link))
              expect(clock.time - rested).toBeGreaterThanOrEqual(30_000);
            held.set(link, address);
          } else if (action < 8) {
            await ipam.release(link);
            const address = held.get(link);
            if (address !== undefined) releasedAt.set(address, clock.time);
            held.delete(link);
          } else if (action === 8) {
            const gone = await ipam.reconcile((allocation) => held.has(allocation.link));
            expect(gone.every(({ link: lost }) => !held.has(lost))).toBe(true);
          } else {
            // Killed at this instant: only what is on disk is known afterwards.
            store.failing = false;
            ipam = await Ipam.open(store, clock, SUBNET);
          }
        } catch (error) {
          if (!(error instanceof PoolExhausted) && !/disk full/.test(String(error))) throw error;
        }
        store.failing = false;
        const addresses = ipam.list().map(({ address }) => address);
        expect(new Set(addresses).size).toBe(addresses.length);
        for (const [owner, address] of held) {
          expect(ipam.list()).toContainEqual(expect.objectContaining({ link: owner, address }));
        }
      }
    },
  );
});
