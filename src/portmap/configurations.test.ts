import { describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { cniErrorCode } from '../cni/errors.ts';
import { runPlugin } from '../cni/plugin.ts';
import { HOST_PORT_TAKEN } from './backend.ts';
import { FakeMachine } from './machine.fake.ts';
import { ADDRESSES_ONLY, claimMaps, FURTHER_LAYERS, mapIn, ownerOfElement } from './nftables-layout.ts';
import { portmap } from './portmap.ts';
import { RouteLocalnet } from './route-localnet.ts';
import { FakeAttachments } from './testing/attachments.fake.ts';

// Random configurations and environments, most of them nearly valid, against a machine in memory: each call has one answer, and leaves a whole
// mapping or none. FUZZ_RUNS chooses how many (`make fuzz`: 100,000), FUZZ_SEED repeats a run that failed.

const RUNS = Number(process.env.FUZZ_RUNS ?? 1500);
const SEED = Number(process.env.FUZZ_SEED ?? 20260501);
/** Milliseconds, with room for a machine that does other things. */
const RUN_MS = 20;

const junk = fc.oneof(
  fc.constantFrom(
    null,
    '',
    0,
    -1,
    65_536,
    1e308,
    true,
    'x'.repeat(300),
    [],
    {},
    [[]],
    '\u0000',
    '-F',
    'a\nb',
  ),
  fc.jsonValue({ maxDepth: 2 }),
);
/** Mostly something that is meant. */
const nearly = <T>(arbitrary: fc.Arbitrary<T>, weight = 100) =>
  fc.oneof({ arbitrary, weight }, { arbitrary: junk as fc.Arbitrary<unknown>, weight: 1 });
/** Mostly nothing. */
const seldom = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: fc.constant(undefined), weight: 8 }, { arbitrary: nearly(arbitrary, 20), weight: 2 });

const mapping = fc.record(
  {
    hostPort: nearly(fc.integer({ min: 79, max: 83 })),
    containerPort: nearly(fc.integer({ min: 1, max: 65_535 })),
    protocol: nearly(fc.constantFrom('tcp', 'udp', 'sctp', 'TCP', '')),
    hostIP: nearly(
      fc.constantFrom('', '0.0.0.0', '::', '10.1.1.1', '127.0.0.1', 'fd01::1', '::1', '9.9.9.9'),
    ),
  },
  { requiredKeys: ['hostPort', 'containerPort'] },
);
const iptablesConditions = fc.constantFrom(
  ['-s', '10.0.0.0/8'],
  ['!', '-s', '10.0.0.0/8'],
  ['-i', 'eth0'],
  ['-m', 'comment', '--comment', 'it"s'],
  ['-j', 'ACCEPT'],
);
const nftConditions = fc.constantFrom(
  ['ip saddr 10.0.0.0/8'],
  ['ip', 'saddr', '!=', '10.0.0.0/8'],
  ['ip saddr 11.0.0.0/8 counter'],
  ['tcp flags syn / fin,syn', 'meta', 'hour', '"17:00"-"19:00"'],
  ['iifname', '"eth0"', 'meta', 'mark', '1'],
  ['tcp sport { 1, 2-9 }'],
  ['ip saddr 1.1.1.1 accept'],
);
const conditions = fc.oneof(iptablesConditions, nftConditions);
const address = nearly(
  fc.constantFrom('10.0.0.5/24', '10.0.0.6/32', 'fd00::5/64', 'fd00::6/128', '10.0.0.7/0'),
);
const prevResult = fc.record(
  {
    interfaces: fc.constantFrom([], [{ name: 'eth0', sandbox: '/run/netns/a' }]),
    ips: nearly(
      fc.array(fc.record({ address, interface: fc.constantFrom(0, 0, 1) }, { requiredKeys: ['address'] }), {
        maxLength: 3,
      }),
    ),
  },
  { requiredKeys: ['ips'] },
);
const config = fc.record({
  cniVersion: nearly(fc.constantFrom('1.1.0', '1.1.0', '1.1.0', '1.0.0', '0.4.0', '0.2.0')),
  name: nearly(fc.constantFrom('net', 'net', 'other', 'n'.repeat(70))),
  type: fc.constant('portmap'),
  backend: nearly(fc.constantFrom(undefined, 'iptables', 'nftables', 'nftables')),
  snat: seldom(fc.boolean()),
  masqAll: seldom(fc.boolean()),
  markMasqBit: seldom(fc.integer({ min: 0, max: 31 })),
  // Only chains that exist, or no chain's name: that a missing one is refused by iptables has a test of its own.
  externalSetMarkChain: fc.constantFrom(
    ...Array<undefined>(12).fill(undefined),
    ...['KUBE-MARK-MASQ', 'KUBE-MARK-MASQ', '', 7, '-F', 'A B', null],
  ),
  conditionsV4: seldom(conditions),
  conditionsV6: seldom(conditions),
  strict: seldom(fc.boolean()),
  capabilities: nearly(fc.constant({ portMappings: true })),
  runtimeConfig: nearly(fc.record({ portMappings: nearly(fc.array(mapping, { maxLength: 6 })) })),
  prevResult: nearly(prevResult),
  'cni.dev/valid-attachments': seldom(
    fc.constantFrom([], [{ containerID: 'a', ifname: 'eth0' }], [{ containerID: 'b', ifname: 'net1' }]),
  ),
  unknown: seldom(fc.constant(1)),
});

