import { words } from '../../model/message.ts';
import type { MountSeen, PluginFile } from '../../model/node-report.ts';
import type { NodeView } from '../../view/node-view.ts';
import { chainPlugins } from '../../view/plugin-files.ts';
import { nodeEventEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  /** Those that cannot be run: one by its mode, or all that lie on a mount. */
  files: PluginFile[];
  /** The mount that lets no program run, whatever its mode. */
  mount: MountSeen | undefined;
}

const EXECUTABLE = 0o111;

export const pluginNotExecutable = defineFailure<Data>({
  code: 'plugin-not-executable',
  stage: 'installed',
  severity: 'broken',
  title: 'a plugin of the chain is not executable',
  explanation:
    'The plugin is installed, but its mode lacks the execute permission (it was unpacked, copied or mounted without it), or its directory is on a ' +
    'mount with the option `noexec`, as hardening guides demand for several. The runtime reports `permission denied` for every new pod.',
  remedy: 'Make it executable (`chmod 0755`). The runtime retries by itself.',
  restart: 'no',
  sources: [
    'projectcalico/cni-plugin#343',
    'projectcalico/cni-plugin#891',
    'https://man7.org/linux/man-pages/man8/mount.8.html (noexec)',
  ],
  mutedBy: [],

  detect(scene) {
    const found = chainPlugins(scene.nodes.values()).flatMap(({ node, file }): Data[] => {
      if (file === undefined) return [];
      if ((Number.parseInt(file.mode, 8) & EXECUTABLE) === 0)
        return [{ node, files: [file], mount: undefined }];
      const mount = mountWithoutPrograms(file, node);
      return mount === undefined ? [] : [{ node, files: [file], mount }];
    });
    // One mount is one cause, however many plugins lie on it.
    const causes = Map.groupBy(found, ({ node, files: [file], mount }) =>
      [node.name, mount?.point ?? file!.name, mount === undefined].join(' '),
    );
    return [...causes.values()].map((same): Detection<Data> => {
      const [{ node, mount }] = same as [Data, ...Data[]];
      const files = same.flatMap((entry) => entry.files);
      const names = { plugins: files.map(({ name }) => name), node: node.name };
      return {
        subject: { node: node.name },
        message:
          mount === undefined
            ? words('plugin {plugin} of {node} is not executable (mode {mode})', {
                plugin: files[0]!.name,
                node: node.name,
                mode: files[0]!.mode,
              })
            : words(
                '{plugins:plugin|plugins} {plugins:and} of {node} cannot be run: {mount} is mounted with {option}',
                { ...names, mount: mount.point, option: 'noexec' },
              ),
        evidence: [
          ...files.map(({ directory, name, mode }) => ({
            kind: 'file' as const,
            where: `${directory}/${name}`,
            saw: `mode ${mode}`,
          })),
          ...(mount === undefined
            ? []
            : [{ kind: 'file' as const, where: `mount of ${mount.point}`, saw: `${mount.source}, noexec` }]),
          ...nodeEventEvidence(scene, node, /permission denied/),
        ],
        ...(mount === undefined ? {} : { remedy: `${remount(mount)}. The runtime retries by itself.` }),
        data: { node, files, mount },
      };
    });
  },

  heal({ data: { node, files, mount } }) {
    if (mount !== undefined) {
      return {
        by: 'hand',
        why: `the option is in ${node.name}'s /etc/fstab or in the unit that mounts ${mount.point}, and hardening guides demand it: mount it with exec (mount -o remount,exec ${mount.point}) there, too`,
      };
    }
    return {
      by: 'steps',
      steps: files.map(({ directory, name }) => ({
        on: 'node',
        node: node.name,
        why: `make ${name} executable`,
        action: { do: 'set-mode', path: `${directory}/${name}`, mode: '0755' },
      })),
    };
  },

  page: {
    see: 'Pods stay in ContainerCreating; the event says `permission denied`.',
    why:
      'Common causes: an archive unpacked with a restrictive umask, `kubectl cp`, a ConfigMap mounted without `defaultMode`; or `/opt` on a file ' +
      'system of its own that is mounted with `noexec`.',
    check: {
      run: ['ls -l /opt/cni/bin', 'grep noexec /proc/self/mountinfo'],
      look: 'A plugin of the chain has no `x` in its mode, or its directory is on one of the mounts that are listed.',
    },
    fix:
      'Run `chmod 0755` on it. Where the mount has `noexec`, run `mount -o remount,exec` with its path and remove the option from `/etc/fstab`, or ' +
      'let the runtime use another directory.',
  },
});

/** The mount that a plugin lies on, where that lets no program run. Of a link that leads elsewhere, the mount is not known. */
function mountWithoutPrograms(
  { directory, name, target }: PluginFile,
  node: NodeView,
): MountSeen | undefined {
  if (target?.includes('/')) return undefined;
  const mount = node.mountOf(`${directory}/${name}`);
  return mount?.noExec ? mount : undefined;
}

function remount({ point }: MountSeen): string {
  return `Mount ${point} with exec (mount -o remount,exec ${point}), also in /etc/fstab`;
}
