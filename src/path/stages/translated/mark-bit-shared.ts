import {
  comparesBit,
  type MarkClash,
  markClashes,
  markField,
  markFields,
  type Rule,
  type Ruleset,
} from '../../../netfilter/index.ts';
import { splitWords } from '../../../netfilter/iptables/rule-text.ts';
import { DEFAULT_MARK_BIT } from '../../../portmap/config.ts';
import { NFT_TABLE } from '../../../portmap/nftables-layout.ts';
import { MASQ_CHAIN, SETMARK_CHAIN } from '../../../portmap/rules.ts';
import { rewriteMapping } from '../../heal/attach-plan.ts';
import { listDocument, writeConfig } from '../../heal/conf-plans.ts';
import { changePortmap } from '../../heal/list-document.ts';
import type { NodeAction } from '../../model/action.ts';
import type { Evidence } from '../../model/finding.ts';
import type { PolicyRule } from '../../model/node-report.ts';
import { known } from '../../model/observed.ts';
import { type NodeView, portmapIn } from '../../view/node-view.ts';
import { describeRule, policyRules } from '../../view/policy-rules.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  bit: number;
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
 * The bits of components that put more into the mark than their rules show, by how they are recognised: Cilium the identity of the sender, in its eBPF
 * programs (pkg/datapath/linux/linux_defaults/mark.go: all bits but 12 to 15), Calico what its marks are for (iptablesMarkMask, its default).
 */
const OWNERS: readonly { name: string; bits: number; chains: RegExp; plugin: string }[] = [
  { name: 'Cilium', bits: 0xffff0fff, chains: /^CILIUM_/, plugin: 'cilium-cni' },
  { name: 'Calico', bits: 0xffff0000, chains: /^cali-/, plugin: 'calico' },
];

export const markBitShared = defineFailure<Data>({
  code: 'mark-bit-shared',
  stage: 'translated',
  severity: 'risk',
  title: 'another component uses the bit of the packet mark that portmap uses',
  explanation:
    'portmap sets one bit of the packet mark, bit 13 by default, on packets that it masquerades later. If a rule of another component sets the ' +
    'bit, other packets are masqueraded; if it clears the bit in between, packets are not masqueraded; if it acts on the bit, it acts on the ' +
    'packets of hostPorts. The symptoms vary: wrong source addresses, drops, hostPorts that their own pod cannot reach.',
  remedy: 'Give portmap another bit (`markMasqBit`).',
  restart: 'avoided',
  sources: ['cilium/cilium#17109', 'https://www.cni.dev/plugins/current/meta/portmap/ (markMasqBit)'],
  mutedBy: [],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const ruleset = known(node.ruleset);
      const bit = markBitOf(node);
      if (bit === undefined || ruleset === undefined) return [];
      const clashes = clashesOn(node, ruleset, bit);
      if (clashes.length === 0) return [];
      const owners = ownersOn(node, ruleset);
      const free = freeBit(node, ruleset, owners);
      const rules = clashes.length === 1 ? 'a rule' : `${clashes.length} rules`;
      return [
        {
          subject: { node: node.name },
          message: `portmap uses bit ${bit} of the packet mark on ${node.name}, and ${rules} of another component ${clashes.length === 1 ? 'uses' : 'use'} it too`,
          evidence: clashes.flat(),
          remedy:
            free === undefined
              ? noneFree(node, owners)
              : `Give portmap bit ${free} (\`markMasqBit\`), which no rule of ${node.name} uses.`,
          data: { node, bit, free, owners },
        },
      ];
    });
  },

  heal({ data: { node, bit, free, owners } }, scene) {
    if (free === undefined || node.active === undefined) return { by: 'hand', why: noneFree(node, owners) };
    const document = changePortmap(listDocument(node.active), (portmap) => ({
      ...portmap,
      markMasqBit: free,
    }));
    const sandboxes = new Map(
      scene
        .pathsOn(node)
        .flatMap(({ sandbox }) => (sandbox === undefined ? [] : [[sandbox.id, sandbox] as const])),
    );
    const old = `0x${(2 ** bit).toString(16)}/0x${(2 ** bit).toString(16)}`;
    return {
      by: 'steps',
      steps: [
        writeConfig(node, node.active.path, document, `let portmap use bit ${free}`),
        ...[...sandboxes.values()].map((sandbox) =>
          rewriteMapping(node, sandbox, `mark packets of ${sandbox.name} by bit ${free}`),
        ),
        ...oldRules(node, old).map((action) => ({
          on: 'node' as const,
          node: node.name,
          why: `no longer use bit ${bit}`,
          action,
        })),
      ],
    };
  },
});

