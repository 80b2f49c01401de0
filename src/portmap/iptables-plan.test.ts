import { describe, expect, test } from 'bun:test';
import { CniError } from '../cni/errors.ts';
import type { PluginConfig } from '../cni/types.ts';
import { FakeNat } from '../netfilter/iptables/iptables.fake.ts';
import { IptablesUnavailable, type NatTable, XtablesLockBusy } from '../netfilter/iptables/iptables.ts';
import type { NatGlance } from '../netfilter/nft/kernel-rules.ts';
import { parseCidr } from '../util/cidr.ts';
import type { Attached } from './attached.ts';
import type { HostPort } from './attachments.ts';
import { type PortmapConfig, parsePortmapConfig } from './config.ts';
import { IptablesBackend } from './iptables-backend.ts';
import { attachmentChain, DNAT_CHAIN, parseEntries } from './layout.ts';
import { asPrinted, attachmentRules, command, entryRules, type PodAddress, sharedRules } from './rules.ts';
import { FakeAttachments } from './testing/attachments.fake.ts';

const V4 = parseCidr('10.0.0.5/32')!;
const V6 = parseCidr('fd00::5/128')!;
const OTHER = parseCidr('10.0.0.6/32')!;
const at = (containerId: string, fields: Partial<Attached> = {}): Attached => ({
  ...{ networkName: 'net', containerId, interface: 'eth0' },
  ...fields,
});
const OWN = attachmentChain('net', 'c');
const OLD = attachmentChain('net', 'old');

function configOf(mappings: Record<string, unknown>[], extra: Record<string, unknown> = {}): PortmapConfig {
  const portMappings = mappings.map((mapping) => ({ containerPort: 8080, ...mapping }));
  return parsePortmapConfig({ name: 'net', runtimeConfig: { portMappings }, ...extra } as PluginConfig);
}

const WEB = configOf([{ hostPort: 80 }]);

function setUp(options: { attachments?: FakeAttachments; glance?: Partial<NatGlance>; nat?: FakeNat } = {}) {
  const { attachments = new FakeAttachments(), nat = new FakeNat() } = options;
  const warnings: string[] = [];
  const glance = () => options.glance as NatGlance | undefined;
  const backend = new IptablesBackend(nat, attachments, (text) => warnings.push(text), {
    glance,
    localAddressTest,
  });
  const add = async (config: PortmapConfig, attached: Attached, pod: PodAddress = V4) =>
    backend.carryOut(await backend.plan(config, attached, pod));
  /** What the chains have; names of the two attachments in short. */
  const rules = async () =>
    (await nat.listAll()).map((line) => line.replaceAll(OWN, 'OWN').replaceAll(OLD, 'OLD'));
  return { nat, backend, warnings, attachments, add, rules };
}

/** Puts an attachment in as iptables prints it. */
async function install(nat: FakeNat, config: PortmapConfig, attached: Attached, pod: PodAddress = V4) {
  const { chains, rules } = sharedRules(config);
  const [own, shared] = [attachmentChain(attached.networkName, attached.containerId, attached.ifName), []];
  const missing = await Promise.all(
    chains.map(async (chain) => ((await nat.listChain(chain)) === undefined ? [`-N ${chain}`] : [])),
  );
  const isNew = missing.flat().length > 0;
  const outcome = await nat.restore([
    ...missing.flat(),
    ...(isNew ? rules.map((rule) => command('-A', rule)) : shared),
    `-N ${own}`,
    ...attachmentRules(config, attached, pod).map((rule) => command('-A', asPrinted(rule))),
    ...entryRules(config, attached, pod).map((rule) => command('-A', rule)),
  ]);
  expect(outcome).toEqual({ applied: true });
}

/** What is an address of the node here. */
const localAddressTest = () => (address: string) => ['127.0.0.1', '10.1.1.1', '0.0.0.0'].includes(address);

const nameless = (list: readonly string[] | undefined) =>
  list?.map((line) =>
    line
      .replaceAll(OWN, 'OWN')
      .replaceAll(OLD, 'OLD')
      .replace(/-m comment --comment ".*?[^\\]" ?/, ''),
  );

const LOCAL = '-m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT';
const SETMARK = 'CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000';
const MASQ = 'CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE';
const OWN_RULES = [
  '-A OWN -p tcp --dport 80 -s 10.0.0.5/32 -j CNI-HOSTPORT-SETMARK',
  '-A OWN -p tcp --dport 80 -s 127.0.0.1 -j CNI-HOSTPORT-SETMARK',
  '-A OWN -p tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080',
];
const ENTRY = '-A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 80 -j OWN';

