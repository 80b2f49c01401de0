import {
  comparesBit,
  type MarkClash,
  markClashes,
  markField,
  markFields,
  type Rule,
  type Ruleset,
  type Table,
} from '../../../netfilter/index.ts';
import { splitWords } from '../../../netfilter/iptables/rule-text.ts';
import {
  DEFAULT_MARK_BIT,
  MASQ_CHAIN,
  maskOf,
  NFT_TABLE,
  REFERENCE_NFT_TABLE,
  SETMARK_CHAIN,
} from '../../../portmap/layout.ts';
import { FAMILIES, FAMILY_OF_NFT, type Family, NFT_FAMILY } from '../../../util/family.ts';
import { rewriteMapping } from '../../heal/attach-plan.ts';
import { listDocument, writeConfig } from '../../heal/conf-plans.ts';
import { changePortmap } from '../../heal/list-document.ts';
import type { HealStep } from '../../model/action.ts';
import type { Evidence } from '../../model/finding.ts';
import { type Message, words } from '../../model/message.ts';
import type { PolicyRule } from '../../model/node-report.ts';
import { known } from '../../model/observed.ts';
import { listOfAttachment } from '../../view/attachment-list.ts';
import { type NodeView, portmapIn } from '../../view/node-view.ts';
import { entryDevices } from '../../view/pod-devices.ts';
import { describeRule, policyRules } from '../../view/policy-rules.ts';
import type { Scene } from '../../view/scene.ts';
import { podAddress } from '../../view/traces.ts';
import { ruleAtEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  bit: number;
  /** Whether another component uses the bit. */
  isShared: boolean;
  /** Other bits by which portmap's own rules still masquerade. */
  old: readonly number[];
  free: number | undefined;
  /** The components with bits of the mark beyond those that rules show. */
  owners: readonly string[];
}

/** In the order in which they are tried: components that need many bits take the upper ones. */
const CANDIDATES = [
  ...Array.from({ length: 13 }, (_, i) => 12 - i),
  ...Array.from({ length: 19 }, (_, i) => 31 - i),
];

/** What kubelet and kube-proxy mark packets with: to be masqueraded, to be dropped. */
const KUBERNETES_BITS = 0xc000;

/**
 * The bits of components that put more into the mark than their rules show, by how they are recognised: Cilium the identity of the sender,
 * in its eBPF programs (pkg/datapath/linux/linux_defaults/mark.go: all bits but 12 to 15), Calico what its marks are for (iptablesMarkMask,
 * its default).
 */
const OWNERS: readonly { name: string; bits: number; chains: RegExp; plugin: string }[] = [
  { name: 'Cilium', bits: 0xffff0fff, chains: /^CILIUM_/, plugin: 'cilium-cni' },
  { name: 'Calico', bits: 0xffff0000, chains: /^cali-/, plugin: 'calico' },
];

/** Where Cilium has the number of the key in the mark of what it encrypts with IPsec (bpf/lib/encrypt.h). */
const IPSEC_BITS = 0xf000;

