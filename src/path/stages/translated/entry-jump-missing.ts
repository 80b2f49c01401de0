import type { Table } from '../../../netfilter/index.ts';
import { DNAT_CHAIN, ENTRY_JUMP } from '../../../portmap/layout.ts';
import { FAMILY_OF_NFT, type NftFamily } from '../../../util/family.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import type { NodeView } from '../../view/node-view.ts';
import { excerptOfLines } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  variant: 'iptables-nft' | 'iptables-legacy';
  family: NftFamily;
  missing: string[];
}

/** The chains where packets to the node begin: from other machines, and from itself. */
const ENTRIES = ['PREROUTING', 'OUTPUT'] as const;

export const entryJumpMissing = defineFailure<Data>({
  code: 'entry-jump-missing',
  stage: 'translated',
  severity: 'broken',
  title: "no rule leads to portmap's chain",
  explanation:
    "Packets reach portmap's chain by one rule in PREROUTING (from other machines) and one in OUTPUT (from the node itself). Without them the " +
    'mappings exist, but no packet reaches them.',
  remedy: 'Restore the jump.',
  restart: 'no',
  sources: ['containernetworking/plugins portmap (genToplevelDnatChain)'],
  mutedBy: [],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node) =>
      (known(node.ruleset)?.tables ?? []).flatMap((table): Detection<Data>[] => {
        const { backend, family, name } = table;
        const chain = table.chains.get(DNAT_CHAIN);
        if (
          name !== 'nat' ||
          backend === 'nft' ||
          family === 'inet' ||
          chain === undefined ||
          chain.rules.length === 0
        )
          return [];
        const missing = ENTRIES.filter((entry) => !leadsTo(table, entry, DNAT_CHAIN));
        if (missing.length === 0) return [];
        return [
          {
            subject: { node: node.name },
            message: words(
              '{chains:and} of {node} {chains:does|do} not lead to {target}, which holds {mappings} {mappings:mapping|mappings}',
              { chains: missing, node: node.name, target: DNAT_CHAIN, mappings: chain.rules.length },
            ),
            evidence: missing.map((entry) => ({
              kind: 'rule',
              where: `${backend} ${family} nat ${entry}`,
              saw:
                excerptOfLines((table.chains.get(entry)?.rules ?? []).map(({ text }) => text)) || '(empty)',
            })),
            data: { node, variant: backend, family, missing },
          },
        ];
      }),
    );
  },

  heal: ({ data: { node, variant, family, missing } }) => ({
    by: 'steps',
    steps: [
      {
        on: 'node',
        node: node.name,
        why: `restore the jump from ${missing.join(' and ')} to ${DNAT_CHAIN}`,
        action: {
          do: 'iptables',
          variant,
          family: FAMILY_OF_NFT[family],
          table: 'nat',
          commands: missing.map((chain) => ['-A', chain, ...ENTRY_JUMP]),
        },
      },
    ],
  }),

  page: {
    see: 'Connections are refused from everywhere (PREROUTING) or only from the node (OUTPUT). All mappings exist.',
    why: 'All components share the chains with these jumps, and a component that rewrites the whole of PREROUTING drops them.',
    check: {
      run: ['iptables -w -t nat -S PREROUTING', 'iptables -w -t nat -S OUTPUT'],
      look: 'One of them lacks `-m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT`.',
    },
    fix:
      '`iptables -w -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT`, and the same for OUTPUT. The next ADD ' +
      'of portmap restores them as well.',
  },
});

/** Whether packets come from a chain of a table to another, by whatever rules. */
function leadsTo(table: Table, from: string, to: string): boolean {
  const reached = new Set([from]);
  // Grows as it is walked: each chain is looked at once, however the chains lead to each other.
  for (const name of reached) {
    for (const { expressions } of table.chains.get(name)?.rules ?? []) {
      for (const expression of expressions) {
        if (expression.kind !== 'jump' && expression.kind !== 'goto') continue;
        if (expression.chain === to) return true;
        reached.add(expression.chain);
      }
    }
  }
  return false;
}