describe('documents of an ADD', () => {
  test('into an empty table: what usually is there is tried, then read', async () => {
    const { nat, add } = setUp();
    expect(await add(WEB, at('c'))).toEqual(new Set());
    expect(nat.documents.map(nameless)).toEqual([
      [
        `-C ${SETMARK}`,
        `-C ${MASQ}`,
        '-C POSTROUTING -j CNI-HOSTPORT-MASQ',
        `-C PREROUTING ${LOCAL}`,
        `-C OUTPUT ${LOCAL}`,
        '-N OWN',
        ...OWN_RULES,
        ENTRY,
      ],
      [
        ...['-N CNI-HOSTPORT-SETMARK', '-N CNI-HOSTPORT-MASQ', '-N CNI-HOSTPORT-DNAT'],
        ...[
          `-A ${SETMARK}`,
          `-A ${MASQ}`,
          '-I POSTROUTING -j CNI-HOSTPORT-MASQ',
          `-A PREROUTING ${LOCAL}`,
          `-A OUTPUT ${LOCAL}`,
        ],
        ...['-N OWN', ...OWN_RULES, ENTRY],
      ],
    ]);
  });

  test('again: its chain is emptied and its entries are replaced, the rest is checked', async () => {
    const { nat, add, rules } = setUp();
    await add(WEB, at('c'));
    const before = await rules();
    nat.documents.length = 0;
    await add(WEB, at('c'));
    expect(nat.documents.map(nameless)).toEqual([
      [
        ...[
          `-C ${SETMARK}`,
          `-C ${MASQ}`,
          '-C POSTROUTING -j CNI-HOSTPORT-MASQ',
          `-C PREROUTING ${LOCAL}`,
          `-C OUTPUT ${LOCAL}`,
        ],
        ...[ENTRY.replace('-A', '-D'), '-F OWN', ...OWN_RULES, ENTRY],
      ],
    ]);
    expect(await rules()).toEqual(before);
  });

  test('of another configuration before: nothing is left', async () => {
    const { add, rules } = setUp();
    await add(configOf([{ hostPort: 81 }, { hostPort: 53, protocol: 'udp' }]), at('c'));
    await add(WEB, at('c'));
    const own = (await rules()).filter((line) => line.includes('OWN'));
    expect(nameless(own)).toEqual([ENTRY, ...OWN_RULES]);
  });

  test('beside one that is there: the shared rules are checked only', async () => {
    const { nat, add } = setUp();
    await add(configOf([{ hostPort: 81 }]), at('old'));
    nat.documents.length = 0;
    await add(WEB, at('c'));
    expect(
      nat.documents.map((document) =>
        document.filter((line) => !line.startsWith('-A')).map((line) => line.slice(0, 2)),
      ),
    ).toEqual([['-C', '-C', '-C', '-C', '-C', '-N']]);
  });

  test('without masquerade, or with another program’s', async () => {
    const { nat, add } = setUp();
    await add(configOf([{ hostPort: 80 }], { snat: false }), at('c'));
    expect(nameless(nat.documents.at(-1))).toEqual([
      ...['-N CNI-HOSTPORT-DNAT', `-A PREROUTING ${LOCAL}`, `-A OUTPUT ${LOCAL}`, '-N OWN'],
      ...[OWN_RULES[2]!, ENTRY],
    ]);
    await nat.restore(['-N KUBE-MARK-MASQ']);
    await add(configOf([{ hostPort: 80 }], { externalSetMarkChain: 'KUBE-MARK-MASQ' }), at('c'));
    expect(nameless(nat.documents.at(-1))!.filter((line) => line.includes('KUBE'))).toHaveLength(2);
  });

  test('a rule that is refused is an error at once, with the command', async () => {
    const { nat, add } = setUp();
    const marked = configOf([{ hostPort: 80 }], { externalSetMarkChain: 'NONE' });
    await expect(add(marked, at('c'))).rejects.toMatchObject({
      code: 999,
      message: 'cannot map ports of container c (ipv4)',
      details: `Couldn't load target \`NONE': -A ${OWN} -p tcp --dport 80 -s 10.0.0.5/32 -j NONE`,
    });
    // One that assumes, one that knows.
    expect(nat.documents).toHaveLength(2);
  });

  test('a table that never is as it was read is an error after four attempts', async () => {
    const { nat, add } = setUp({ nat: new FakeNat('ipv6') });
    nat.before = (chains) => {
      if (chains.has(OWN)) chains.delete(OWN);
      else chains.set(OWN, []);
    };
    await expect(add(WEB, at('c'), V6)).rejects.toMatchObject({
      code: 999,
      message: 'cannot map ports of container c (ipv6)',
      details: `No chain/target/match by that name.: -F ${OWN}`,
    });
    expect(nat.documents).toHaveLength(4);
  });

  test('a failure that is of no command is said without one', async () => {
    const { nat, add } = setUp();
    nat.restore = async (commands) => {
      nat.documents.push(commands);
      return { applied: false, failed: undefined, reason: 'COMMIT failed' };
    };
    await expect(add(WEB, at('c'))).rejects.toMatchObject({ code: 999, details: 'COMMIT failed' });
    expect(nat.documents).toHaveLength(4);
  });
});

describe('IPv6, where a check does not compare values', () => {
  const v6 = () => setUp({ nat: new FakeNat('ipv6') });
  const verbs = (document: readonly string[]) =>
    document.map((line) => line.slice(0, 2)).filter((verb) => verb !== '-A');
  test('rules with values are read, and one that is there is not added again', async () => {
    const { nat, add } = v6();
    await add(configOf([{ hostPort: 81 }]), at('old'), V6);
    nat.documents.length = 0;
    await add(WEB, at('c'), V6);
    expect(nat.documents.map(verbs)).toEqual([['-C', '-C', '-C', '-C', '-C', '-N']]);
  });
  test('another mark bit is added beside', async () => {
    const { nat, add } = v6();
    await add(configOf([{ hostPort: 81 }], { markMasqBit: 5 }), at('old'), V6);
    nat.documents.length = 0;
    await add(WEB, at('c'), V6);
    expect(nat.documents.map(verbs)).toEqual([['-C', '-C', '-C', '-N']]);
    expect(nat.documents[0]!.filter((line) => line.includes('0x2000'))).toHaveLength(2);
  });
  test('without masquerade nothing has a value', async () => {
    const { nat, add } = v6();
    let listed = 0;
    const list = nat.listChain.bind(nat);
    nat.listChain = (chain) => {
      listed++;
      return list(chain);
    };
    const bare = configOf([{ hostPort: 80 }], { snat: false });
    await add(bare, at('old'), V6);
    [listed, nat.documents.length] = [0, 0];
    await add(configOf([{ hostPort: 81 }], { snat: false }), at('c'), V6);
    expect([listed, nat.documents.length]).toEqual([1, 1]);
  });
});