/** portmap's bit on a node; undefined where it uses none. */
function markBitOf(node: NodeView): number | undefined {
  const fields = portmapIn(node.chain)?.fields;
  // Without masquerading, or with another component's mark, portmap sets no bit.
  if (fields === undefined || fields.snat === false || fields.externalSetMarkChain) return undefined;
  const tables = known(node.ruleset)?.tables ?? [];
  const hasTable = (name: string) => tables.some((table) => table.backend === 'nft' && table.name === name);
  // The reference plugin masquerades by address there.
  if (fields.backend === 'nftables' && hasTable(REFERENCE_TABLE) && !hasTable(NFT_TABLE)) return undefined;
  return typeof fields.markMasqBit === 'number' ? fields.markMasqBit : DEFAULT_MARK_BIT;
}

/** The table of the reference plugin's nftables backend. */
const REFERENCE_TABLE = 'cni_hostport';

const DOES: Readonly<Record<MarkClash['does'], string>> = {
  sets: 'sets the bit',
  clears: 'clears the bit before packets are masqueraded',
  acts: 'acts on the bit',
};

/** What shares a bit with portmap on a node, as evidence: of each rule itself, and how the bit gets there where it is by way of the connection. */
function clashesOn(node: NodeView, ruleset: Ruleset, bit: number): Evidence[][] {
  const rules = new Set<Rule>();
  const clashes = familiesOf(ruleset).flatMap((family) => markClashes(ruleset, family, bit, isOurs));
  const ofRules = clashes.flatMap(({ rule, does, through }) => {
    // One of an inet table is of both families.
    if (rules.has(rule)) return [];
    rules.add(rule);
    return [
      [
        ruleEvidence(rule, DOES[does]),
        ...through.map((other) => ruleEvidence(other, 'keeps the bit with the connection')),
      ],
    ];
  });
  const ofRouting = routingByMark(node)
    .filter(({ mark }) => comparesBit(mark!, bit))
    .map((rule): Evidence[] => [
      { kind: 'route', where: `policy rule of ${node.name} (${DOES.acts})`, saw: describeRule(rule) },
    ]);
  return [...ofRules, ...ofRouting];
}

function ruleEvidence({ location, text }: Rule, does: string): Evidence {
  const { backend, table, chain } = location;
  return { kind: 'rule', where: `${backend} ${table} ${chain} (${does})`, saw: text };
}

/** The families whose packets portmap marks: IPv6 only where it has mapped ports of that. */
function familiesOf({ tables }: Ruleset): ('ip' | 'ip6')[] {
  const isMapped = tables.some(({ family, chains }) => family === 'ip6' && chains.has(MASQ_CHAIN));
  return isMapped ? ['ip', 'ip6'] : ['ip'];
}

/** The policy rules of a node that go by the mark and lead somewhere. Packets of hostPorts are routed when they have been marked. */
function routingByMark({ seen }: NodeView): PolicyRule[] {
  if (seen === undefined) return [];
  const routes = known(seen.network.routes);
  return (known(policyRules(seen, 'ipv4')) ?? []).filter(({ mark, action, table }) => {
    if (mark === undefined || action === 'nop') return false;
    // Where a table has no route, the next rule decides.
    const isEmpty = routes?.every((route) => route.family !== 'ipv4' || route.table !== table) ?? false;
    return action !== undefined || !isEmpty;
  });
}

function ownersOn(node: NodeView, { tables }: Ruleset): string[] {
  return OWNERS.filter(
    ({ chains, plugin }) =>
      node.chain?.some(({ type }) => type === plugin) ||
      tables.some((table) => [...table.chains.keys()].some((name) => chains.test(name))),
  ).map(({ name }) => name);
}

/** A bit that no rule of others gives a meaning to, that none of the components on the node has for itself, and that does not clash either. */
function freeBit(node: NodeView, ruleset: Ruleset, owners: readonly string[]): number | undefined {
  const taken = [
    KUBERNETES_BITS,
    ...OWNERS.filter(({ name }) => owners.includes(name)).map(({ bits }) => bits),
    ...(['ip', 'ip6'] as const).map((family) => markFields(ruleset, family, isOurs)),
    ...routingByMark(node).map(({ mark }) => markField(mark!)),
  ].reduce((bits, more) => bits | more, 0);
  return CANDIDATES.find(
    (other) => ((taken >>> other) & 1) === 0 && clashesOn(node, ruleset, other).length === 0,
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

/** portmap's shared rules with an old mark, each table with the commands that take them out. */
function oldRules(node: NodeView, mark: string): Extract<NodeAction, { do: 'iptables' }>[] {
  return (known(node.ruleset)?.tables ?? []).flatMap(({ backend, family, name, chains }) => {
    if (backend === 'nft' || family === 'inet' || name !== 'nat') return [];
    const commands = [SETMARK_CHAIN, MASQ_CHAIN].flatMap((chain) =>
      (chains.get(chain)?.rules ?? []).flatMap(({ text }) =>
        text.includes(mark) ? [['-D', ...splitWords(text).slice(1)]] : [],
      ),
    );
    if (commands.length === 0) return [];
    return [
      {
        do: 'iptables',
        variant: backend,
        family: family === 'ip' ? 'ipv4' : 'ipv6',
        table: 'nat',
        commands,
      },
    ];
  });
}
