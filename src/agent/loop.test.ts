import { describe, expect, test } from 'bun:test';
import type { ApplyResult } from '../node/apply/result.ts';
import type { NodeAction } from '../path/model/action.ts';
import type { NodeReport, PluginFile } from '../path/model/node-report.ts';
import { NODE_REPORT_VERSION } from '../path/model/node-report-version.ts';
import type { World } from '../path/model/world.ts';
import { leapingNow } from '../sys/clock.fake.ts';
import type { Clock } from '../sys/clock.ts';
import type { Patient } from './heal.ts';
import { HealLoop, type HealLoopOptions, type Teller } from './loop.ts';

/** Time that passes when the test says so; whoever sleeps wakes in order. */
class TestClock implements Clock {
  #now = 1_000_000;
  readonly #sleepers = new Set<{ at: number; wake: () => void }>();

  readonly now = leapingNow();

  monotonic(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const sleeper = { at: this.#now + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      });
    });
  }

  /** Lets so many milliseconds pass, with all that happens in them. */
  async pass(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      await settle();
      const [next] = [...this.#sleepers].sort((a, b) => a.at - b.at);
      if (next === undefined || next.at > until) break;
      this.#now = Math.max(this.#now, next.at);
      this.#sleepers.delete(next);
      next.wake();
    }
    this.#now = until;
  }
}

/** Everything that can go on without time has gone on. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

const UNSEEN = { unknown: 'not looked at' };
const NONE = { value: [] };
const BIN = '/opt/cni/bin';

/** A node that has a chain and plugins, and nothing else. */
class FakeNode implements Patient {
  plugins = new Set(['ptp', 'portmap']);
  sandboxes: NodeReport['sandboxes'] = NONE;
  /** How long a look and an action take, in milliseconds. */
  lookMs = 0;
  applyMs = 0;
  looks = 0;
  readonly applied: { at: number; action: NodeAction }[] = [];
  /** What an action comes to. Default: it does what it says. */
  onApply: (() => ApplyResult | undefined) | undefined;
  onObserve: (() => void) | undefined;
  busy = 0;
  mostBusy = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async observe(): Promise<World> {
    return this.#alone(async () => {
      this.looks++;
      this.onObserve?.();
      const { sandboxes } = this;
      const seen = new Set(this.plugins);
      await this.#clock.sleep(this.lookMs);
      return worldOf(seen, sandboxes, this.#clock.now());
    });
  }

  async apply(_node: string, actions: readonly NodeAction[]): Promise<ApplyResult[]> {
    return this.#alone(async () => {
      const [action] = actions as [NodeAction];
      this.applied.push({ at: this.#clock.monotonic(), action });
      await this.#clock.sleep(this.applyMs);
      const result = this.onApply?.();
      if (result !== undefined) return [result];
      if (action.do === 'install-plugin') this.plugins.add(action.name);
      return [{ action: action.do, outcome: 'done', detail: '' }];
    });
  }

  deletePod(): Promise<void> {
    throw new Error('no pod is to be deleted here');
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    this.busy++;
    this.mostBusy = Math.max(this.mostBusy, this.busy);
    try {
      return await work();
    } finally {
      this.busy--;
    }
  }
}

function worldOf(plugins: ReadonlySet<string>, sandboxes: NodeReport['sandboxes'], now: number): World {
  const content = JSON.stringify({
    cniVersion: '1.0.0',
    name: 'net',
    plugins: [{ type: 'ptp' }, { type: 'portmap', capabilities: { portMappings: true } }],
  });
  const at = new Date(now).toISOString();
  const report: NodeReport = {
    apiVersion: NODE_REPORT_VERSION,
    kind: 'NodeReport',
    node: 'n',
    takenAt: at,
    machine: { kernel: '6.1', architecture: 'x64', elfMachine: 62 },
    network: {
      ...{ links: NONE, addresses: NONE, routes: NONE, listeners: NONE, flows: NONE },
      sysctls: { value: {} },
    },
    cni: {
      confDir: '/etc/cni/net.d',
      files: { value: [{ name: '10-net.conflist', modified: at, changed: at, content: { value: content } }] },
      binDirs: [BIN],
      plugins: { value: [...plugins].map(pluginFile) },
      attachments: { value: [] },
      skipped: [],
    },
    runtime: {
      value: {
        ...{ name: 'containerd', version: '2.0', networkReady: true, networkMessage: '', lastLoadError: '' },
        ...{ confDir: '/etc/cni/net.d', binDirs: [BIN], loadedNetworks: UNSEEN },
      },
    },
    sandboxes,
    netfilter: {
      tools: { iptables: '/sbin/iptables', ip6tables: '/sbin/ip6tables', nft: '/sbin/nft' },
      iptables: [],
      nft: { value: '{"nftables":[]}' },
    },
  };
  const pod = {
    metadata: { name: 'echo', namespace: 'default', uid: 'u' },
    spec: { nodeName: 'n', containers: [{ name: 'c', ports: [{ containerPort: 8080, hostPort: 80 }] }] },
    status: { phase: 'Running' },
  };
  return {
    observedAt: at,
    nodes: [{ metadata: { name: 'n' } }],
    pods: [pod],
    services: [],
    events: [],
    policies: [],
    reports: new Map([['n', { value: report }]]),
    probes: [],
  };
}

