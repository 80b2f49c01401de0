import { words } from '../../model/message.ts';
import type { NodeView } from '../../view/node-view.ts';
import { BROUGHT_ALONG, chainPlugins, installPlugin } from '../../view/plugin-files.ts';
import { nodeEventEvidence, pluginDirectoryEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  type: string;
}

/** The how-to's worker2: pods hang in ContainerCreating until the plugin is there. */
export const pluginMissing = defineFailure<Data>({
  code: 'plugin-missing',
  stage: 'installed',
  severity: 'broken',
  title: 'a plugin of the chain is not installed on the node',
  explanation:
    'The chain names a plugin that is not in any of the directories that the runtime searches. Every new pod stays in ContainerCreating with ' +
    '`failed to find plugin`; running pods are not affected.',
  remedy: 'Install the plugin. The runtime retries by itself.',
  restart: 'no',
  sources: [
    'flannel-io/flannel#1730',
    'https://www.cni.dev/docs/spec/#section-4-plugin-delegation (CNI_PATH)',
  ],
  mutedBy: [],

  detect(scene) {
    return chainPlugins(scene.nodes.values()).flatMap(({ node, type, file }): Detection<Data>[] => {
      if (file !== undefined) return [];
      return [
        {
          subject: { node: node.name },
          message: words('plugin {plugin}, which {file} chains, is not in {directories} of {node}', {
            plugin: type,
            file: node.active!.name,
            directories: node.seen!.cni.binDirs,
            node: node.name,
          }),
          evidence: [
            ...pluginDirectoryEvidence(node),
            ...nodeEventEvidence(scene, node, /failed to find plugin/),
          ],
          data: { node, type },
        },
      ];
    });
  },

  heal({ data: { node, type } }) {
    if (!BROUGHT_ALONG.includes(type)) {
      return {
        by: 'hand',
        why: `${type} belongs to the primary CNI: whatever installed that must install it on ${node.name}`,
      };
    }
    return {
      by: 'steps',
      steps: [{ on: 'node', node: node.name, why: `install ${type}`, action: installPlugin(node, type) }],
    };
  },
});
