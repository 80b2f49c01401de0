import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { runPlugin } from '../src/cni/plugin.ts';
import type { PluginConfig, PortMapping } from '../src/cni/types.ts';
import { takeRulesLock } from '../src/netfilter/iptables/rules-lock.ts';
import { NftKernel } from '../src/netfilter/nft/kernel.ts';
import { glanceAtKernel } from '../src/netfilter/nft/kernel-rules.ts';
import type { NftElement } from '../src/netfilter/nft/nft.ts';
import { AttachmentFiles } from '../src/portmap/attachments.ts';
import { HOST_PORT_TAKEN } from '../src/portmap/backend.ts';
import { parsePortmapConfig } from '../src/portmap/config.ts';
import { attachmentChain, NFT_TABLE, ownerWord } from '../src/portmap/layout.ts';
import { thisMachine } from '../src/portmap/machine.ts';
import { ADDRESSES_ONLY, nftMaps, planNft } from '../src/portmap/nftables-layout.ts';
import { portmap } from '../src/portmap/portmap.ts';
import {
  asPrinted,
  attachmentRules,
  command,
  entryRules,
  type PodAddress,
  sharedRules,
} from '../src/portmap/rules.ts';
import { execOf, Topology } from '../src/portmap/testing/topology.ts';
import { output, realExec } from '../src/sys/exec.ts';
import { enterNetns } from '../src/sys/netns.ts';
import { parseCidr } from '../src/util/cidr.ts';
import type { Family } from '../src/util/family.ts';
import { isUnspecified, parseIp } from '../src/util/ip.ts';
import { seeded } from '../src/util/seeded.ts';

// Random histories of a node against a model of what its rules must be. PORTMAP_SEED and PORTMAP_OPERATIONS choose others.

const SEED = Number(process.env.PORTMAP_SEED ?? 20190501);
const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
const PROGRAMS: Record<Family, string> = { ipv4: 'iptables', ipv6: 'ip6tables' };
const HOST_IPS = [undefined, undefined, undefined, '10.78.0.2', '127.0.0.1', '0.0.0.0', 'fd78::2', '::'];
const PODS = 6;

/** The same numbers for the same seed. */
function generator(seed: number) {
  const next = seeded(seed);
  const below = (n: number) => Math.floor(next() * n);
  return { next, below, pick: <T>(of: readonly T[]): T => of[below(of.length)]! };
}

interface Pod {
  id: string;
  netns: string;
  alive: boolean;
  addresses: PodAddress[];
}

/** What the node must have: the mappings of each attachment. */
type Model = Map<Pod, PortMapping[]>;

// An operation is nine processes on iptables and hardly one on nftables: most of them are made where they are cheap.
const variants = [
  { name: 'iptables-nft', backend: 'iptables', tools: 'nft', operations: 280 },
  { name: 'iptables-legacy', backend: 'iptables', tools: 'legacy', operations: 170 },
  { name: 'nftables', backend: 'nftables', tools: 'nft', operations: 1650 },
] as const;

/** A part of the rules that changes in one transaction. */
type Part = Family | 'both families';