export const markBitShared = defineFailure<Data>({
  code: 'mark-bit-shared',
  stage: 'translated',
  severity: 'risk',
  title: 'another component uses the bit of the packet mark that portmap uses',
  explanation:
    'portmap sets one bit of the packet mark, bit 13 by default, on packets that it masquerades later. If a rule of another component sets the ' +
    'bit, other packets are masqueraded; if it clears the bit in between, packets are not masqueraded; if it acts on the bit, it acts on the ' +
    'packets of hostPorts. The symptoms vary: wrong source addresses, drops, hostPorts that their own pod cannot reach. A rule of portmap that still ' +
    'masquerades by a bit which it no longer uses is reported, too: it masquerades packets that another component marks.',
  remedy: 'Give portmap another bit (`markMasqBit`).',
  restart: 'avoided',
  sources: ['cilium/cilium#17109', 'https://www.cni.dev/plugins/current/meta/portmap/ (markMasqBit)'],
  mutedBy: [],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const ruleset = known(node.ruleset);
      const bit = ruleset && markBitOf(node, ruleset);
      if (ruleset === undefined || bit === undefined) return [];
      const devices = devicesOfMarked(node, scene);
      const clashes = clashesOn(node, ruleset, bit, devices);
      const old = oldRules(node, ruleset, bit);
      const isShared = clashes.length > 0;
      if (!isShared && old.length === 0) return [];
      const owners = ownersOn(node, ruleset);
      const free = freeBit(node, ruleset, owners, devices);
      const oldBits = [...new Set(old.map((each) => each.bit))];
      return [
        {
          subject: { node: node.name },
          message: isShared ? sharedMessage(node, bit, clashes.length) : oldMessage(node, bit, oldBits),
          evidence: [
            ...clashes.flat(),
            ...old.map(({ rule }) =>
              ruleAtEvidence(rule, 'masquerades by a bit that portmap no longer uses'),
            ),
            ...oldBits.flatMap((other) => clashesOn(node, ruleset, other, devices).flat()),
          ],
          remedy: isShared ? sharedRemedy(node, free, owners) : oldRemedy(bit, oldBits),
          data: { node, bit, isShared, old: oldBits, free, owners },
        },
      ];
    });
  },

  heal({ data: { node, bit, isShared, old, free, owners } }, scene) {
    const next = isShared ? free : bit;
    if (next === undefined) return { by: 'hand', why: noneFree(node, owners) };
    const active = node.active!;
    const document = changePortmap(listDocument(active), (portmap) => ({
      ...portmap,
      markMasqBit: next,
    }));
    const sandboxes = new Map(
      scene
        .pathsOn(node)
        .flatMap(({ sandbox }) => (sandbox === undefined ? [] : [[sandbox.id, sandbox] as const])),
    );
    return {
      by: 'steps',
      steps: [
        ...(isShared
          ? [
              writeConfig(
                node,
                active.path,
                document,
                `let portmap use bit ${next}${conditionOf(next, owners)}`,
              ),
            ]
          : []),
        ...[...sandboxes.values()].map((sandbox) =>
          rewriteMapping(node, sandbox, `mark packets of ${sandbox.name} by bit ${next}`),
        ),
        ...[...(isShared ? [bit] : []), ...old]
          .filter((gone) => gone !== next)
          .flatMap((gone) => removals(node, gone)),
      ],
    };
  },

  page: {
    see: 'Since portmap was installed, some connections that have nothing to do with hostPorts are masqueraded or dropped.',
    why: [
      'portmap sets the bit where destinations are translated (PREROUTING and OUTPUT of table nat) and checks it where sources ' +
        'are translated (POSTROUTING of nat). Whether a rule conflicts depends on its place, value and mask:',
      [
        '| rule | conflicts |',
        '|---|---|',
        '| sets the bit | anywhere before the masquerading, except in INPUT |',
        '| clears the bit: `MARK`, `CONNMARK --restore-mark`, a map | in between: FORWARD, OUTPUT of filter, POSTROUTING |',
        '| matches the bit and then accepts, drops, marks, translates or jumps | after the translation: FORWARD, OUTPUT of filter, POSTROUTING |',
        "| requires the bit to be 0 on packets that have another mark (Cilium's `--mark 0xa00/0xfffffeff`) | never: packets of hostPorts do not match |",
        '| saves the mark with the connection, together with one that restores or compares it | depends on where the bit is restored or compared |',
        '| a policy rule (`ip rule`) that matches the bit and whose table has routes | always |',
      ].join('\n'),
      'All components share the 32 bits of the mark. Kubernetes uses bits 14 and 15, Cilium 0 to 11 and 16 to 31 (with IPsec also ' +
        "12 to 15 of packets that it encrypts), Calico by default 16 to 31, portmap 13. If the node shows Cilium's IPsec, by its " +
        'policy rules or its rules in table raw, bits 12 to 15 count as taken; otherwise bit 12 is proposed with that condition.',
      "IPv6 counts where IPv6 ports are mapped. portmap's nftables table has one masquerading rule for both families, so there a " +
        'rule that sets the bit counts for IPv6 in any case.',
      'Bits that another network on the node uses are not reported as old.',
    ],
    check: {
      run: ['iptables-save', 'nft list ruleset', 'ip rule show'],
      look:
        "`0x2000` in the value of a rule in another component's chain (`--mark`, `--set-xmark`, `fwmark`), alone or with other " +
        'bits.',
    },
    fix:
      'Set `"markMasqBit": N` in the portmap entry, with a bit that no rule and no component uses; `heal` also rewrites the rules ' +
      'of running pods. When no bit is free, the finding says so: one of the components must give one up.',
  },
});

