import { isDeepStrictEqual } from 'node:util';
import { words } from '../../model/message.ts';
import { loadedMapsPorts, loadedNetwork } from '../../view/loaded-network.ts';
import { type ConfigFile, type NodeView, portmapIn } from '../../view/node-view.ts';
import { excerpt, fileEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  file: ConfigFile;
}

export const conflistNotLoaded = defineFailure<Data>({
  code: 'conflist-not-loaded',
  stage: 'configured',
  severity: 'broken',
  title: 'the runtime uses an older configuration than the one on disk',
  explanation:
    'containerd reads its configuration directory again when a file in it is written, removed or renamed, but not when a file is moved in from ' +
    'another directory, as installers and configuration tools do to replace files atomically. The right file is in place, but the runtime still ' +
    'uses the old one.',
  remedy: 'Write the file again in place (touching it is not enough), or restart the runtime.',
  restart: 'avoided',
  sources: [
    'containerd/containerd#11715',
    'https://github.com/containerd/containerd (pkg/cri/server/cni_conf_syncer.go)',
  ],
  // A fault in the file comes first: the fix writes the file, which the runtime notices. With the fault it must not be loaded.
  mutedBy: [
    'conflist-invalid',
    'conflist-renamed',
    'conflist-shadowed',
    'portmap-not-chained',
    'capability-missing',
    'plugin-order-wrong',
    'cni-version-unsupported',
    'set-mark-chain-missing',
  ],
  ofFirstConfig: true,

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const file = node.active;
      const loaded = loadedNetwork(node);
      if (file === undefined || loaded?.plugins === undefined || 'unknown' in file.list) return [];
      const onDisk = file.list.value.plugins.map(({ fields }) => fields);
      if (
        samePlugins(
          onDisk,
          loaded.plugins.map(({ fields }) => fields),
        )
      )
        return [];
      // Loading it would break the node's working mappings. Where that matters, the fault in the file is reported instead.
      if (loadedMapsPorts(node) && portmapIn(node.chain)?.capabilities.portMappings !== true) return [];
      return [
        {
          subject: { node: node.name },
          message: words(
            'the runtime of {node} has not loaded {file}: it still uses the previous configuration',
            { node: node.name, file: file.name },
          ),
          evidence: [
            fileEvidence(file),
            { kind: 'runtime', where: `network ${loaded.name} as loaded`, saw: excerpt(loaded.config) },
          ],
          data: { node, file },
        },
      ];
    });
  },

  heal({ data: { node, file } }) {
    return {
      by: 'steps',
      steps: [
        {
          on: 'node',
          node: node.name,
          why: `write ${file.name} again in place, which the runtime notices`,
          action: { do: 'rewrite-file', path: file.path },
        },
      ],
    };
  },
});

/** Compares what makes a difference: the plugins with their settings, in order. The list's name and version are copied into them. */
function samePlugins(a: readonly Record<string, unknown>[], b: readonly Record<string, unknown>[]): boolean {
  const plain = (plugins: readonly Record<string, unknown>[]) =>
    plugins.map(({ name, cniVersion, ...plugin }) => plugin);
  return isDeepStrictEqual(plain(a), plain(b));
}
