import { splitWords } from '../../netfilter/rule-text.ts';
import { markUses, type Rule } from '../../netfilter/ruleset/index.ts';
import { DEFAULT_MARK_BIT } from '../../plugins/portmap/config.ts';
import { MASQ_CHAIN, SETMARK_CHAIN } from '../../plugins/portmap/rules.ts';
import { rewriteMapping } from '../attach-plan.ts';
import { changePortmap, restoreConfDir, snapshotConfDir } from '../conf-dir.ts';
import { listDocument, writeConfig } from '../conf-plans.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { type NodeView, portmapIn } from '../node-view.ts';
import { known } from '../observed.ts';
import { hasRule, iptablesIn } from '../table-faults.ts';

interface Data {
  node: NodeView;
  bit: number;
  free: number | undefined;
}

/** Bits that are spoken for: Kubernetes' two, Calico's and Cilium's ranges, least likely to be free last. */
const CANDIDATES = [12, 11, 10, 9, 8, 7, 6, 5, 4];
/** Of packets that no mapping has: the fault must show, and hurt nobody. */
const FOREIGN = [
  ...['PREROUTING', '-p', 'tcp', '-m', 'tcp', '--dport', '9099'],
  ...['-j', 'MARK', '--set-xmark', '0x2000/0x2000'],
];

export const markBitShared = defineFailure<Data>({
  code: 'mark-bit-shared',
  stage: 'translated',
  severity: 'risk',
  title: 'another component uses the bit of the packet mark that portmap uses',
  explanation:
    'portmap marks packets that it will masquerade by one bit of the mark, bit 13 unless told otherwise. Another component that sets the bit has its ' +
    'packets masqueraded by us; one that looks at it acts on ours: odd source addresses, odd drops.',
  remedy: 'Give portmap another bit (`markMasqBit`).',
  restart: 'avoided',
  sources: ['cilium/cilium#17109', 'https://www.cni.dev/plugins/current/meta/portmap/ (markMasqBit)'],
  mutedBy: [],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const portmap = portmapIn(node.chain);
      const ruleset = known(node.ruleset);
      if (portmap === undefined || ruleset === undefined || portmap.fields.externalSetMarkChain) return [];
      const bit =
        typeof portmap.fields.markMasqBit === 'number' ? portmap.fields.markMasqBit : DEFAULT_MARK_BIT;
      const uses = markUses(ruleset, 'ip').filter(({ rule, bits }) => !isOurs(rule) && bits !== ALL_BITS);
      const sharing = uses.filter(({ bits }) => hasBit(bits, bit));
      if (sharing.length === 0) return [];
      return [
        {
          subject: { node: node.name },
          message: `bit ${bit} of the packet mark is portmap's on ${node.name}, and ${sharing.length === 1 ? 'a rule' : `${sharing.length} rules`} of another component ${sharing.length === 1 ? 'uses' : 'use'} it too`,
          evidence: sharing.map(({ rule }) => ({
            kind: 'rule',
            where: `${rule.location.backend} ${rule.location.table} ${rule.location.chain}`,
            saw: rule.text,
          })),
          data: {
            node,
            bit,
            free: CANDIDATES.find((other) => !uses.some(({ bits }) => hasBit(bits, other))),
          },
        },
      ];
    });
  },

  heal({ data: { node, bit, free } }, scene) {
    if (free === undefined || node.active === undefined) {
      return {
        by: 'hand',
        why: `no bit of the mark is free on ${node.name}: one of the components must give one up`,
      };
    }
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
        ...oldRules(node, old).map((commands) => ({
          on: 'node' as const,
          node: node.name,
          why: `no longer use bit ${bit}`,
          action: {
            do: 'iptables' as const,
            variant: 'iptables-nft' as const,
            family: 'ipv4' as const,
            table: 'nat' as const,
            commands,
          },
        })),
      ],
    };
  },

  fault: {
    does: 'has another component mark packets of its own by the same bit',
    remember: (door, { node }) => snapshotConfDir(door, node),
    async inject(door, { node }) {
      await iptablesIn(door, node, 'mangle', '-A', ...FOREIGN);
    },
    async restore(door, { node }, memo) {
      // Healing has given portmap another bit.
      await restoreConfDir(door, node, memo);
      if (await hasRule(door, node, 'mangle', ...FOREIGN)) {
        await iptablesIn(door, node, 'mangle', '-D', ...FOREIGN);
      }
    },
  },
});

/** A rule that sets or looks at the whole mark has no bit of its own, and says nothing about ours. */
const ALL_BITS = 0xffffffff;

function hasBit(bits: number, bit: number): boolean {
  return Math.floor(bits / 2 ** bit) % 2 === 1;
}

function isOurs({ location, comment }: Rule): boolean {
  return (
    /^CNI-/.test(location.chain) ||
    location.table === 'hostport' ||
    /^(CNI portfwd|hostport: )/.test(comment ?? '')
  );
}

/** Commands that take portmap's shared rules with an old mark out, when there are any. */
function oldRules(node: NodeView, mark: string): string[][][] {
  const ruleset = known(node.ruleset);
  const table = ruleset?.tables.find(
    ({ backend, family, name }) => backend === 'iptables-nft' && family === 'ip' && name === 'nat',
  );
  const commands: string[][] = [];
  for (const chain of [SETMARK_CHAIN, MASQ_CHAIN]) {
    const rules = table?.chains.get(chain)?.rules ?? [];
    for (const { text } of rules) {
      if (text.includes(mark)) commands.push(['-D', ...splitWords(text).slice(1)]);
    }
  }
  return commands.length === 0 ? [] : [commands];
}
