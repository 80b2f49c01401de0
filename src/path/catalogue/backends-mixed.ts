import { hookUses } from '../../netfilter/ruleset/index.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { known } from '../observed.ts';

const RULE = ['PREROUTING', '-p', 'tcp', '-m', 'tcp', '--dport', '9098', '-j', 'RETURN'];

export const backendsMixed = defineFailure<null>({
  code: 'backends-mixed',
  stage: 'translated',
  severity: 'risk',
  title: 'both variants of iptables translate addresses on the node',
  explanation:
    'iptables exists twice, over nftables and as the legacy form, with tables of their own that the kernel runs one after the other. When both have ' +
    'rules at one hook, what a tool shows is half of the truth, and which half comes first is chance.',
  remedy:
    'Let all components use one variant (`update-alternatives --set iptables`, or the image of the component), and flush the other.',
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
      const other = uses.find(({ backend }) => backend !== 'iptables-legacy');
      if (legacy === undefined || other === undefined) return [];
      return [
        {
          subject: { node: node.name },
          message: `${node.name} has rules of iptables-legacy and of ${other.backend} where destinations are translated`,
          evidence: [legacy, other].flatMap(({ backend, chains }) =>
            chains.map(({ table, name, rules }) => ({
              kind: 'rule' as const,
              where: `${backend} ${table} ${name}`,
              saw: rules.map(({ text }) => text).join('\n'),
            })),
          ),
          data: null,
        },
      ];
    });
  },

  heal: () => ({
    by: 'hand',
    why: 'whose rules are in the wrong variant, and whether they are still needed, only their owner knows',
  }),

  fault: {
    does: 'adds a rule with iptables-legacy where the node uses iptables-nft',
    async inject(door, target) {
      await door.run(target.node, ['iptables-legacy', '-w', '-t', 'nat', '-A', ...RULE]);
    },
    async restore(door, target) {
      const rules = await door.run(target.node, ['iptables-legacy', '-w', '-t', 'nat', '-S', 'PREROUTING']);
      if (!rules.split('\n').includes(`-A ${RULE.join(' ')}`)) return;
      await door.run(target.node, ['iptables-legacy', '-w', '-t', 'nat', '-D', ...RULE]);
    },
  },
});