describe('by a glance', () => {
  const glance = (fields: Partial<NatGlance> = {}): Partial<NatGlance> => ({
    portJumps: (chain, wanted) => {
      expect(chain).toBe(DNAT_CHAIN);
      const all = [{ chain: OLD, ports: [81, 82] }];
      // As little as a glance may show.
      const isWanted = (port: number) => wanted === undefined || wanted.ports.has(port);
      return all.filter((jump) => jump.chain === wanted?.chain || jump.ports.some(isWanted));
    },
    hasLocalJump: (chain, target) => ['PREROUTING', 'OUTPUT'].includes(chain) && target === DNAT_CHAIN,
    hasChain: () => false,
    ...fields,
  });
  const documentOf = async (fields: Partial<NatGlance>) => {
    const { nat, add } = setUp({ glance: glance(fields) });
    await install(nat, configOf([{ hostPort: 81 }, { hostPort: 82 }]), at('old'), OTHER);
    nat.documents.length = 0;
    let listed = 0;
    const list = nat.listChain.bind(nat);
    nat.listChain = (chain) => {
      listed++;
      return list(chain);
    };
    await add(WEB, at('c'));
    expect(nat.begun).toBe(0);
    return { documents: nat.documents.map(nameless), listed };
  };

  test('the usual case reads nothing', async () => {
    expect(await documentOf({})).toEqual({
      documents: [
        [`-C ${SETMARK}`, `-C ${MASQ}`, '-C POSTROUTING -j CNI-HOSTPORT-MASQ', '-N OWN', ...OWN_RULES, ENTRY],
      ],
      listed: 0,
    });
  });
  test.each<[string, Partial<NatGlance>]>([
    ['a port that somebody has', { portJumps: () => [{ chain: OLD, ports: [79, 80] }] }],
    [
      'its own chain',
      {
        portJumps: () => [
          { chain: OLD, ports: [81] },
          { chain: OWN, ports: [81] },
        ],
      },
    ],
    ['a chain that cannot be looked at', { portJumps: () => undefined }],
    ['a chain of its own', { hasChain: () => true }],
    ['a jump that is missing', { hasLocalJump: (chain) => chain === 'PREROUTING' }],
  ])('%s asks for more', async (_name, fields) => {
    const { documents, listed } = await documentOf(fields);
    expect(listed).toBe(1);
    expect(documents[0]!.slice(3, 5)).toEqual([`-C PREROUTING ${LOCAL}`, `-C OUTPUT ${LOCAL}`]);
  });
  test.each<[string, Partial<NatGlance>]>([
    [
      'the ports',
      {
        portJumps: () => {
          throw new Error('netlink: no answer');
        },
      },
    ],
    [
      'the jumps',
      {
        hasLocalJump: () => {
          throw new Error('netlink: no answer');
        },
      },
    ],
  ])('a look at %s that fails leaves no program running', async (_name, fields) => {
    const { nat, add } = setUp({ glance: glance(fields) });
    await expect(add(WEB, at('c'))).rejects.toThrow('netlink: no answer');
    expect([nat.begun, nat.documents]).toEqual([0, []]);
  });
  test('a program that is killed before it has the commands is an error', async () => {
    const { nat, add } = setUp({ glance: glance() });
    nat.programError = new Error('killed');
    await expect(add(WEB, at('c'))).rejects.toThrow('killed');
    expect([nat.begun, nat.documents]).toEqual([0, []]);
  });
  test('a condition that fails asks for a plan by reading', async () => {
    const { nat, add, rules } = setUp({ glance: glance() });
    await add(WEB, at('c'));
    expect(nat.documents).toHaveLength(2);
    expect(nameless(await rules())).toContain(`-A ${MASQ}`);
  });

  const stale = async (
    fields: Partial<NatGlance> | undefined,
    attachments = new FakeAttachments({ old: 'gone' }),
  ) => {
    const { nat, backend } = setUp({ glance: fields, attachments });
    await install(nat, WEB, at('old'), OTHER);
    return backend.staleRivals(WEB, at('c'), V4);
  };
  test('stale rivals are looked for where one has the port', async () => {
    expect(await stale(undefined)).toEqual(new Set([OLD]));
    expect(await stale({ portJumps: () => undefined })).toEqual(new Set([OLD]));
    expect(
      await stale({
        portJumps: () => [
          { chain: 'x', ports: [81] },
          { chain: OLD, ports: [79, 80] },
        ],
      }),
    ).toEqual(new Set([OLD]));
    expect(await stale({ portJumps: () => [{ chain: OLD, ports: [81] }] })).toEqual(new Set());
    expect(await stale({ portJumps: () => [] })).toEqual(new Set());
    await expect(stale(undefined, new FakeAttachments({ old: 'alive' }))).rejects.toMatchObject({
      code: 110,
    });
  });
  test('nothing is stale in a table without our chain', async () => {
    expect(await setUp().backend.staleRivals(WEB, at('c'), V4)).toEqual(new Set());
  });
});

