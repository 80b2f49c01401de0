import { words } from '../../model/message.ts';
import type { PluginFile } from '../../model/node-report.ts';
import type { NodeView } from '../../view/node-view.ts';
import { chainPlugins } from '../../view/plugin-files.ts';
import { nodeEventEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  file: PluginFile;
}

const EXECUTABLE = 0o111;

export const pluginNotExecutable = defineFailure<Data>({
  code: 'plugin-not-executable',
  stage: 'installed',
  severity: 'broken',
  title: 'a plugin of the chain is not executable',
  explanation:
    'The plugin is installed, but its mode lacks the execute permission: it was unpacked, copied or mounted without it. The runtime reports ' +
    '`permission denied` for every new pod.',
  remedy: 'Make it executable (`chmod 0755`). The runtime retries by itself.',
  restart: 'no',
  sources: ['projectcalico/cni-plugin#343'],
  mutedBy: [],

  detect(scene) {
    return chainPlugins(scene.nodes.values()).flatMap(({ node, type, file }): Detection<Data>[] => {
      if (file === undefined || (Number.parseInt(file.mode, 8) & EXECUTABLE) !== 0) return [];
      const path = `${file.directory}/${file.name}`;
      return [
        {
          subject: { node: node.name },
          message: words('plugin {plugin} of {node} is not executable (mode {mode})', {
            plugin: type,
            node: node.name,
            mode: file.mode,
          }),
          evidence: [
            { kind: 'file', where: path, saw: `mode ${file.mode}` },
            ...nodeEventEvidence(scene, node, /permission denied/),
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
          why: `make ${file.name} executable`,
          action: { do: 'set-mode', path: `${file.directory}/${file.name}`, mode: '0755' },
        },
      ],
    };
  },

  page: {
    see: 'Pods stay in ContainerCreating; the event says `permission denied`.',
    why: 'Common causes: an archive unpacked with a restrictive umask, `kubectl cp`, a ConfigMap mounted without `defaultMode`.',
    check: {
      run: ['ls -l /opt/cni/bin'],
      look: 'A plugin of the chain has no `x` in its mode.',
    },
    fix:
      'Run `chmod 0755` on it. If all plugins have `x` and the error persists, look for a mount with `noexec` (`findmnt -T ' +
      '/opt/cni/bin`).',
  },
});