/** The text of a configuration: sometimes with keys in another case, sometimes cut or not JSON at all. */
const text = fc.tuple(config, fc.nat(40), fc.nat()).map(([value, kind, at]) => {
  const printed = JSON.stringify(value);
  if (kind === 0) return printed.slice(0, at % printed.length);
  if (kind === 1) return printed.replace(/"[a-z]/gi, (key) => key.toUpperCase());
  if (kind === 2)
    return `${printed.slice(0, at % printed.length)}\u0000${printed.slice(at % printed.length)}`;
  return printed;
});
const call = fc.record({
  verb: fc.constantFrom('ADD', 'ADD', 'ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION', 'NONE'),
  id: fc.oneof({ arbitrary: fc.constantFrom('a', 'b', 'c'.repeat(64)), weight: 30 }, fc.string()),
  ifName: fc.oneof({ arbitrary: fc.constantFrom('eth0', 'net1', 'e"x'), weight: 30 }, fc.string()),
  text,
});
const history = fc.record({
  calls: fc.array(call, { minLength: 1, maxLength: 4 }),
  sandboxes: fc.record({
    a: fc.constantFrom('alive', 'gone', 'unknown'),
    b: fc.constantFrom('alive', 'gone', 'unknown'),
  }),
  unusable: fc.constantFrom(undefined, undefined, undefined, undefined, 'ipv4', 'ipv6', 'nft'),
});

type History = typeof history extends fc.Arbitrary<infer T> ? T : never;
type Call = History['calls'][number];

class Node {
  readonly machine = new FakeMachine();
  readonly attachments: FakeAttachments;
  readonly #plugin: ReturnType<typeof portmap>;

  constructor({ sandboxes, unusable }: History, directory: string) {
    this.attachments = new FakeAttachments(sandboxes as FakeAttachments['sandboxes']);
    this.machine.links.push({ index: 7, name: 'veth' } as FakeMachine['links'][number]);
    this.machine.settings.set('veth', '0');
    if (unusable !== undefined) this.machine.unusable.add(unusable as 'nft');
    this.#plugin = portmap(
      this.machine,
      this.attachments,
      this.machine,
      new RouteLocalnet(this.machine, directory),
    );
  }

  /** Another program's chain, which configurations name. */
  async prepare(): Promise<void> {
    const { ipv4, ipv6 } = this.machine.tables;
    for (const table of [ipv4, ipv6]) await table.restore(['-N KUBE-MARK-MASQ']);
  }

  async answer({ verb, id, ifName, text }: Call) {
    const printed: string[] = [];
    const status = await runPlugin(this.#plugin, {
      env: {
        ...{ CNI_COMMAND: verb, CNI_CONTAINERID: id, CNI_IFNAME: ifName },
        ...{ CNI_NETNS: '/run/netns/a', CNI_PATH: '/opt/cni/bin' },
      },
      isOwnNetns: () => false,
      readStdin: async () => text,
      writeStdout: (line) => printed.push(line),
      writeStderr: () => {},
    });
    return { status, printed };
  }

  /**
   * The chains of attachments whose sandbox is gone or cannot be found: a call that wants their ports may remove what they have, also when
   * it then fails in the backend that it is for.
   */
  stale(): string[] {
    const { records } = this.attachments;
    return [...records].flatMap(([chain, { containerId }]) =>
      this.attachments.stateOf(containerId) === 'alive' ? [] : [chain],
    );
  }

  /** All that is mapped or remembered, but for these attachments: what counts is whether a failed call changed it. */
  async state(without: readonly string[] = []): Promise<string> {
    const { machine, attachments } = this;
    const isLeft = (text: string) => !without.some((chain) => text.includes(chain));
    const elements = [...(machine.nftTable.state?.maps.values() ?? [])]
      .flatMap((map) => [...map.values()])
      .filter(({ comment, value }) => {
        // Reservations belong to nobody, and go with the last mapping that needs them.
        if (value === ADDRESSES_ONLY) return false;
        const owner = ownerOfElement(comment);
        return owner === undefined || isLeft(owner.chain);
      });
    const chains = [...(machine.nftTable.state?.chains.keys() ?? [])].filter((name) =>
      name.startsWith('CNI'),
    );
    const lines = [await machine.tables.ipv4.listAll(), await machine.tables.ipv6.listAll()];
    const rules = lines.map((all) => all.filter((line) => line.includes('CNI-DN-')));
    return JSON.stringify([
      ...[elements, chains.filter(isLeft), rules.map((all) => all.filter(isLeft))],
      [...attachments.records.keys()].filter(isLeft).sort(),
    ]);
  }

  /** Claims in nftables without a target, or targets without a claim. */
  halves(): string[] {
    const maps = this.machine.nftTable.state?.maps;
    const all = [0, ...FURTHER_LAYERS].flatMap((layer) => claimMaps.map((name) => mapIn(name, layer)));
    return all.flatMap((name) => {
      const [claims, targets] = [maps?.get(name), maps?.get(`${name}_targets`)];
      const isClaim = (key: string) => claims?.get(key)?.comment !== undefined;
      return [
        ...[...(claims?.keys() ?? [])].filter((key) => isClaim(key) && !targets?.has(key)),
        ...[...(targets?.keys() ?? [])].filter((key) => !isClaim(key)),
      ].map((key) => `${name} ${key}`);
    });
  }
}