describe('a port that another attachment has', () => {
  const specific = configOf([{ hostPort: 80, hostIP: '10.1.1.1' }]);
  const every4 = configOf([{ hostPort: 80, hostIP: '0.0.0.0' }]);
  test.each<[string, PortmapConfig, PortmapConfig, string | undefined]>([
    ['the same', WEB, WEB, 'tcp 80'],
    ['one address of every', WEB, specific, 'tcp 80'],
    ['every address of one', specific, WEB, '10.1.1.1 tcp 80'],
    ['every address, said', specific, every4, '10.1.1.1 tcp 80'],
    ['the same address', specific, specific, '10.1.1.1 tcp 80'],
    ['another address', specific, configOf([{ hostPort: 80, hostIP: '10.1.1.2' }]), undefined],
    ['another port', WEB, configOf([{ hostPort: 81 }]), undefined],
    ['another protocol', WEB, configOf([{ hostPort: 80, protocol: 'udp' }]), undefined],
    ['the other family', configOf([{ hostPort: 80, hostIP: 'fd00::1' }]), WEB, undefined],
    ['one of several', configOf([{ hostPort: 81 }, { hostPort: 80, containerPort: 9090 }]), WEB, 'tcp 80'],
    [
      'a port that is there of another address',
      configOf([
        { hostPort: 80, hostIP: '10.1.1.1' },
        { hostPort: 80, hostIP: '10.1.1.2' },
      ]),
      configOf([{ hostPort: 80, hostIP: '10.1.1.2' }]),
      '10.1.1.2 tcp 80',
    ],
  ])('%s', async (_name, first, second, taken) => {
    const alive = setUp({ attachments: new FakeAttachments({ old: 'alive' }) });
    await install(alive.nat, first, at('old'), OTHER);
    if (taken === undefined) {
      expect(await alive.add(second, at('c'))).toEqual(new Set());
      return;
    }
    const before = await alive.rules();
    const port = first.portMappings.at(-1)!.containerPort;
    await expect(alive.add(second, at('c'))).rejects.toMatchObject({
      code: 110,
      message: `host port is already in use: ${taken} of container old of network net at 10.0.0.6:${port}, whose sandbox still exists`,
    });
    expect(await alive.rules()).toEqual(before);

    const gone = setUp({ attachments: new FakeAttachments({ old: 'gone' }) });
    await install(gone.nat, first, at('old'), OTHER);
    expect(await gone.add(second, at('c'))).toEqual(new Set([OLD]));
    expect((await gone.rules()).filter((line) => line.includes('OLD'))).toEqual([]);
    expect(await gone.nat.listChain(OLD)).toBeUndefined();
    expect(gone.warnings).toEqual([]);
  });

  test('of which nothing is known stays, behind the new one in its order', async () => {
    const { nat, add, warnings } = setUp();
    await install(nat, WEB, at('old'), OTHER);
    await add(configOf([{ hostPort: 80 }, { hostPort: 53, protocol: 'udp' }]), at('c'));
    expect(nameless(await nat.listChain(DNAT_CHAIN))).toEqual([
      ENTRY,
      '-A CNI-HOSTPORT-DNAT -p udp -m multiport --dports 53 -j OWN',
      ENTRY.replace('OWN', 'OLD'),
    ]);
    expect(warnings).toEqual([
      'tcp 80 of container old of network net at 10.0.0.6:8080: cannot determine whether its sandbox still exists; the new mapping is placed before it',
    ]);
  });

  test('of whom there is no name', async () => {
    const { nat, add, warnings } = setUp({ attachments: new FakeAttachments({ old: 'alive' }) });
    await nat.restore([
      ...[
        '-N CNI-HOSTPORT-DNAT',
        `-N ${OLD}`,
        `-A ${OLD} -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.6:1`,
      ],
      `-A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 80 -j ${OLD}`,
    ]);
    await add(WEB, at('c'));
    // Planned twice, as nothing else that is usual is there.
    expect([...new Set(warnings)]).toEqual([
      `tcp 80 of chain ${OLD} at 10.0.0.6:1: cannot determine whether its sandbox still exists; the new mapping is placed before it`,
    ]);
  });

  test('by an entry whose chain has another, or is not there', async () => {
    const { nat, add } = setUp({ attachments: new FakeAttachments({ old: 'alive' }) });
    await nat.restore([
      ...['-N CNI-HOSTPORT-DNAT', `-N ${OLD}`],
      `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"old\\"" -m multiport --dports 80 -j ${OLD}`,
    ]);
    expect(await add(WEB, at('c'))).toEqual(new Set());
    const list = nat.listChain.bind(nat);
    nat.listChain = async (chain) => (chain === OLD ? undefined : list(chain));
    expect(await add(WEB, at('d'), OTHER).catch(({ code }) => code)).toEqual(new Set());
  });

  test('by the name of its own interface is its own', async () => {
    const { nat, add } = setUp({ attachments: new FakeAttachments({ c: 'alive' }) });
    await install(nat, WEB, at('c', { ifName: 'eth0' }));
    expect(await add(WEB, at('c'))).toEqual(new Set([attachmentChain('net', 'c', 'eth0')]));
  });

  test('is asked for once, however many entries lead there', async () => {
    const { nat, add, warnings } = setUp();
    const many = configOf(Array.from({ length: 20 }, (_, i) => ({ hostPort: 80 + i })));
    await install(nat, many, at('old'), OTHER);
    await add(many, at('c'));
    expect(warnings).toHaveLength(1);
  });
});

