import { words } from '../../model/message.ts';
import { ADVISORIES, type Advisory } from '../advisories.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const pluginVulnerable = defineFailure<Advisory>({
  code: 'plugin-vulnerable',
  stage: 'installed',
  severity: 'risk',
  title: 'portmap has a published weakness, as its rules show',
  explanation:
    'The version of portmap that wrote the rules of the node has a weakness that is published, with a version that fixes it. Ports work, but rules ' +
    'take more packets than the mappings ask for. A plugin does not say its version, so the finding goes by what it has written into the kernel.',
  remedy: 'Replace portmap with the version named or a newer one, and let it write its rules again.',
  restart: 'no',
  sources: ADVISORIES.map(({ id, url }) => `${url} (${id})`),
  mutedBy: [],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node) =>
      ADVISORIES.flatMap((advisory): Detection<Advisory>[] => {
        const evidence = advisory.seenOn(node);
        if (evidence.length === 0) return [];
        const { id, component, affected, fixed, effect, replacing } = advisory;
        return [
          {
            subject: { node: node.name },
            message: words(
              '{component} of {node} is of a version with {advisory} ({affected}), so {effect}; {fixed} fixes it',
              {
                node: node.name,
                advisory: id,
                ...{ component, affected, fixed, effect },
              },
            ),
            evidence,
            remedy: `Replace portmap with version ${fixed} of the CNI plugins or a newer one, or with hostport's; ${replacing}.`,
            data: advisory,
          },
        ];
      }),
    );
  },

  heal: ({ data: { fixed } }) => ({
    by: 'hand',
    why: `whoever installs the plugins of the node has to install ${fixed} or newer, or the old one comes back`,
  }),

  page: {
    see: 'Nothing: the ports work. Packets that pass the node to other machines, on a port that a pod has mapped, end at the pod.',
    why: [
      `| advisory | component | affected | fixed in | effect |\n|---|---|---|---|---|\n${ADVISORIES.map(
        ({ id, url, component, affected, fixed, effect }) =>
          `| [${id}](${url}) | ${component} | ${affected} | ${fixed} | ${effect} |`,
      ).join('\n')}`,
    ],
    check: {
      run: ['nft list ruleset', 'iptables -w -t nat -S PREROUTING'],
      look:
        'Table `cni_hostport` has mappings (rules with `dnat`), and a rule of its chain `prerouting` jumps to `hostports` without `fib daddr type local`; or the jump to ' +
        '`CNI-HOSTPORT-DNAT` comes before `KUBE-SERVICES`, and `CNI_COMMAND=VERSION portmap` does not name 0.4.0.',
    },
    fix:
      'Install a newer version of the CNI plugins. The rules of prerouting are written again by the next ADD; pods need not be recreated. ' +
      "hostport's portmap has a table of its own and never rewrites `cni_hostport`: with it, recreate the pods that have mappings there, then " +
      '`nft delete table ip cni_hostport` (and `ip6`).',
  },
});
