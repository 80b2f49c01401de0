import { hookUses } from '../../../netfilter/index.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { excerptOfLines } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const backendsMixed = defineFailure<null>({
  code: 'backends-mixed',
  stage: 'translated',
  severity: 'risk',
  title: 'both legacy iptables and another backend translate addresses',
  explanation:
    'Legacy iptables has its own tables, which the kernel runs beside those of nftables, whether iptables-nft wrote these or a program that ' +
    'uses nft directly (firewalld). When both have rules at one hook, each tool shows only a part of them, and which rules run first depends on ' +
    'their priorities, or on chance.',
  remedy:
    'Let all components use one variant (`update-alternatives --set iptables`, or the image of the component), and flush the legacy tables.',
  restart: 'no',
  sources: [
    'containernetworking/plugins#225',
    'https://wiki.nftables.org/wiki-nftables/index.php/Legacy_xtables_tools',
  ],
  mutedBy: [],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<null>[] => {
      const ruleset = known(node.ruleset);
      if (ruleset === undefined) return [];
      const uses = hookUses(ruleset, 'ip').filter(
        ({ type, hook }) => type === 'nat' && hook === 'prerouting',
      );
      const legacy = uses.find(({ backend }) => backend === 'iptables-legacy');
      const other =
        uses.find(({ backend }) => backend === 'iptables-nft') ??
        uses.find(({ backend }) => backend === 'nft');
      if (legacy === undefined || other === undefined) return [];
      // The two variants of one command, or a program that has nothing to do with iptables.
      const beside =
        other.backend === 'iptables-nft'
          ? 'iptables-nft'
          : `nft (${[...new Set(other.chains.map(({ table }) => `table ${table}`))].join(', ')})`;
      return [
        {
          subject: { node: node.name },
          message: words(
            '{node} has rules of iptables-legacy and of {other} where destinations are translated',
            { node: node.name, other: beside },
          ),
          evidence: [legacy, other].flatMap(({ backend, chains }) =>
            chains.map(({ table, name, rules }) => ({
              kind: 'rule' as const,
              where: `${backend} ${table} ${name}`,
              saw: excerptOfLines(rules.map(({ text }) => text)),
            })),
          ),
          data: null,
        },
      ];
    });
  },

  heal: () => ({
    by: 'hand',
    why: 'only the owners of the rules know which of them are in the wrong place and which are still needed',
  }),

  page: {
    see: '`iptables-save` shows rules that have no effect, or packets are translated without a visible rule.',
    why:
      '`iptables` is either `iptables-nft` or `iptables-legacy`, and components bring their own in their images. The kernel runs ' +
      "both, at the same hooks. firewalld and portmap's nftables backend have native nft chains there, which neither variant of " +
      'iptables shows.',
    check: {
      run: ['iptables-legacy-save', 'iptables-nft-save', 'nft list chains', 'readlink -f /usr/sbin/iptables'],
      look:
        'The legacy table nat has rules in PREROUTING, and so does the other variant, or an nft chain with hook prerouting and type ' +
        'nat.',
    },
    fix:
      '`update-alternatives --set iptables /usr/sbin/iptables-nft` for the node, the right image or setting for the component ' +
      '(kube-proxy and Calico detect it at start), then flush the other variant once nothing uses it.',
  },
});
