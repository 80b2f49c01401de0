import { describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { type Call, type History, history } from '../../test/random-calls.ts';
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
/** Milliseconds, with room for a machine that does much else: one takes 1 or 2. */
const RUN_MS = 100;
/** How often a verb had an answer: a code, or 0. */
const answers = new Map<string, number>();

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
    const answered = `${one.verb} ${status === 0 ? 0 : JSON.parse(printed[0] ?? '{}').code}`;
    answers.set(answered, (answers.get(answered) ?? 0) + 1);
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
        const all = [...answers]
          .sort(([a], [b]) => a.localeCompare(b))
          .map(([what, times]) => `${what}: ${times}`);
        console.log(`${RUNS} random histories, answers by verb and code: ${all.join(', ')}`);
        // Both happened often, or it was not much of a test.
        for (const what of ['ADD 0', 'ADD 7', 'ADD 110', 'DEL 0', 'CHECK 999', 'GC 0'])
          expect(answers.get(what) ?? 0, what).toBeGreaterThan(RUNS / 5000);
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
    10_000 + RUNS * RUN_MS,
  );
});
