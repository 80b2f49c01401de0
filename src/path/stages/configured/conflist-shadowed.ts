import { fileOwner, whatRenames } from '../../heal/conf-owners.ts';
import { besideConfig, nameBefore, renameConfig, writeCopy } from '../../heal/conf-plans.ts';
import { isMountOfItsOwn } from '../../heal/possible.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { type ConfigFile, type NodeView, portmapIn } from '../../view/node-view.ts';
import { fileEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  winner: ConfigFile;
  shadowed: ConfigFile;
}

/**
 * Plugins that give a pod no network of its own: they are meant to run behind one that does. A file with nothing else is a service mesh's that was
 * written before there was a list to be appended to, or one for loopback that sorts first.
 */
const WITHOUT_NETWORK: ReadonlySet<string> = new Set([
  ...['loopback', 'bandwidth', 'tuning', 'firewall', 'sbr'],
  ...['linkerd-cni', 'istio-cni'],
]);

export const conflistShadowed = defineFailure<Data>({
  code: 'conflist-shadowed',
  stage: 'configured',
  severity: 'broken',
  title: 'another configuration file comes before the one that chains portmap',
  explanation:
    'A runtime uses only the first file of its configuration directory, sorted by name. A file that chains portmap exists, but a file without ' +
    'portmap comes before it, so edits to the one that chains portmap have no effect.',
  remedy: 'Rename the file that chains portmap so that its name comes first, or remove the other.',
  restart: 'avoided',
  sources: ['https://github.com/containerd/go-cni (loadFromConfDir)', 'containernetworking/cni ConfFiles'],
  mutedBy: [],
  ofFirstConfig: true,

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const [winner, ...others] = node.configs ?? [];
      if (winner === undefined || 'unknown' in winner.list || portmapIn(winner.list.value.plugins)) return [];
      const primary = winner.list.value.plugins[0]!.type;
      const isNoNetwork = winner.list.value.plugins.every(({ type }) => WITHOUT_NETWORK.has(type));
      // Only a file of the same network, with portmap, was meant to be used; or any, in the place of one that gives pods no network.
      const shadowed = others.find((file) => {
        const plugins = known(file.list)?.plugins;
        return (isNoNetwork || plugins?.[0]?.type === primary) && portmapIn(plugins) !== undefined;
      });
      if (shadowed === undefined) return [];
      return [
        {
          subject: { node: node.name },
          message: words('{file} of {node} comes before {shadowed} and does not chain portmap', {
            file: winner.name,
            node: node.name,
            shadowed: shadowed.name,
          }),
          evidence: [fileEvidence(winner), fileEvidence(shadowed)],
          data: { node, winner, shadowed },
        },
      ];
    });
  },

  heal({ data: { node, winner, shadowed } }) {
    const name = nameBefore(winner.name, shadowed.name);
    // A file that is mounted over its name cannot be renamed (rename(2): EBUSY), and an agent's file would reappear under its name.
    const owner = fileOwner(shadowed.name);
    if (owner !== undefined || isMountOfItsOwn(node, shadowed.path)) {
      const whose = owner === undefined ? 'is mounted from outside' : `${owner.name} writes`;
      const renamed = whatRenames(shadowed.name, node);
      const note = renamed === undefined ? '' : `; ${renamed}`;
      const why = `put a copy of ${shadowed.name}, which ${whose}, before ${winner.name}${note}`;
      return {
        by: 'steps',
        steps: [writeCopy(node, besideConfig(shadowed.path, name), shadowed.content, why)],
      };
    }
    return {
      by: 'steps',
      steps: [
        renameConfig(
          node,
          shadowed.path,
          name,
          `rename ${shadowed.name} so that it comes before ${winner.name}`,
        ),
      ],
    };
  },

  page: {
    see: 'Edits of the configuration have no effect; hostPorts of new pods do not answer.',
    why:
      'containerd and CRI-O sort the directory by name and use the first file that ends in `.conf`, `.conflist` or `.json` ' +
      '(containerd: with `max_conf_num = 1`, its default). `05-cilium.conflist` beats `10-portmap.conflist`; `000-` beats both.',
    check: {
      run: ['ls /etc/cni/net.d', 'grep -c portmap /etc/cni/net.d/000-cilium-portmap.conflist'],
      look: 'The file that chains portmap is not the first.',
    },
    fix: [
      'Rename it within the directory so that its name sorts first (the runtime notices such a rename), or remove the other file.',
      'A file that is mounted over its name cannot be renamed (`Device or resource busy`): copy it to the new name instead. Also ' +
        "copy a file that an operator's agent writes (`10-calico.conflist`, `10-aws.conflist`, …), because the agent would create " +
        'it again under its own name. `heal` does the same.',
    ],
  },
});
