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

  page: {
    see: 'The configuration is right, but new pods behave as if the old one were in use.',
    why: [
      'This affects containerd versions without the fix of containerd#11715.',
      'When the file on disk has a fault of its own (`capability-missing`, `portmap-not-chained`, …), only that fault is ' +
        'reported: fixing the file also makes the runtime load it, and loading it unchanged would break what works. While the old ' +
        'list maps ports, both are a risk.',
    ],
    check: {
      run: ['ls -l --time-style=full-iso /etc/cni/net.d', 'hostport node-report -o yaml'],
      look: 'In the report, `runtime.value.loadedNetworks` differs from `cni.files`. `crictl info` shows the same under `cniconfig`.',
    },
    fix: [
      'Write the file in place: `cp FILE FILE.new && cat FILE.new > FILE && rm FILE.new`. `touch` is not enough. Restarting ' +
        'containerd works too, and does not restart pods.',
      "A file that is mounted over its name (kind's `extraMounts`, a subPath) is edited at its source, which the watch on the " +
        'directory does not notice. Create and remove another file in the directory: `touch .again; rm .again`. The watch notices a ' +
        'removal of any name. `heal` does the same.',
    ],
  },
});

/** Compares what makes a difference: the plugins with their settings, in order. The list's name and version are copied into them. */
function samePlugins(a: readonly Record<string, unknown>[], b: readonly Record<string, unknown>[]): boolean {
  const plain = (plugins: readonly Record<string, unknown>[]) =>
    plugins.map(({ name, cniVersion, ...plugin }) => plugin);
  return isDeepStrictEqual(plain(a), plain(b));
}