describe('a CHECK', () => {
  const TWO = configOf([
    { hostPort: 80 },
    { hostPort: 53, protocol: 'udp', containerPort: 5353, hostIP: '127.0.0.1' },
  ]);
  /** Installs, changes by some commands, and checks. */
  async function checked(commands: string[], config = TWO, pod = V4, attachments = new FakeAttachments()) {
    const { nat, backend } = setUp({ nat: new FakeNat(pod.ip.family), attachments });
    await install(nat, config, at('c'), pod);
    const own = (text: string) => text.replaceAll('OWN', OWN).replaceAll('OLD', OLD);
    expect(await nat.restore(commands.map(own))).toEqual({ applied: true });
    return backend.check(config, at('c'), pod);
  }
  const failure = async (work: Promise<void>) => {
    const { code, message, details } = await work.then(
      () => new CniError(0, 'it is fine'),
      (error: CniError) => error,
    );
    return { code, message, details };
  };
  const failing = (error: { code: number; message: string; details: string | RegExp }) => ({
    ...error,
    details: typeof error.details === 'string' ? error.details : expect.stringMatching(error.details),
  });
  const missing = (details: string, family = 'ipv4') => ({
    ...{ code: 999, message: `${family} rule missing in table nat` },
    details: new RegExp(details),
  });
  const shadowed = (details: string, family = 'ipv4', port = 'tcp 80') => ({
    ...{ code: 999, message: `mapping shadowed: an earlier rule takes ${port} (${family})`, details },
  });

  test.each<[string, PortmapConfig, PodAddress]>([
    ['of two mappings', TWO, V4],
    ['of IPv6', WEB, V6],
    ['without masquerade', configOf([{ hostPort: 80 }], { snat: false }), V4],
    ['with a host address', configOf([{ hostPort: 80, hostIP: '10.1.1.1' }]), V4],
    ['of many ports', configOf(Array.from({ length: 20 }, (_, i) => ({ hostPort: 80 + i }))), V4],
    ['of no port', configOf([]), V4],
    ['with a condition', configOf([{ hostPort: 80 }], { conditionsV4: ['-s', '10.0.0.0/8'] }), V4],
  ])('%s is fine', async (_name, config, pod) => {
    expect(await checked([], config, pod)).toBeUndefined();
  });

  test.each<[string, string[], Parameters<typeof failing>[0]]>([
    [
      'the mark',
      ['-F CNI-HOSTPORT-SETMARK'],
      missing('^-A CNI-HOSTPORT-SETMARK -m comment .* -j MARK --set-xmark 0x2000/0x2000$'),
    ],
    ['the masquerade', ['-F CNI-HOSTPORT-MASQ'], missing('^-A CNI-HOSTPORT-MASQ')],
    ['the jump to it', ['-F POSTROUTING'], missing('^-A POSTROUTING')],
    ['the entry from outside', ['-F PREROUTING'], missing(`^-A PREROUTING ${LOCAL}$`)],
    ['the entry from here', ['-F OUTPUT'], missing(`^-A OUTPUT ${LOCAL}$`)],
    [
      'the pod’s chain',
      ['-F OWN'],
      missing('-s 10.0.0.5/32 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK$'),
    ],
    [
      'the last of its rules',
      ['-D OWN -d 127.0.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.0.0.5:5353'],
      missing('-p udp -m udp --dport 53 -j DNAT --to-destination 10.0.0.5:5353$'),
    ],
    ['the entries', ['-F CNI-HOSTPORT-DNAT'], missing('-m multiport --dports 80 -j CNI-DN')],
    [
      'one of the entries',
      [
        `-D CNI-HOSTPORT-DNAT -p udp -m comment --comment "dnat name: \\"net\\" id: \\"c\\"" -m multiport --dports 53 -j OWN`,
      ],
      missing('-p udp -m comment .* --dports 53 -j CNI-DN'),
    ],
    [
      'a rule in its chain too many',
      ['-A OWN -j RETURN'],
      { code: 999, message: 'unexpected ipv4 rule in table nat', details: `-A ${OWN} -j RETURN` },
    ],
    ['a rule in its chain before', ['-I OWN -j RETURN'], missing('-s 10.0.0.5/32')],
    ['an accept before ours', ['-I PREROUTING -p tcp -j ACCEPT'], shadowed('-A PREROUTING -p tcp -j ACCEPT')],
    [
      'an accept before ours, of what goes out',
      ['-I OUTPUT -p tcp -m tcp --dport 80 -j ACCEPT'],
      shadowed('-A OUTPUT -p tcp -m tcp --dport 80 -j ACCEPT'),
    ],
    [
      'an accept of the other',
      ['-I OUTPUT -p udp -j ACCEPT'],
      shadowed('-A OUTPUT -p udp -j ACCEPT', 'ipv4', 'udp 53'),
    ],
    [
      'an accept of a local address',
      ['-I PREROUTING -d 127.0.0.1/32 -p tcp -j ACCEPT'],
      shadowed('-A PREROUTING -d 127.0.0.1/32 -p tcp -j ACCEPT'),
    ],
    [
      'an accept of all addresses',
      ['-I PREROUTING -d 0.0.0.0/0 -p tcp -j ACCEPT'],
      shadowed('-A PREROUTING -d 0.0.0.0/0 -p tcp -j ACCEPT'),
    ],
    [
      'an accept of all addresses but some',
      ['-I PREROUTING ! -d 10.9.0.0/16 -p tcp -j ACCEPT'],
      shadowed('-A PREROUTING ! -d 10.9.0.0/16 -p tcp -j ACCEPT'),
    ],
    [
      'an accept of the address it is for',
      ['-I PREROUTING -d 127.0.0.0/8 -p udp -j ACCEPT'],
      shadowed('-A PREROUTING -d 127.0.0.0/8 -p udp -j ACCEPT', 'ipv4', 'udp 53'),
    ],
    [
      'an accept of the addresses it is not for',
      ['-I PREROUTING ! -d 10.0.0.0/8 -p udp -j ACCEPT'],
      shadowed('-A PREROUTING ! -d 10.0.0.0/8 -p udp -j ACCEPT', 'ipv4', 'udp 53'),
    ],
    ['an accept before the masquerade', ['-I POSTROUTING -j ACCEPT'], shadowed('-A POSTROUTING -j ACCEPT')],
    [
      'an accept before the masquerade, of the pod',
      ['-I POSTROUTING -d 10.0.0.0/24 -p tcp -m tcp --dport 8080 -j ACCEPT'],
      shadowed('-A POSTROUTING -d 10.0.0.0/24 -p tcp -m tcp --dport 8080 -j ACCEPT'),
    ],
    [
      'an accept before the masquerade, of all but some',
      ['-I POSTROUTING ! -d 10.0.1.0/24 -p tcp -j ACCEPT'],
      shadowed('-A POSTROUTING ! -d 10.0.1.0/24 -p tcp -j ACCEPT'),
    ],
    [
      'a return before the masquerade, in our chain',
      ['-I CNI-HOSTPORT-MASQ -j ACCEPT'],
      shadowed('-A CNI-HOSTPORT-MASQ -j ACCEPT'),
    ],
  ])('finds %s', async (_name, commands, error) => {
    expect(await failure(checked(commands))).toEqual(failing(error));
  });

  test.each<[string, string[]]>([
    ['an accept of another port', ['-I PREROUTING -p tcp -m tcp --dport 81 -j ACCEPT']],
    ['an accept of an address that is not local', ['-I PREROUTING -d 203.0.113.1/32 -p tcp -j ACCEPT']],
    ['an accept of addresses but all', ['-I PREROUTING ! -d 0.0.0.0/0 -p tcp -j ACCEPT']],
    ['an accept of another address than it is for', ['-I PREROUTING -d 10.0.0.0/8 -p udp -j ACCEPT']],
    ['an accept of all but the address it is for', ['-I PREROUTING ! -d 127.0.0.0/8 -p udp -j ACCEPT']],
    ['an accept behind ours', ['-A PREROUTING -j ACCEPT', '-A OUTPUT -j ACCEPT', '-A POSTROUTING -j ACCEPT']],
    ['a masquerade of everything before ours', ['-I POSTROUTING -j MASQUERADE']],
    [
      'an accept before the masquerade, of the host port',
      ['-I POSTROUTING -p tcp -m tcp --dport 80 -j ACCEPT'],
    ],
    ['an accept before the masquerade, of another pod', ['-I POSTROUTING -d 10.0.0.6/32 -p tcp -j ACCEPT']],
    [
      'an accept before the masquerade, of all but the pod',
      ['-I POSTROUTING ! -d 10.0.0.0/24 -p tcp -j ACCEPT'],
    ],
  ])('is not disturbed by %s', async (_name, commands) => {
    expect(await checked(commands)).toBeUndefined();
  });

  test('without masquerade what comes before it does not matter', async () => {
    expect(
      await checked(['-I POSTROUTING -j ACCEPT'], configOf([{ hostPort: 80 }], { snat: false })),
    ).toBeUndefined();
  });

  test('finds conditions that are not those', async () => {
    const { nat, backend } = setUp();
    await install(nat, WEB, at('c'));
    const config = configOf([{ hostPort: 80 }], { conditionsV4: ['-s', '10.0.0.0/8'] });
    expect(await failure(backend.check(config, at('c'), V4))).toEqual(
      failing(missing('-s 10.0.0.0/8 -j CNI-DN')),
    );
    nat.restore = async () => ({ applied: false, failed: undefined, reason: 'x' });
    expect(await failure(backend.check(WEB, at('c'), V4))).toEqual(failing(missing('--dports 80 -j CNI-DN')));
  });

  test('finds an earlier mapping, and only an earlier one', async () => {
    const { nat, backend } = setUp();
    await install(nat, WEB, at('old'), OTHER);
    await install(nat, WEB, at('c'));
    await expect(backend.check(WEB, at('c'), V4)).rejects.toMatchObject({
      code: 999,
      message: 'mapping shadowed: tcp 80 of container old of network net at 10.0.0.6:8080 comes first',
    });
    expect(await backend.check(WEB, at('old'), OTHER)).toBeUndefined();
  });

  test('lists each chain once', async () => {
    const { nat, backend } = setUp();
    await install(nat, TWO, at('c'));
    const listed: string[] = [];
    const list = nat.listChain.bind(nat);
    nat.listChain = (chain) => {
      listed.push(chain);
      return list(chain);
    };
    await backend.check(TWO, at('c'), V4);
    expect(listed.length).toBe(new Set(listed).size);
  });
});