const USES = 'portmap uses bit {bit} of the packet mark on {node}';

function sharedMessage(node: NodeView, bit: number, rules: number): Message {
  const names = { bit, node: node.name };
  return rules === 1
    ? words(`${USES}, and a rule of another component uses it too`, names)
    : words(`${USES}, and {rules} rules of another component use it too`, { ...names, rules });
}

function oldMessage(node: NodeView, bit: number, old: readonly number[]): Message {
  return words(`${USES}, and rules of its own still masquerade by {bits:bit|bits} {bits}`, {
    bit,
    node: node.name,
    bits: old.map(String),
  });
}

function sharedRemedy(node: NodeView, free: number | undefined, owners: readonly string[]): string {
  if (free === undefined) return noneFree(node, owners);
  return `Give portmap bit ${free} (\`markMasqBit\`), which no rule of ${node.name} uses${conditionOf(free, owners)}.`;
}

function oldRemedy(bit: number, old: readonly number[]): string {
  return `Write the mappings again with bit ${bit}, then delete portmap's rules for ${bitNames(old)}.`;
}

function bitNames(bits: readonly number[]): string {
  return `${bits.length === 1 ? 'bit' : 'bits'} ${bits.join(', ')}`;
}

/** When a bit is not free all the same: what Cilium encrypts with IPsec is not seen in every report. */
function conditionOf(bit: number, owners: readonly string[]): string {
  return owners.includes('Cilium') && (IPSEC_BITS >>> bit) & 1 ? ` (not with Cilium's IPsec)` : '';
}

/** portmap's bit on a node; undefined where it uses none. */
function markBitOf(node: NodeView, { tables }: Ruleset): number | undefined {
  const fields = portmapIn(node.mappingChain)?.fields;
  // Without masquerading, or with another component's mark, portmap sets no bit.
  if (fields === undefined || fields.snat === false || fields.externalSetMarkChain) return undefined;
  const hasTable = (name: string) => tables.some((table) => table.backend === 'nft' && table.name === name);
  // The reference plugin masquerades by address there.
  if (fields.backend === 'nftables' && hasTable(REFERENCE_NFT_TABLE) && !hasTable(NFT_TABLE))
    return undefined;
  return bitIn(fields);
}

function bitIn({ markMasqBit }: Readonly<Record<string, unknown>>): number {
  return typeof markMasqBit === 'number' ? markMasqBit : DEFAULT_MARK_BIT;
}

const DOES: Readonly<Record<MarkClash['does'], string>> = {
  sets: 'sets the bit',
  clears: 'clears the bit before packets are masqueraded',
  acts: 'acts on the bit',
};

/** What shares a bit with portmap on a node, as evidence: of each rule itself, and how the bit gets there where it is by way of the connection. */
function clashesOn(node: NodeView, ruleset: Ruleset, bit: number, devices: Devices): Evidence[][] {
  const rules = new Set<Rule>();
  const mapsV6 = hasMappedV6(ruleset);
  const clashes = [
    ...markClashes(ruleset, 'ip', bit, isOurs, devices),
    // The rule of an inet table masquerades what has the bit, whether or not ports of IPv6 are mapped.
    ...(mapsV6 || isOfBothFamilies(node, ruleset)
      ? markClashes(ruleset, 'ip6', bit, isOurs, devices)
      : []
    ).filter(({ does }) => mapsV6 || does === 'sets'),
  ];
  const ofRules = clashes.flatMap(({ rule, does, through }) => {
    // One of an inet table is of both families.
    if (rules.has(rule)) return [];
    rules.add(rule);
    return [
      [
        ruleAtEvidence(rule, DOES[does]),
        ...through.map((other) => ruleAtEvidence(other, 'keeps the bit with the connection')),
      ],
    ];
  });
  const ofRouting = (mapsV6 ? FAMILIES : (['ipv4'] as const)).flatMap((family) =>
    routingByMark(node, family)
      .filter(({ mark }) => comparesBit(mark!, bit))
      .map((rule): Evidence[] => [
        {
          kind: 'route',
          where: `${family === 'ipv6' ? 'IPv6 ' : ''}policy rule of ${node.name} (${DOES.acts})`,
          saw: describeRule(rule),
        },
      ]),
  );
  return [...ofRules, ...ofRouting];
}

