import { hookUses } from '../../../netfilter/index.ts';
import { known } from '../../model/observed.ts';
import { excerptOfLines } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const backendsMixed = defineFailure<null>({
  code: 'backends-mixed',
  stage: 'translated',
  severity: 'risk',
  title: 'legacy iptables translates addresses beside another backend',
  explanation:
    'Legacy iptables has tables of its own, which the kernel runs beside those of nftables: those of iptables-nft, or of whoever uses nft directly (firewalld). When both ' +
    'have rules at one hook, what a tool shows is half of the truth, and which half comes first is for their priorities, or chance.',
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
          message: `${node.name} has rules of iptables-legacy and of ${beside} where destinations are translated`,
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
    why: 'whose rules are in the wrong place, and whether they are still needed, only their owner knows',
  }),
});