const { incompatibleVersion, unsupportedField, unknownContainer, invalidEnvironment, decodingFailure } =
  cniErrorCode;
const REFUSALS: number[] = [
  ...[incompatibleVersion, unsupportedField, unknownContainer, invalidEnvironment, decodingFailure],
  ...[cniErrorCode.invalidNetworkConfig, cniErrorCode.pluginNotAvailable, HOST_PORT_TAKEN, 111],
];
/** What else a verb may answer: a CHECK that finds something missing, a STATUS with mappings that cannot be changed. */
const OWN_REFUSALS: Record<string, number[]> = {
  CHECK: [cniErrorCode.internal],
  STATUS: [cniErrorCode.limitedConnectivity],
};

async function hold(given: History, directory: string): Promise<void> {
  const node = new Node(given, directory);
  await node.prepare();
  for (const one of given.calls) {
    const stale = node.stale();
    const before = await node.state(stale);
    const { status, printed } = await node.answer(one);
    expect(node.machine.locks.held).toBe(0);
    expect(node.halves()).toEqual([]);
    if (status === 0) {
      expect(printed.length).toBe(one.verb === 'ADD' || one.verb === 'VERSION' ? 1 : 0);
      for (const document of printed) JSON.parse(document);
      if (one.verb === 'ADD') await holdMapping(node, one);
      continue;
    }
    expect({ status, printed: printed.length }).toEqual({ status: 1, printed: 1 });
    const { code, msg } = JSON.parse(printed[0]!);
    expect(msg).not.toMatch(
      /\.[jt]s:\d+|\$bunfs|undefined is not|is not a function|Cannot (?:read|destructure)/,
    );
    expect([...REFUSALS, ...(OWN_REFUSALS[one.verb] ?? [])], msg).toContain(code);
    expect(await node.state(stale)).toBe(before);
  }
  // What every pod had goes with it.
  for (const one of given.calls) {
    for (const ifName of ['eth0', 'net1', one.ifName]) await node.answer({ ...one, verb: 'DEL', ifName });
  }
}

/** What an ADD said is there is there whole, a second one changes nothing, and a DEL removes it whole. */
async function holdMapping(node: Node, one: Call): Promise<void> {
  const after = await node.state();
  expect((await node.answer(one)).status).toBe(0);
  expect(await node.state()).toBe(after);
}

describe('random configurations', () => {
  test(
    `${RUNS} of them`,
    async () => {
      const directory = mkdtempSync(join(tmpdir(), 'hostport-fuzz-'));
      try {
        const property = fc.asyncProperty(history, (given) => hold(given, directory));
        await fc.assert(property, { numRuns: RUNS, seed: SEED });
        expect(readdirSync(directory)).toEqual([]);
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
    10_000 + RUNS * RUN_MS,
  );
});