describe('what is there', () => {
  const MAPPING = { protocol: 'tcp', hostPort: 80, hostIP: undefined, target: '10.0.0.5:8080' };
  test('by the name of its owner', async () => {
    const { nat, backend } = setUp();
    expect(await backend.mapped(at('c'))).toEqual([]);
    await install(nat, WEB, at('c'));
    expect(await backend.mapped(at('c'))).toEqual([MAPPING]);
    const looking = (there: boolean | undefined) => setUp({ nat, glance: { hasChain: () => there } }).backend;
    expect(await looking(false).mapped(at('c'))).toEqual([]);
    expect(await looking(true).mapped(at('c'))).toEqual([MAPPING]);
    expect(await looking(undefined).mapped(at('c'))).toEqual([MAPPING]);
  });

  test('of others: without a record', async () => {
    const attachments = new FakeAttachments();
    const { nat, backend } = setUp({ attachments });
    expect(await backend.unrecorded()).toEqual([]);
    await install(nat, configOf([{ hostPort: 81 }]), at('old'), OTHER);
    await install(nat, WEB, at('c'));
    expect(await backend.unrecorded()).toEqual(
      [MAPPING, { ...MAPPING, hostPort: 81, target: '10.0.0.6:8080' }].reverse(),
    );
    attachments.record(OLD, { ...at('old'), ifName: 'eth0', ports: [], devices: [] });
    expect(await backend.unrecorded()).toEqual([MAPPING]);
    let all = 0;
    nat.listAll = async () => {
      all++;
      return [];
    };
    attachments.record(OWN, { ...at('c'), ifName: 'eth0', ports: [], devices: [] });
    expect([await backend.unrecorded(), all]).toEqual([[], 0]);
  });

  test('of others, by a glance', async () => {
    const { nat } = setUp();
    await install(nat, WEB, at('c'));
    const by = (jumps: { chain: string; ports: number[] }[] | undefined) =>
      setUp({ nat, glance: { portJumps: () => jumps } }).backend.unrecorded();
    expect(await by([])).toEqual([]);
    expect(await by([{ chain: OWN, ports: [80] }])).toEqual([MAPPING]);
    expect(await by(undefined)).toEqual([MAPPING]);
  });
});