/** Devices by which packets come in that portmap marks; undefined when it may be any. */
type Devices = readonly string[] | undefined;

/** portmap marks what pods send to their own ports, and what comes from the node itself; with masqAll, everything. */
function devicesOfMarked(node: NodeView, scene: Scene): Devices {
  if (portmapIn(node.mappingChain)?.fields.masqAll === true) return undefined;
  const devices = new Set<string>();
  for (const path of scene.pathsOn(node)) {
    const address = podAddress(path);
    const entries = address === undefined ? undefined : known(entryDevices(path, node, address));
    if (entries === undefined) return undefined;
    for (const device of entries) devices.add(device);
  }
  return [...devices];
}

/** Whether portmap marks packets of IPv6: only where it has mapped ports of that. */
function hasMappedV6({ tables }: Ruleset): boolean {
  return tables.some(({ backend, family, name, chains, sets }) =>
    backend === 'nft' && name === NFT_TABLE
      ? ['one6', 'any6'].some((map) => (sets.get(map)?.elements.length ?? 0) > 0)
      : family === 'ip6' && chains.has(MASQ_CHAIN),
  );
}

/** Whether portmap masquerades in one table for both families. */
function isOfBothFamilies(node: NodeView, { tables }: Ruleset): boolean {
  return (
    portmapIn(node.mappingChain)?.fields.backend === 'nftables' ||
    tables.some(({ backend, name }) => backend === 'nft' && name === NFT_TABLE)
  );
}

/** The policy rules of a node that go by the mark and lead somewhere. Packets of hostPorts are routed when they have been marked. */
function routingByMark(node: NodeView, family: Family): PolicyRule[] {
  const seen = node.seen!;
  const routes = known(seen.network.routes);
  const rules = known(policyRules(seen, family))?.filter(({ mark, action, table }) => {
    if (mark === undefined || action === 'nop') return false;
    // Where a table has no route, the next rule decides.
    const isEmpty = routes?.every((route) => route.family !== family || route.table !== table) ?? false;
    return action !== undefined || !isEmpty;
  });
  return rules ?? [];
}

function ownersOn(node: NodeView, { tables }: Ruleset): string[] {
  return OWNERS.filter(
    ({ chains, plugin }) =>
      node.chain?.some(({ type }) => type === plugin) ||
      tables.some((table) => [...table.chains.keys()].some((name) => chains.test(name))),
  ).map(({ name }) => name);
}

/** A bit that no rule of others gives a meaning to, that none of the components on the node has for itself, and that does not clash either. */
function freeBit(
  node: NodeView,
  ruleset: Ruleset,
  owners: readonly string[],
  devices: Devices,
): number | undefined {
  const taken = [
    KUBERNETES_BITS,
    ...OWNERS.filter(({ name }) => owners.includes(name)).map(({ bits }) => bits),
    ...Object.values(NFT_FAMILY).map((family) => markFields(ruleset, family, isOurs)),
    ...FAMILIES.flatMap((family) => routingByMark(node, family).map(({ mark }) => markField(mark!))),
    ...(owners.includes('Cilium') && encryptsByIpsec(node, ruleset) ? [IPSEC_BITS] : []),
  ].reduce((bits, more) => bits | more, 0);
  return CANDIDATES.find(
    (other) => ((taken >>> other) & 1) === 0 && clashesOn(node, ruleset, other, devices).length === 0,
  );
}

/**
 * Whether Cilium's IPsec shows on a node: by the policy rule for what is to be decrypted, or one that leads to the routing table of IPsec
 * (pkg/datapath/linux/linux_defaults), or by the rules that keep it from connection tracking (xfrmDescription in pkg/datapath/iptables). Its
 * other rules for these marks are there without encryption, too.
 */