function pluginFile(name: string): PluginFile {
  return {
    name,
    directory: BIN,
    mode: '0755',
    size: 1,
    format: { kind: 'elf', machine: 62, bits: 64 },
    versions: { value: ['1.0.0'] },
  };
}

/** Starts the loop on a node as `prepare` makes it. */
function start(
  prepare?: (node: FakeNode) => void,
  isObserver = false,
  glances: Pick<HealLoopOptions, 'glance' | 'glanced'> = {},
) {
  const clock = new TestClock();
  const node = new FakeNode(clock);
  prepare?.(node);
  const reports: string[] = [];
  const tell: Teller = {
    appeared: ({ code }) => reports.push(`appeared ${code}`),
    healed: ({ code }) => reports.push(`healed ${code}`),
    gone: ({ code }) => reports.push(`gone ${code}`),
    failed: ({ code }, reason) => reports.push(`failed ${code}: ${reason}`),
    left: ({ code }) => reports.push(`left ${code}`),
    contested: ({ code }, times) => reports.push(`contested ${code} ${times}`),
    blind: (error) => reports.push(`blind: ${(error as Error).message}`),
  };
  const stopping = new AbortController();
  const looks: { at: number; found: string[]; ms: number }[] = [];
  const loop = new HealLoop({
    ...{ patient: node, scope: { restart: false }, podsFromApi: true, clock, tell, isObserver, ...glances },
    looked: ({ findings }, ms) =>
      looks.push({ at: clock.monotonic(), found: findings.map(({ code }) => code), ms }),
  });
  const ended = loop.run(stopping.signal);
  return {
    clock,
    node,
    reports,
    looks,
    loop,
    ended,
    stop: () => stopping.abort(new Error('stop')),
    begun: clock.monotonic(),
  };
}

const withoutPortmap = (node: FakeNode): void => {
  node.plugins.delete('portmap');
};

/** Removes portmap, and notifies the loop or not. */
function takePortmap({ node, loop }: Pick<ReturnType<typeof start>, 'node' | 'loop'>, notifies = true): void {
  node.plugins.delete('portmap');
  if (notifies) loop.changed();
}

const INSTALL: NodeAction = { do: 'install-plugin', name: 'portmap', directory: BIN };

describe('the loop of one that observes', () => {
  test('reports what it finds once, and what is gone, and changes nothing', async () => {
    const { clock, node, reports, looks, loop, stop, ended } = start(withoutPortmap, true);
    await clock.pass(120_000);
    expect(reports).toEqual(['appeared plugin-missing']);
    expect(looks.map(({ found }) => found)).toEqual(Array(5).fill(['plugin-missing']));
    node.plugins.add('portmap');
    loop.changed();
    await clock.pass(1000);
    expect(reports).toEqual(['appeared plugin-missing', 'gone plugin-missing']);
    expect(looks.at(-1)?.found).toEqual([]);
    expect(node.applied).toEqual([]);
    stop();
    await ended;
  });

  test('looks when something changes, and otherwise every half minute', async () => {
    const { clock, looks, loop, stop, ended, begun } = start(withoutPortmap, true);
    await clock.pass(10_000);
    loop.changed();
    await clock.pass(31_000);
    expect(looks.map(({ at }) => at - begun)).toEqual([0, 10_030, 40_030]);
    stop();
    await ended;
  });
});

