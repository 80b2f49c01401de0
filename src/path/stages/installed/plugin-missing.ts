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
    '`failed to find plugin`, and a pod that is deleted stays Terminating with `FailedKillPod`, because DEL needs the plugin, too. What ' +
    'runs continues to run, and keeps its hostPorts.',
  remedy:
    'Install the plugin. The kubelet retries creation and deletion by itself; do not force the deletion of pods, which leaves their addresses, ' +
    'links and rules on the node.',
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

  page: {
    see:
      'Pods stay in ContainerCreating forever; the event says `failed to find plugin "portmap" in path [/opt/cni/bin]`. Pods that are ' +
      'deleted stay Terminating, with the event `FailedKillPod` and the same words. Running pods are not affected.',
    why:
      'The CNI package (`kubernetes-cni`, `containernetworking-plugins`) was never installed, an image lacks it, or a mount hides ' +
      'the directory. Some distributions install plugins in `/usr/lib/cni`. This is the second worker of the how-to.',
    check: {
      run: [
        'ls /opt/cni/bin',
        'kubectl get events -A --field-selector reason=FailedCreatePodSandBox',
        'kubectl get events -A --field-selector reason=FailedKillPod',
      ],
      look: 'A plugin that the first file of `/etc/cni/net.d` names is not in the directory.',
    },
    fix: 'Install the package or copy the plugin there, with mode 0755. The kubelet retries by itself, within a minute or two.',
  },
});
