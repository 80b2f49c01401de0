import { words } from '../../model/message.ts';
import type { NodeView } from '../../view/node-view.ts';
import { installPlugin } from '../../view/plugin-files.ts';
import { chainVersions, effectiveVersion } from '../../view/plugin-versions.ts';
import { nodeEventEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
}

export const pluginTooOld = defineFailure<Data>({
  code: 'plugin-too-old',
  stage: 'installed',
  severity: 'broken',
  title: "portmap does not support the configuration's CNI version",
  explanation:
    'The configuration uses a version of the CNI specification that the other plugins of the chain support and the installed portmap does not, ' +
    'usually because only the others were upgraded. portmap fails for every new pod (`incompatible CNI versions`).',
  remedy: 'Replace portmap with a current version. The runtime retries by itself.',
  restart: 'no',
  sources: ['containernetworking/plugins#359', 'https://www.cni.dev/docs/spec/#version-negotiation'],
  mutedBy: ['cni-version-unsupported'],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      // Known wherever the chain is.
      const wanted = effectiveVersion(node)!;
      const plugins = chainVersions(node);
      const portmap = plugins?.find(({ type }) => type === 'portmap');
      if (portmap === undefined || portmap.versions.includes(wanted)) return [];
      if (plugins!.some(({ type, versions }) => type !== 'portmap' && !versions.includes(wanted))) return [];
      return [
        {
          subject: { node: node.name },
          message: words(
            '{file} of {node} uses CNI {version}, but the installed portmap supports only {versions}',
            { file: node.active!.name, node: node.name, version: wanted, versions: portmap.versions },
          ),
          evidence: [
            { kind: 'file', where: portmap.path, saw: `supports ${portmap.versions.join(', ')}` },
            ...nodeEventEvidence(scene, node, /incompatible CNI versions|unsupported CNI/i),
          ],
          data: { node },
        },
      ];
    });
  },

  heal({ data: { node } }) {
    return {
      by: 'steps',
      steps: [
        {
          on: 'node',
          node: node.name,
          why: 'replace portmap with a current version',
          action: installPlugin(node, 'portmap'),
        },
      ],
    };
  },

  page: {
    see: 'Pods stay in ContainerCreating; the event says `incompatible CNI versions` and lists the old versions.',
    why: "The primary CNI brought newer plugins and a newer `cniVersion`; portmap is still the one of the distribution's package.",
    check: {
      run: ['env CNI_COMMAND=VERSION /opt/cni/bin/portmap', 'grep cniVersion -r /etc/cni/net.d'],
      look: '`supportedVersions` of portmap lacks the version of the list; the other plugins have it.',
    },
    fix: 'Replace portmap. The runtime retries by itself.',
  },
});