describe('where what notifies nobody can be glanced at', () => {
  const glancing = (prepare: (node: FakeNode) => void = () => {}) => {
    const seen: { state: string | undefined; times: number } = { state: 'as ever', times: 0 };
    const started = start(prepare, true, {
      glance: () => seen.state,
      glanced: () => {
        seen.times++;
      },
    });
    return { ...started, seen };
  };
  const times = ({ looks, begun }: ReturnType<typeof glancing>) => looks.map(({ at }) => at - begun);

  test('regular looks are left out while that is the same, but for one in ten', async () => {
    const started = glancing();
    await started.clock.pass(610_000);
    expect(times(started)).toEqual([0, 300_000, 600_000]);
    expect(started.seen.times).toBe(18);
    started.stop();
    await started.ended;
  });

  test('it looks when that has changed, and when something is notified', async () => {
    const started = glancing();
    await started.clock.pass(45_000);
    started.seen.state = 'another route';
    await started.clock.pass(30_000);
    expect(times(started)).toEqual([0, 60_000]);
    started.loop.changed();
    await started.clock.pass(60_000);
    expect(times(started)).toEqual([0, 60_000, 75_030]);
    started.stop();
    await started.ended;
  });

  test('it looks each time until nothing is unknown any more, also when nothing notifies', async () => {
    const started = glancing((node) => {
      node.sandboxes = { unknown: 'sandboxes at /run/containerd/containerd.sock: no answer within 10 s' };
    });
    await started.clock.pass(45_000);
    expect(times(started)).toEqual([0, 30_000]);
    started.node.sandboxes = NONE;
    await started.clock.pass(315_000);
    expect(times(started)).toEqual([0, 30_000, 60_000, 360_000]);
    started.stop();
    await started.ended;
  });

  test('it looks each time when it cannot be glanced at, or the last look has failed', async () => {
    const started = glancing();
    started.seen.state = undefined;
    await started.clock.pass(65_000);
    expect(times(started)).toEqual([0, 30_000, 60_000]);
    started.seen.state = 'as ever';
    started.node.onObserve = () => {
      throw new Error('no runtime');
    };
    await started.clock.pass(30_000);
    started.node.onObserve = () => {};
    await started.clock.pass(5000);
    expect(started.looks).toHaveLength(4);
    expect(started.reports).toContain('blind: no runtime');
    started.stop();
    await started.ended;
  });
});

test('each round that succeeds says what it has found last, and how long its first look took', async () => {
  const { clock, node, looks, loop, stop, ended } = start((fake) => {
    withoutPortmap(fake);
    fake.lookMs = 40;
  });
  await clock.pass(1000);
  expect(looks.map(({ found, ms }) => ({ found, ms }))).toEqual([{ found: [], ms: 40 }]);
  node.onObserve = () => {
    throw new Error('no runtime');
  };
  loop.changed();
  await clock.pass(500);
  expect(looks).toHaveLength(1);
  stop();
  await ended;
});

