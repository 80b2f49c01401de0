import type { Rule, Ruleset } from '../../netfilter/index.ts';
import { DNAT_CHAIN, REFERENCE_NFT_TABLE } from '../../portmap/layout.ts';
import type { Evidence } from '../model/finding.ts';
import { known } from '../model/observed.ts';
import type { NodeView } from '../view/node-view.ts';
import { chainVersions } from '../view/plugin-versions.ts';
import { ruleAtEvidence } from './evidence.ts';

/** A published weakness of something on the way of a hostPort. */
export interface Advisory {
  /** As it is published. */
  id: string;
  url: string;
  /** What has it, and in which versions. */
  component: string;
  affected: string;
  /** The first version without it. */
  fixed: string;
  /** What it lets happen; completes "…, so …". */
  effect: string;
  /** How the rules of the old version go once it is replaced; completes "…; …". */
  replacing: string;
  /**
   * What shows that a node has it: what it does there, since a program does not say its version. Nothing where it is not seen.
   */
  seenOn(node: NodeView): Evidence[];
}

/** All that are known, newest first. To add one: what shows it, and the version that fixes it. */
export const ADVISORIES: readonly Advisory[] = [
  {
    id: 'CVE-2025-67499',
    url: 'https://github.com/containernetworking/plugins/security/advisories/GHSA-jv3w-x3r3-g6rm',
    component: "portmap's nftables backend",
    affected: '1.6.0 to 1.8.0',
    fixed: '1.9.0',
    effect: 'whatever passes the node to a mapped port is sent to the pod, whichever machine it is for',
    replacing:
      `its next ADD writes the rules again. hostport's portmap never writes into table ${REFERENCE_NFT_TABLE}: with it, recreate the pods that have ` +
      'mappings there, and delete the table',
    // Without a mapping the table takes no packets: it is what an uninstalled plugin has left. Each ADD writes the rules of prerouting again: they are those of the version that is installed, or that was the last to be called.
    seenOn: (node) =>
      (known(node.ruleset)?.tables ?? [])
        .filter((table) => table.backend === 'nft' && table.name === REFERENCE_NFT_TABLE && hasMapping(table))
        .flatMap(({ chains }) => chains.get('prerouting')?.rules ?? [])
        .filter((rule) => jumps(rule).length > 0 && !asksForLocal(rule))
        .map((rule) => ruleAtEvidence(rule)),
  },
  {
    id: 'CVE-2019-9946',
    url: 'https://github.com/containernetworking/plugins/pull/269',
    component: 'portmap',
    affected: 'before 0.7.5',
    fixed: '0.7.5',
    effect: "mappings take packets before kube-proxy's rules, those to node ports included",
    replacing: 'the next pod with a hostPort makes it write its rules again',
    seenOn(node) {
      // 0.4.0 of the specification came with 0.8.0 of the plugins.
      const old = chainVersions(node)?.find(
        ({ type, versions }) =>
          type === 'portmap' && versions.every((version) => /^0\.[0-3]\./.test(version)),
      );
      if (old === undefined) return [];
      const first = (known(node.ruleset)?.tables ?? [])
        .filter(({ backend, name }) => backend !== 'nft' && name === 'nat')
        .flatMap(({ chains }) => {
          const rules = chains.get('PREROUTING')?.rules ?? [];
          const [own, services] = [DNAT_CHAIN, 'KUBE-SERVICES'].map((chain) =>
            rules.findIndex((rule) => jumps(rule).includes(chain)),
          );
          return own! >= 0 && own! < services! ? [rules[own!]!] : [];
        });
      if (first.length === 0) return [];
      return [
        { kind: 'file', where: old.path, saw: `supports ${old.versions.join(', ')}` },
        ...first.map((rule) => ruleAtEvidence(rule, 'before KUBE-SERVICES')),
      ];
    },
  },
];

/** Whether one of the chains translates something. */
function hasMapping({ chains }: Ruleset['tables'][number]): boolean {
  return [...chains.values()].some(({ rules }) =>
    rules.some(({ expressions }) => expressions.some(({ kind }) => kind === 'dnat')),
  );
}

/** The chains that a rule leads to. */
function jumps({ expressions }: Rule): string[] {
  return expressions.flatMap((entry) =>
    entry.kind === 'jump' || entry.kind === 'goto' ? [entry.chain] : [],
  );
}

function asksForLocal({ expressions }: Rule): boolean {
  return expressions.some(
    (entry) => entry.kind === 'match' && entry.key.some(({ field }) => field === 'destination-type'),
  );
}
