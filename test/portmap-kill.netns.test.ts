import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { takeRulesLock } from '../src/netfilter/iptables/rules-lock.ts';
import { attachmentChain } from '../src/portmap/layout.ts';
import { Topology } from '../src/portmap/testing/topology.ts';
import { seeded } from '../src/util/seeded.ts';

// portmap is killed at any instant of an ADD, a DEL or a GC: what is left of the pod is all of its mapping or nothing, in each family, and the
// next call puts the rest right. PORTMAP_KILLS chooses how often (`make fuzz`: 500), PORTMAP_SEED other instants.

const KILLS = Number(process.env.PORTMAP_KILLS ?? 30);
const SEED = Number(process.env.PORTMAP_SEED ?? 20260601);
const KILL_MS = 2000;
const NETWORK = `kill-${process.pid}`;
const ID = 'killed';
const CHAIN = attachmentChain(NETWORK, ID);
const PORTS = [
  { hostPort: 80, containerPort: 8080, protocol: 'tcp' },
  { hostPort: 81, containerPort: 8081, protocol: 'udp' },
  { hostPort: 82, containerPort: 8082, protocol: 'tcp' },
];
const VERBS = ['ADD', 'DEL', 'GC'] as const;
type Verb = (typeof VERBS)[number];

let lab: Topology;
const next = seeded(SEED);

beforeAll(async () => {
  lab = await Topology.create();
  for (const name of ['node', 'pod']) await lab.namespace(name);
});
afterAll(() => lab.dispose());

function config(backend: string) {
  return {
    ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap', backend },
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings: PORTS },
    prevResult: {
      cniVersion: '1.1.0',
      ips: [{ address: '10.88.0.10/24' }, { address: 'fd88::10/64' }],
    },
    'cni.dev/valid-attachments': [],
  };
}

/** Calls the plugin, and kills it after so many milliseconds if it still runs. Answers how long it ran. */
async function call(verb: Verb, backend: string, killAfter?: number): Promise<number> {
  const argv = [join(lab.plugins, 'portmap')];
  // The process itself, as its pid: what it starts continues, as after a crash.
  const script = killAfter === undefined ? argv : ['timeout', '-s', 'KILL', `${killAfter / 1000}`, ...argv];
  const began = performance.now();
  const { code, stdout } = await lab.run(
    'node',
    ['setsid', '-w', ...script],
    JSON.stringify(config(backend)),
    {
      ...{ CNI_COMMAND: verb, CNI_CONTAINERID: ID, CNI_NETNS: lab.path('pod'), CNI_IFNAME: 'eth0' },
      CNI_PATH: lab.plugins,
    },
  );
  if (killAfter === undefined) expect({ verb, code, stdout }).toMatchObject({ code: 0 });
  return performance.now() - began;
}

/** How much of the mapping is there, for each part that changes at once: its rules or elements. */
async function parts(backend: string): Promise<string[][]> {
  // What a killed call had started holds the lock until it has ended.
  (await takeRulesLock()).release();
  if (backend === 'nftables') {
    const { stdout } = await lab.run('node', ['nft', 'list', 'table', 'inet', 'hostport']);
    const elements = stdout.match(/[^{},\n]*comment "[^"]*"[^{},\n]*/g) ?? [];
    return [elements.filter((element) => element.includes(`"${NETWORK}/${ID}"`)).map((each) => each.trim())];
  }
  const families = ['iptables', 'ip6tables'] as const;
  const all = await Promise.all(families.map((family) => lab.natRules('node', family)));
  return all.map((lines) => lines.filter((line) => line.includes(CHAIN)));
}

describe.each(['nftables', 'iptables'])('%s', (backend) => {
  test(
    `killed ${KILLS / 2} times: all of it or nothing, and the next call puts it right`,
    async () => {
      await call('ADD', backend);
      const whole = await parts(backend);
      expect(whole.every((part) => part.length >= PORTS.length)).toBe(true);
      const durations: Record<Verb, number> = { ADD: 0, DEL: 0, GC: 0 };
      const outcomes = { whole: 0, nothing: 0 };
      for (let i = 0; i < KILLS / 2; i++) {
        const verb = VERBS[i % VERBS.length]!;
        // The first of each verb runs to its end: how long it takes says which instants there are.
        await call(verb === 'ADD' ? 'DEL' : 'ADD', backend);
        durations[verb] ||= await call(verb, backend);
        await call(verb === 'ADD' ? 'DEL' : 'ADD', backend);
        const instant = next() * durations[verb];
        await call(verb, backend, Math.max(1, instant));
        const left = await parts(backend);
        for (const [at, part] of left.entries()) {
          const isWhole = part.length > 0;
          outcomes[isWhole ? 'whole' : 'nothing']++;
          expect({ verb, instant, part }).toEqual({ verb, instant, part: isWhole ? whole[at]! : [] });
        }
        await call('ADD', backend);
        expect(await parts(backend)).toEqual(whole);
        await call('DEL', backend);
        expect((await parts(backend)).flat()).toEqual([]);
      }
      const { whole: all, nothing } = outcomes;
      console.log(
        `${backend}, killed ${KILLS / 2} times: ${all} parts whole, ${nothing} not there, none half-written`,
      );
      // Both happened, or the instants were not those of the calls.
      expect(outcomes.whole).toBeGreaterThan(0);
      expect(outcomes.nothing).toBeGreaterThan(0);
    },
    30_000 + KILLS * KILL_MS,
  );
});