describe('the healing loop', () => {
  test('heals what is broken when it starts, and reports it', async () => {
    const s = start(withoutPortmap);
    await s.clock.pass(100);
    expect(s.node.applied.map(({ action }) => action)).toEqual([INSTALL]);
    expect(s.reports).toEqual(['appeared plugin-missing', 'healed plugin-missing']);
    s.stop();
    await s.ended;
  });

  test('looks at nothing while nothing happens, but every half minute', async () => {
    const s = start();
    await s.clock.pass(60_500);
    expect(s.node.looks).toBe(3);
    expect(s.reports).toEqual([]);
    s.stop();
    await s.ended;
  });

  test('heals soon after a notification, once', async () => {
    const s = start();
    await s.clock.pass(10_000);
    const at = s.clock.monotonic();
    takePortmap(s);
    await s.clock.pass(10);
    s.loop.changed();
    await s.clock.pass(1000);
    expect(s.node.applied).toHaveLength(1);
    expect(s.node.applied[0]!.at - at).toBe(40);
    s.stop();
    await s.ended;
  });

  test('takes what it changed itself for no news', async () => {
    const s = start();
    await s.clock.pass(0);
    s.node.onApply = () => {
      s.node.plugins.add('portmap');
      s.loop.changed();
      return undefined;
    };
    const looks = s.node.looks;
    takePortmap(s);
    await s.clock.pass(10_000);
    // The one that saw it, and the one that saw it fixed.
    expect(s.node.looks - looks).toBe(2);
    s.stop();
    await s.ended;
  });

  test('heals a change without a notification, at the next regular look', async () => {
    const s = start();
    await s.clock.pass(10_000);
    takePortmap(s, false);
    await s.clock.pass(19_900);
    expect(s.node.applied).toEqual([]);
    await s.clock.pass(200);
    expect(s.node.applied).toHaveLength(1);
    s.stop();
    await s.ended;
  });

  test('never does two things at once, and misses nothing that happens meanwhile', async () => {
    const s = start();
    s.node.lookMs = 100;
    s.node.applyMs = 100;
    await s.clock.pass(5000);
    takePortmap(s);
    for (let step = 0; step < 30; step++) {
      await s.clock.pass(10);
      s.loop.changed();
    }
    // Broken again behind the back of the look that is under way.
    takePortmap(s);
    await s.clock.pass(20_000);
    expect(s.node.plugins.has('portmap')).toBe(true);
    expect(s.node.mostBusy).toBe(1);
    s.stop();
    await s.ended;
  });

  test('tries what fails less and less often, and says so once', async () => {
    const s = start((node) => {
      withoutPortmap(node);
      node.onApply = () => ({ action: 'install-plugin', outcome: 'failed', detail: 'no space' });
    });
    await s.clock.pass(600_000);
    const gaps = s.node.applied
      .slice(1)
      .map(({ at }, index) => Math.round((at - s.node.applied[index]!.at) / 1000));
    expect(gaps.slice(0, 8)).toEqual([1, 1, 2, 4, 8, 16, 32, 64]);
    expect(s.node.applied.length).toBeLessThan(14);
    expect(s.reports).toEqual(['appeared plugin-missing', 'failed plugin-missing: no space']);
    s.node.onApply = undefined;
    await s.clock.pass(600_000);
    expect(s.reports.at(-1)).toBe('healed plugin-missing');
    s.stop();
    await s.ended;
  });

  test('does not fight: whoever undoes it is named, and left alone for a while', async () => {
    const s = start();
    await s.clock.pass(0);
    for (let second = 0; second < 50; second++) {
      takePortmap(s);
      await s.clock.pass(1000);
    }
    expect(s.node.applied).toHaveLength(5);
    expect(s.reports.filter((line) => line.startsWith('contested'))).toEqual(['contested plugin-missing 5']);
    expect(s.node.plugins.has('portmap')).toBe(false);
    // A minute after the last time it is tried again: perhaps they have gone.
    await s.clock.pass(20_000);
    expect(s.node.applied).toHaveLength(6);
    expect(s.node.plugins.has('portmap')).toBe(true);
    s.stop();
    await s.ended;
  });

  test('leaves to people what is theirs, and says so once', async () => {
    const s = start((node) => node.plugins.delete('ptp'));
    await s.clock.pass(120_000);
    expect(s.node.applied).toEqual([]);
    expect(s.reports).toEqual(['appeared plugin-missing', 'left plugin-missing']);
    s.node.plugins.add('ptp');
    await s.clock.pass(60_000);
    expect(s.reports.at(-1)).toBe('gone plugin-missing');
    s.stop();
    await s.ended;
  });

  test('a look that fails is tried again, soon and then less often', async () => {
    const s = start((node) => {
      node.onObserve = () => {
        throw new Error('no report');
      };
    });
    await s.clock.pass(20_000);
    expect(s.reports.slice(0, 3)).toEqual(Array(3).fill('blind: no report'));
    expect(s.reports.length).toBeLessThan(7);
    s.node.onObserve = undefined;
    takePortmap(s);
    await s.clock.pass(1000);
    expect(s.reports.at(-1)).toBe('healed plugin-missing');
    s.stop();
    await s.ended;
  });

  test('ends at once during a look, and while it sleeps', async () => {
    for (const lookMs of [0, 1e9]) {
      const s = start((node) => {
        node.lookMs = lookMs;
      });
      await s.clock.pass(100);
      s.stop();
      await s.ended;
      expect(s.reports).toEqual([]);
    }
  });

  test('ends during an action when that is done, and does no other', async () => {
    const s = start((node) => {
      withoutPortmap(node);
      node.applyMs = 500;
    });
    await s.clock.pass(100);
    let isOver = false;
    const over = s.ended.then(() => {
      isOver = true;
    });
    s.stop();
    await s.clock.pass(300);
    expect(isOver).toBe(false);
    await s.clock.pass(200);
    await over;
    expect(s.node.plugins.has('portmap')).toBe(true);
    expect(s.node.applied).toHaveLength(1);
  });
});