function encryptsByIpsec(node: NodeView, { tables }: Ruleset): boolean {
  const isRouted = FAMILIES.some((family) =>
    known(policyRules(node.seen!, family))?.some(
      ({ mark, table }) =>
        mark?.mask === 0xf00 && (mark.value === 0xd00 || (mark.value === 0xe00 && table === '200')),
    ),
  );
  return (
    isRouted ||
    tables.some(({ chains }) =>
      [...chains.values()].some(({ rules }) =>
        rules.some(({ comment }) => comment?.startsWith('cilium-xfrm-notrack:')),
      ),
    )
  );
}

function noneFree(node: NodeView, owners: readonly string[]): string {
  const others = ['Kubernetes', ...owners].join(', ');
  return `no bit of the mark is free on ${node.name}: rules there or ${others} use each of them, so one of the components must give one up`;
}

function isOurs({ location, comment }: Rule): boolean {
  return (
    /^CNI-/.test(location.chain) ||
    location.table === NFT_TABLE ||
    /^(CNI portfwd|hostport: )/.test(comment ?? '')
  );
}

/** portmap's own rules that masquerade by a bit which neither its configuration nor that of another network on the node has. */
function oldRules(node: NodeView, { tables }: Ruleset, bit: number): { rule: Rule; bit: number }[] {
  const used = new Set([bit, ...bitsOfOtherNetworks(node)]);
  return tables.flatMap((table) =>
    masqueradesOf(table)
      .filter((each) => !used.has(each.bit))
      .sort((a, b) => a.bit - b.bit),
  );
}

/** portmap's own rules of a table that masquerade by one bit of the mark. */
function masqueradesOf({ backend, name, chains }: Table): { rule: Rule; bit: number }[] {
  const isNative = backend === 'nft' && name === NFT_TABLE;
  return [...chains.values()].flatMap((chain) =>
    (isNative || chain.name === MASQ_CHAIN ? chain.rules : []).flatMap((rule) => {
      const bit = CANDIDATE_BITS.find((each) => isByBit(rule, each));
      return bit === undefined ? [] : [{ rule, bit }];
    }),
  );
}

const CANDIDATE_BITS = Array.from({ length: 32 }, (_, i) => i);

function isByBit({ expressions }: Rule, bit: number): boolean {
  const mask = (1 << bit) >>> 0;
  return (
    expressions.some(({ kind }) => kind === 'masquerade') &&
    expressions.some(
      (each) => each.kind === 'match' && each.key.some((part) => part.field === 'mark' && part.mask === mask),
    )
  );
}

/** The bits of other networks, by the node's other configurations and by the attachments that were made. */
function bitsOfOtherNetworks(node: NodeView): number[] {
  const own = known(node.active!.list)!.name;
  const lists = [
    ...node.configs!.map(({ list }) => known(list)),
    ...(node.attachments ?? []).map(listOfAttachment),
  ];
  return lists.flatMap((list) => {
    const fields = list === undefined || list.name === own ? undefined : portmapIn(list.plugins)?.fields;
    return fields === undefined ? [] : [bitIn(fields)];
  });
}

/** The steps that take portmap's shared rules with a bit out of every table. */
function removals(node: NodeView, bit: number): HealStep[] {
  const mark = `${maskOf(bit)}/${maskOf(bit)}`;
  return known(node.ruleset)!.tables.flatMap((table): HealStep[] => {
    const { backend, family, name, chains } = table;
    const step = { on: 'node' as const, node: node.name, why: `no longer use bit ${bit}` };
    if (backend === 'nft') {
      return masqueradesOf(table).flatMap(({ rule, bit: its }): HealStep[] => {
        const { handle, location } = rule;
        if (its !== bit || handle === undefined) return [];
        const { chain } = location;
        return [{ ...step, action: { do: 'delete-nft-rule', family, table: name, chain, handle } }];
      });
    }
    if (family === 'inet' || name !== 'nat') return [];
    const commands = [SETMARK_CHAIN, MASQ_CHAIN].flatMap((chain) =>
      (chains.get(chain)?.rules ?? []).flatMap(({ text }) =>
        text.includes(mark) ? [['-D', ...splitWords(text).slice(1)]] : [],
      ),
    );
    if (commands.length === 0) return [];
    return [
      {
        ...step,
        action: {
          do: 'iptables',
          variant: backend,
          family: FAMILY_OF_NFT[family],
          table: 'nat',
          commands,
        },
      },
    ];
  });
}