describe('a removal', () => {
  const MAPPING = { protocol: 'tcp', hostPort: 80, hostIP: undefined, target: '10.0.0.5:8080' };
  test('of what is not there starts no transaction', async () => {
    const { nat, backend } = setUp();
    expect(await backend.remove([at('c')])).toEqual([]);
    expect(nat.documents).toEqual([]);
  });

  test('twice, beside another', async () => {
    const { nat, backend, rules } = setUp();
    await install(nat, configOf([{ hostPort: 81 }]), at('old'), OTHER);
    const before = await rules();
    await install(nat, WEB, at('c'));
    expect(await backend.remove([at('c')])).toEqual([MAPPING]);
    expect(nameless(nat.documents.at(-1))).toEqual([ENTRY.replace('-A', '-D'), '-F OWN', '-X OWN']);
    expect(await rules()).toEqual(before);
    expect(await backend.remove([at('c')])).toEqual([]);
    expect(await rules()).toEqual(before);
  });

  test('of a chain without entries, and of entries without a chain', async () => {
    const { nat, backend } = setUp();
    await install(nat, WEB, at('c'));
    await nat.restore(['-F CNI-HOSTPORT-DNAT']);
    expect(await backend.remove([at('c')])).toEqual([MAPPING]);
    await install(nat, WEB, at('c'));
    const list = nat.listChain.bind(nat);
    nat.listChain = async (chain) => (chain === OWN ? undefined : list(chain));
    expect(await backend.remove([at('c')])).toEqual([]);
    expect(await list(DNAT_CHAIN)).toEqual([]);
  });

  test('by the name of an interface lists its chain only where it may be', async () => {
    const named = at('c', { ifName: 'net1' });
    const chain = attachmentChain('net', 'c', 'net1');
    const lists = async (attachments: FakeAttachments, entries: boolean) => {
      const { nat, backend } = setUp({ attachments });
      if (entries) await install(nat, WEB, named);
      const listed: string[] = [];
      const list = nat.listChain.bind(nat);
      nat.listChain = (one) => {
        listed.push(one);
        return list(one);
      };
      return [(await backend.remove([named])).length, listed.includes(chain)];
    };
    expect(await lists(new FakeAttachments(), false)).toEqual([0, false]);
    expect(await lists(new FakeAttachments(), true)).toEqual([1, true]);
    const recorded = new FakeAttachments();
    recorded.record(chain, { ...named, ifName: 'net1', ports: [], devices: [] });
    expect(await lists(recorded, false)).toEqual([0, true]);
  });

  test('by a glance', async () => {
    const removed: string[] = [];
    const by = async (there: boolean | undefined, works = true) => {
      const glance: Partial<NatGlance> = {
        hasChain: () => there,
        removeChain: (chain, from) => {
          removed.push(`${chain} ${from}`);
          return works;
        },
      };
      const { nat, backend } = setUp({ glance });
      await install(nat, WEB, at('c'));
      nat.documents.length = 0;
      return [await backend.remove([at('c')]), removed.splice(0).length, nat.documents.length];
    };
    expect(await by(false)).toEqual([[], 0, 0]);
    expect(await by(true)).toEqual([[MAPPING], 1, 0]);
    expect(await by(true, false)).toEqual([[MAPPING], 1, 1]);
    expect(await by(undefined)).toEqual([[MAPPING], 0, 1]);
    const { backend } = setUp({ glance: { hasChain: () => true } });
    expect(await backend.remove([at('c')])).toEqual([]);
  });

  test.each([
    ['a record of TCP alone', ['tcp', 'tcp'], []],
    ['a record of UDP, too', ['tcp', 'udp'], [OWN]],
    ['an empty record', [], [OWN]],
    ['no record', undefined, [OWN]],
  ])('by a glance lists its chain only where flows may be asked for: %s', async (_, protocols, wanted) => {
    const attachments = new FakeAttachments();
    const ports = protocols?.map((protocol, i) => ({ protocol, hostPort: 80 + i })) as HostPort[] | undefined;
    const named = { networkName: 'net', containerId: 'c', ifName: 'eth0', devices: [] };
    if (ports !== undefined) attachments.record(OWN, { ...named, ports });
    const { nat, backend } = setUp({
      attachments,
      glance: { hasChain: () => true, removeChain: () => true },
    });
    await install(nat, WEB, at('c'));
    const listed: string[] = [];
    const list = nat.listChain.bind(nat);
    nat.listChain = (one) => {
      listed.push(one);
      return list(one);
    };
    expect(await backend.remove([at('c')])).toEqual(wanted.length === 0 ? [] : [MAPPING]);
    expect(listed).toEqual(wanted);
  });

  test('of chains by name', async () => {
    const { nat, backend } = setUp();
    await install(nat, WEB, at('c'));
    expect(await backend.removeChains(new Set([OWN, OLD]))).toEqual([MAPPING]);
    expect(await backend.removeChains(new Set([OWN]))).toEqual([]);
  });

  test('that is refused is an error after four attempts', async () => {
    const { nat, backend } = setUp({ nat: new FakeNat('ipv6') });
    await install(nat, WEB, at('c'), V6);
    nat.documents.length = 0;
    nat.restore = async (commands) => {
      nat.documents.push(commands);
      return { applied: false, failed: 0, reason: 'busy' };
    };
    await expect(backend.remove([at('c')])).rejects.toMatchObject({
      ...{ code: 999, message: 'cannot remove port mappings (ipv6)', details: 'busy' },
    });
    expect(nat.documents).toHaveLength(4);
  });
});