describe.each(variants)('$name', ({ backend, tools, operations, name }) => {
  const network = `property-${process.pid}-${name}`;
  const parts: readonly Part[] = backend === 'nftables' ? ['both families'] : FAMILIES;
  const home = `/proc/self/fd/${openSync('/proc/self/ns/net', 'r')}`;
  const random = generator(SEED);
  const log: string[] = [];
  const model: Model = new Map();
  /** Families in which something was ever mapped: what everybody shares stays. */
  const used = new Set<Family>();
  let lab: Topology;
  const pods: Pod[] = [];

  const exec = execOf(tools);
  const machine = tools === 'nft' ? { ...thisMachine, glance: glanceAtKernel } : thisMachine;
  const plugin = portmap(exec, new AttachmentFiles(), machine);

  beforeAll(async () => {
    lab = await Topology.create(tools);
    await lab.namespace('node');
    await lab.ok('node', ['ip', 'link', 'add', 'uplink', 'type', 'bridge']);
    for (const address of ['10.78.0.2/24', '10.88.0.1/24', 'fd78::2/64']) {
      await lab.ok('node', [
        'ip',
        'address',
        'add',
        address,
        'dev',
        'uplink',
        ...(address.includes(':') ? ['nodad'] : []),
      ]);
    }
    await lab.ok('node', ['ip', 'link', 'set', 'uplink', 'up']);
    for (let i = 0; i < PODS; i++) {
      await lab.namespace(`pod${i}`, { loopback: false });
      const texts = [`10.88.0.${10 + i}/24`, `fd88::${10 + i}/64`];
      // Two pods have one family only.
      const own = i === 0 ? texts.slice(0, 1) : i === 1 ? texts.slice(1) : texts;
      pods.push({
        ...{ id: `pod-${i}`, netns: lab.path(`pod${i}`), alive: true },
        addresses: own.map((text) => parseCidr(text)!),
      });
    }
    enterNetns(lab.path('node'));
  });

  afterAll(async () => {
    const files = new AttachmentFiles();
    for (const { id } of pods) files.forget(attachmentChain(network, id));
    enterNetns(home);
    await lab.dispose();
  });

  function configOf(pod: Pod, mappings: readonly PortMapping[] | undefined, extra = {}): PluginConfig {
    return {
      ...{ cniVersion: '1.1.0', name: network, type: 'portmap', capabilities: { portMappings: true } },
      backend,
      ...(mappings === undefined
        ? {}
        : {
            runtimeConfig: { portMappings: mappings },
            prevResult: {
              cniVersion: '1.1.0',
              interfaces: [{ name: 'eth0', sandbox: pod.netns }],
              ips: pod.addresses.map(({ ip, prefix }) => ({
                address: `${ip.family === 'ipv4' ? ip.bytes.join('.') : `fd88::${pods.indexOf(pod) + 10}`}/${prefix}`,
                interface: 0,
              })),
            },
          }),
      ...extra,
    };
  }

  function environment(verb: string, pod: Pod): Record<string, string> {
    const netns = verb === 'DEL' ? '' : pod.netns;
    return {
      ...{ CNI_COMMAND: verb, CNI_CONTAINERID: pod.id, CNI_NETNS: netns, CNI_IFNAME: 'eth0' },
      CNI_PATH: lab.plugins,
    };
  }

  /** Calls the plugin in this process. */
  async function call(verb: string, pod: Pod, config: PluginConfig) {
    let printed = '';
    let warned = '';
    const code = await runPlugin(plugin, {
      env: environment(verb, pod),
      isOwnNetns: () => false,
      readStdin: async () => JSON.stringify(config),
      writeStdout: (text) => {
        printed += text;
      },
      writeStderr: (text) => {
        warned += text;
      },
    });
    const error = code === 0 ? undefined : (JSON.parse(printed) as { code: number; msg: string });
    return { code, error, printed, warned };
  }

  /** Calls the plugin as a process and kills it after so many milliseconds, if it is not done by then. */
  async function killed(verb: string, pod: Pod, config: PluginConfig, afterMs: number): Promise<void> {
    const child = Bun.spawn([join(lab.plugins, 'portmap')], {
      env: { ...environment(verb, pod), PATH: `${lab.scratch}/tools:/usr/sbin:/usr/bin:/sbin:/bin` },
      stdin: new Blob([JSON.stringify(config)]),
      stdout: 'ignore',
      stderr: 'ignore',
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), afterMs);
    await child.exited;
    clearTimeout(timer);
    // What it had started holds the lock until it has ended.
    (await takeRulesLock()).release();
  }

  function ownerOf(pod: Pod) {
    return { networkName: network, containerId: pod.id };
  }

  function rulesOf(pod: Pod, mappings: readonly PortMapping[], part: Part): string[] {
    const config = parsePortmapConfig(configOf(pod, mappings));
    if (part === 'both families') {
      const plan = planNft(config, ownerOf(pod), pod.addresses);
      return [plan.attachment, ...plan.claims, ...plan.rest, ...plan.reservations].map(elementLine);
    }
    const address = pod.addresses.find(({ ip }) => ip.family === part);
    if (address === undefined) return [];
    const chain = attachmentChain(network, pod.id);
    return [
      `:${chain} -`,
      ...attachmentRules(config, ownerOf(pod), address).map((rule) => command('-A', asPrinted(rule))),
      ...entryRules(config, ownerOf(pod), address).map((rule) => command('-A', rule)),
    ];
  }

  function elementLine({ map, key, value, comment }: NftElement): string {
    // A port that is reserved for single addresses is so for everybody who has one.
    const owner = value === ADDRESSES_ONLY ? '' : (comment ?? '');
    return `${map} ${key} ${value ?? ''} ${owner}`;
  }

  /** The rules that the model wants, in no order but for those of one attachment's chain. */
  function wanted(part: Part): string[] {
    const rules = [...model].flatMap(([pod, mappings]) => rulesOf(pod, mappings, part));
    if (part !== 'both families' && used.has(part)) {
      const shared = sharedRules(parsePortmapConfig(configOf(pods[0]!, [])));
      rules.push(...shared.chains.map((chain) => `:${chain} -`));
      rules.push(...shared.rules.map((rule) => command('-A', rule)));
    }
    // Elements are in a map once, whoever wants them; rules are there as often as they were made.
    return inOrder(part === 'both families' ? [...new Set(rules)] : rules);
  }

  function inOrder(rules: readonly string[]): string[] {
    // Stable: lines of one attachment's chain keep their order, all others have one.
    const key = (line: string) => (line.startsWith('-A CNI-DN-') ? line.slice(0, 31) : line);
    return [...rules].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
  }

  async function installed(part: Part): Promise<string[]> {
    if (part === 'both families') {
      const table = new NftKernel(realExec, NFT_TABLE, nftMaps);
      const maps = await Promise.all(nftMaps.map((map) => table.list(map.name)));
      return inOrder(maps.flat().map(elementLine));
    }
    const text = await output(realExec, [`${PROGRAMS[part]}-${tools}-save`, '-t', 'nat']);
    if (text.includes('incompatible')) throw new Error(text);
    const lines = text
      .split('\n')
      .filter((line) => /^(-A|:CNI-)/.test(line))
      .map((line) => line.replace(/ \[\d+:\d+\]$/, ''));
    return inOrder(lines);
  }

  async function verify(): Promise<void> {
    const found = await Promise.all(parts.map(installed));
    for (const [i, part] of parts.entries()) {
      expect({ part, rules: found[i]! }).toEqual({ part, rules: wanted(part) });
    }
  }

  function randomMappings(): PortMapping[] {
    const mappings: PortMapping[] = [];
    for (let i = random.below(4); i >= 0; i--) {
      const hostIP = random.pick(HOST_IPS);
      mappings.push({
        ...{ hostPort: 7000 + random.below(12), containerPort: 1 + random.below(65535) },
        protocol: random.pick(['tcp', 'tcp', 'udp', 'sctp'] as const),
        ...(hostIP === undefined ? {} : { hostIP }),
      });
    }
    // A request that maps a port twice is a matter of its own.
    return parsePortmapConfig(configOf(pods[0]!, mappings)).portMappings;
  }

  function overlap(a: PortMapping, b: PortMapping, family: Family): boolean {
    if (a.protocol !== b.protocol || a.hostPort !== b.hostPort) return false;
    const [first, second] = [a, b].map(({ hostIP }) => (hostIP === undefined ? undefined : parseIp(hostIP)));
    if ([first, second].some((ip) => ip !== undefined && ip.family !== family)) return false;
    const every = [first, second].some((ip) => ip === undefined || isUnspecified(ip));
    return every || a.hostIP === b.hostIP;
  }

  function rivalsOf(pod: Pod, mappings: readonly PortMapping[]): Pod[] {
    return [...model].flatMap(([other, theirs]) => {
      if (other === pod) return [];
      const both = FAMILIES.filter((family) =>
        [pod, other].every(({ addresses }) => addresses.some(({ ip }) => ip.family === family)),
      );
      const clash = both.some((family) => mappings.some((a) => theirs.some((b) => overlap(a, b, family))));
      return clash ? [other] : [];
    });
  }

  /** What an ADD makes of the model; false when it must be refused. */
  function addToModel(pod: Pod, mappings: PortMapping[]): boolean {
    const rivals = rivalsOf(pod, mappings);
    if (rivals.some(({ alive }) => alive)) return false;
    for (const rival of rivals) model.delete(rival);
    model.set(pod, mappings);
    for (const { ip } of pod.addresses) used.add(ip.family);
    return true;
  }

  async function add(pod: Pod, mappings: PortMapping[]): Promise<void> {
    const outcome = await call('ADD', pod, configOf(pod, mappings));
    const refused = !addToModel(pod, mappings);
    expect({ verb: 'ADD', error: outcome.error?.code, printed: outcome.printed }).toEqual({
      verb: 'ADD',
      error: refused ? HOST_PORT_TAKEN : undefined,
      printed: outcome.printed,
    });
  }

  async function succeed(verb: string, pod: Pod, config: PluginConfig): Promise<void> {
    expect(await call(verb, pod, config)).toMatchObject({ code: 0, printed: '' });
  }

  const steps: Record<string, { weight: number; run: () => Promise<void> }> = {
    add: {
      weight: 30,
      run: async () => {
        const pod = random.pick(pods.filter(({ alive }) => alive));
        const mappings = randomMappings();
        log.push(`add ${pod.id} ${JSON.stringify(mappings)}`);
        await add(pod, mappings);
      },
    },
    check: {
      weight: 15,
      run: async () => {
        const pod = random.pick(pods);
        const mappings = model.get(pod) ?? randomMappings();
        log.push(`check ${pod.id}`);
        const outcome = await call('CHECK', pod, configOf(pod, mappings));
        expect({ code: outcome.code, msg: outcome.error?.msg }).toEqual(
          model.has(pod) ? { code: 0, msg: undefined } : { code: 1, msg: expect.stringContaining('missing') },
        );
      },
    },
    del: {
      weight: 20,
      run: async () => {
        const pod = random.pick(pods);
        // A runtime that lost its cache has neither mappings nor a result.
        const mappings = random.below(2) === 0 ? undefined : (model.get(pod) ?? []);
        log.push(`del ${pod.id}`);
        await succeed('DEL', pod, configOf(pod, mappings));
        model.delete(pod);
      },
    },
    gc: {
      weight: 4,
      run: async () => {
        const valid = pods.filter(() => random.below(3) > 0);
        log.push(`gc, valid ${valid.map(({ id }) => id).join()}`);
        await collect(valid);
      },
    },
    die: {
      weight: 5,
      run: async () => {
        const pod = random.pick(pods);
        log.push(`${pod.alive ? 'die' : 'revive'} ${pod.id}`);
        const name = `pod${pods.indexOf(pod)}`;
        if (pod.alive) await lab.removeNamespace(name);
        else {
          // A new sandbox is another container: what the old one had is its runtime's to remove.
          await succeed('DEL', pod, configOf(pod, undefined));
          model.delete(pod);
          await lab.namespace(name, { loopback: false });
          pod.netns = lab.path(name);
        }
        pod.alive = !pod.alive;
      },
    },
    kill: {
      weight: 12,
      run: async () => {
        const pod = random.pick(pods.filter(({ alive }) => alive));
        const verb = random.pick(['ADD', 'ADD', 'DEL']);
        const mappings = randomMappings();
        const afterMs = random.next() * 45;
        log.push(`kill ${verb} ${pod.id} ${JSON.stringify(mappings)} after ${afterMs.toFixed(1)} ms`);
        const before = new Map(model);
        const earlier = model.get(pod) ?? [];
        if (verb === 'ADD' && rivalsOf(pod, mappings).length > 0) {
          // Who would be replaced is a matter of the other steps.
          log.push('(not free)');
          return;
        }
        await killed(verb, pod, configOf(pod, mappings), afterMs);
        const after = verb === 'ADD' ? mappings : [];
        for (const part of parts) {
          // A whole mapping in each part, the old or the new; the shared rules may be there already.
          const mark = part === 'both families' ? ownerWord(ownerOf(pod)) : attachmentChain(network, pod.id);
          const own = (await installed(part)).filter((line) => line.includes(mark));
          const states = [earlier, after].map((some) =>
            some.length === 0 ? [] : inOrder(rulesOf(pod, some, part)).filter((line) => line.includes(mark)),
          );
          expect(states).toContainEqual(own);
        }
        const repair = random.pick(['ADD', 'DEL', 'GC']);
        log.push(`repaired by ${repair}`);
        // What was there before a DEL is free still.
        const again = verb === 'ADD' ? mappings : earlier;
        if (repair === 'ADD' && again.length > 0) await add(pod, again);
        else if (repair !== 'GC') {
          await succeed('DEL', pod, configOf(pod, undefined));
          model.delete(pod);
        } else await collect([...before.keys()].filter((other) => other !== pod));
        if (verb === 'ADD' && backend === 'iptables') {
          for (const family of FAMILIES) {
            if ((await installed(family)).some((line) => line.startsWith(':CNI-HOSTPORT'))) used.add(family);
          }
        }
      },
    },
    flush: {
      weight: 6,
      run: async () => {
        if (backend === 'nftables') return flushMaps();
        const family = random.pick(FAMILIES);
        if (!used.has(family)) return;
        const inUse = [...model.keys()].filter(({ addresses }) =>
          addresses.some(({ ip }) => ip.family === family),
        );
        // A mapping for an address of the other family leaves a chain without rules.
        const filled = inUse.filter((pod) =>
          rulesOf(pod, model.get(pod)!, family).some((rule) => rule.startsWith('-A CNI-DN-')),
        );
        const chains = filled.map(({ id }) => attachmentChain(network, id));
        const chain = random.pick([
          ...['PREROUTING', 'OUTPUT', 'POSTROUTING', 'CNI-HOSTPORT-DNAT', 'CNI-HOSTPORT-SETMARK'],
          ...['CNI-HOSTPORT-MASQ', 'everything', 'everything', ...chains],
        ]);
        log.push(
          `flush ${chain} of ${family}, in use ${inUse.map(({ id }) => id).join()}; alive ${pods
            .filter(({ alive }) => alive)
            .map(({ id }) => id)
            .join()}`,
        );
        const program = `${PROGRAMS[family]}-${tools}`;
        const arguments_ = chain === 'everything' ? [['-F'], ['-X']] : [['-F', chain]];
        for (const words of arguments_) {
          expect(await realExec.run([program, '-t', 'nat', ...words])).toMatchObject({ code: 0 });
        }
        const hurt = chains.includes(chain) ? [filled[chains.indexOf(chain)]!] : inUse;
        for (const pod of hurt) {
          const outcome = await call('CHECK', pod, configOf(pod, model.get(pod)!));
          expect(outcome.error?.msg ?? '').toContain('missing');
        }
        // Whoever lost something is added again; if nobody did, the shared rules come with the next one.
        for (const pod of hurt) await add(pod, model.get(pod)!);
        if (hurt.length === 0) {
          const pod = pods.find(
            ({ addresses, alive }) => alive && addresses.some(({ ip }) => ip.family === family),
          );
          if (pod === undefined) used.delete(family);
          else await add(pod, [{ hostPort: 6900 + pods.indexOf(pod), containerPort: 1, protocol: 'tcp' }]);
        }
      },
    },
  };

  /** Somebody empties the table, or a map of it. */
  async function flushMaps(): Promise<void> {
    const before = await installed('both families');
    const map = random.pick([undefined, ...nftMaps.map(({ name }) => name)]);
    log.push(`flush ${map ?? 'the table'}`);
    const words = map === undefined ? ['delete', 'table'] : ['flush', 'map'];
    if (map !== undefined && nftMaps.find(({ name }) => name === map)?.value === undefined) words[1] = 'set';
    const { code } = await realExec.run([
      'nft',
      ...words,
      'inet',
      NFT_TABLE,
      ...(map === undefined ? [] : [map]),
    ]);
    // Nobody may have mapped anything yet.
    expect({ before: code === 0 ? [] : before }).toEqual({ before: [] });
    const hurt = [...model].filter(([pod, mappings]) =>
      rulesOf(pod, mappings, 'both families').some((line) => map === undefined || line.startsWith(`${map} `)),
    );
    for (const [pod, mappings] of hurt) {
      const outcome = await call('CHECK', pod, configOf(pod, mappings));
      expect(outcome.error?.msg ?? '').toContain('missing');
    }
    for (const [pod, mappings] of hurt) await add(pod, mappings);
  }

  async function collect(valid: readonly Pod[]): Promise<void> {
    const attachments = valid.map(({ id }) => ({ containerID: id, ifname: 'eth0' }));
    const config = configOf(pods[0]!, undefined, { 'cni.dev/valid-attachments': attachments });
    await succeed('GC', pods[0]!, config);
    for (const pod of pods) if (!valid.includes(pod)) model.delete(pod);
  }

  test('whatever happens to a node, its rules are the model’s', async () => {
    const names = Object.keys(steps);
    const total = names.reduce((sum, step) => sum + steps[step]!.weight, 0);
    const count = Number(process.env.PORTMAP_OPERATIONS ?? operations);
    const done: Record<string, number> = {};
    try {
      for (let operation = 0; operation < count; operation++) {
        let at = random.below(total);
        const step = names.find((candidate) => {
          at -= steps[candidate]!.weight;
          return at < 0;
        })!;
        if (!pods.some(({ alive }) => alive)) await steps.die!.run();
        await steps[step]!.run();
        done[step] = (done[step] ?? 0) + 1;
        if (operation % 4 === 0 || step === 'kill' || step === 'flush') await verify();
      }
      await verify();
    } catch (cause) {
      throw new Error(`${name}: seed ${SEED}, after\n${log.slice(-40).join('\n')}`, { cause });
    }
    // Every kind of step was taken, or the history proves less than it says.
    if (count >= operations) expect(Object.keys(done).sort()).toEqual(names.sort());
  }, 300_000);
});