describe('a GC', () => {
  test('removes what is of its network and not kept', async () => {
    const { nat, backend } = setUp();
    const containers = [
      at('kept'),
      at('stale'),
      at('stale', { networkName: 'other' }),
      at('two', { ifName: 'net1' }),
      at('two', { ifName: 'net2' }),
    ];
    for (const [i, each] of containers.entries()) await install(nat, configOf([{ hostPort: 80 + i }]), each);
    await nat.restore(['-N CNI-DN-x', '-A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 99 -j CNI-DN-x']);
    const removed = await backend.collect('net', [at('kept'), at('two', { ifName: 'net1' })]);
    expect(removed.map(({ hostPort }) => hostPort)).toEqual([81, 84]);
    const left = parseEntries((await nat.listChain(DNAT_CHAIN))!);
    expect(left.map(({ ports }) => ports[0])).toEqual([80, 82, 83, 99]);
    expect(await backend.collect('net', [at('kept'), at('two', { ifName: 'net1' })])).toEqual([]);
  });
  test('of a table without our chain does nothing', async () => {
    const { nat, backend } = setUp();
    expect(await backend.collect('net', [])).toEqual([]);
    expect(nat.documents).toEqual([]);
  });
});

describe('a STATUS', () => {
  test('tries an empty document', async () => {
    const { nat, backend } = setUp();
    expect(await backend.probe(WEB)).toBeUndefined();
    expect(nat.documents).toEqual([[]]);
  });
  test('finds a mark chain that is missing', async () => {
    const { nat, backend } = setUp();
    const config = configOf([], { externalSetMarkChain: 'KUBE-MARK-MASQ' });
    await expect(backend.probe(config)).rejects.toMatchObject({
      ...{ code: 50, message: 'iptables cannot be used' },
      details: 'chain KUBE-MARK-MASQ, named by externalSetMarkChain, does not exist',
    });
    await nat.restore(['-N KUBE-MARK-MASQ']);
    expect(await backend.probe(config)).toBeUndefined();
  });
  test('finds a table that cannot be written', async () => {
    const { nat, backend } = setUp();
    nat.restore = async () => ({ applied: false, failed: undefined, reason: 'Permission denied' });
    await expect(backend.probe(WEB)).rejects.toMatchObject({ code: 50, details: 'Permission denied' });
  });
});

describe('programs that fail', () => {
  const works: [string, keyof NatTable, (backend: IptablesBackend) => Promise<unknown>][] = [
    ['listing a chain', 'listChain', (backend) => backend.mapped(at('c'))],
    ['listing for a status', 'listChain', (backend) => backend.probe(WEB)],
    ['a transaction', 'restore', (backend) => backend.probe(WEB)],
    ['listing all', 'listAll', (backend) => backend.unrecorded()],
  ];
  test.each(works)('%s', async (_name, method, work) => {
    const failing = async (error: Error) => {
      const { nat } = setUp();
      await install(nat, WEB, at('c'));
      Object.assign(nat, { [method]: async () => Promise.reject(error) });
      const backend = setUp({ nat }).backend;
      return work(backend).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    };
    const unavailable = new IptablesUnavailable('no program');
    expect(await failing(unavailable)).toMatchObject({
      code: 50,
      message: 'iptables cannot be used',
      details: 'no program',
      cause: unavailable,
    });
    const busy = new XtablesLockBusy('iptables', 5);
    expect(await failing(busy)).toMatchObject({ code: 11, message: busy.message, details: '', cause: busy });
    const other = new Error('other');
    expect(await failing(other)).toBe(other);
  });
});

describe('conditions of two attachments on one port', () => {
  const from = (...words: string[]) => configOf([{ hostPort: 80 }], { conditionsV4: words });
  const [near, far] = [from('-s', '10.0.0.0/8'), from('!', '-s', '10.0.0.0/8')];

  test('that no packet meets both: each has its mapping, and CHECK finds them in order', async () => {
    const attachments = new FakeAttachments({ old: 'alive' });
    const { nat, add, warnings } = setUp({ attachments });
    await install(nat, near, at('old'), OTHER);
    expect(await add(far, at('c'))).toEqual(new Set());
    expect(warnings).toEqual([]);
    const chains = parseEntries((await nat.listChain(DNAT_CHAIN))!).map(({ chain }) => chain);
    expect(chains.sort()).toEqual([OWN, OLD].sort());
    // As iptables prints them.
    const printed = setUp({ attachments });
    await install(printed.nat, near, at('old'), OTHER);
    await install(printed.nat, far, at('c'));
    await printed.backend.check(far, at('c'), V4);
  });

  test.each<[PortmapConfig, string]>([
    [from('-s', '10.1.0.0/16'), 'both may have a packet: "-s 10.1.0.0/16" here, "-s 10.0.0.0/8" there'],
    [WEB, 'both may have a packet: no conditions here, "-s 10.0.0.0/8" there'],
    [from('-i', 'eth0'), 'both may have a packet: "-i eth0" here, "-s 10.0.0.0/8" there'],
  ])('that a packet may meet both are refused, and both are named: %#', async (config, details) => {
    const { nat, add } = setUp({ attachments: new FakeAttachments({ old: 'alive' }) });
    await install(nat, near, at('old'), OTHER);
    await expect(add(config, at('c'))).rejects.toMatchObject({ code: 110, details });
  });
});
