import { resultFields } from '../../../cni/result.ts';
import { cniVersions, compareVersions } from '../../../cni/version.ts';
import { listDocument, writeConfig } from '../../heal/conf-plans.ts';
import { words } from '../../model/message.ts';
import type { ConfigFile, NodeView } from '../../view/node-view.ts';
import { chainVersions, effectiveVersion, type PluginVersions } from '../../view/plugin-versions.ts';
import { fileEvidence, nodeEventEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  file: ConfigFile;
  /** A version that every plugin of the chain supports. */
  common: string | undefined;
}

export const cniVersionUnsupported = defineFailure<Data>({
  code: 'cni-version-unsupported',
  stage: 'configured',
  severity: 'broken',
  title: 'the configuration uses a CNI version that its plugins do not support',
  explanation:
    '`cniVersion` sets the version of the CNI specification that the runtime uses with the plugins of a configuration. A plugin that does not ' +
    'support that version fails (`incompatible CNI versions`), and no pod can start.',
  remedy: 'Set `cniVersion` to one that every plugin of the chain supports, or replace the plugins.',
  restart: 'no',
  sources: ['containernetworking/plugins#359', 'https://www.cni.dev/docs/spec/#version-negotiation'],
  mutedBy: ['conflist-shadowed', 'conflist-renamed'],
  ofFirstConfig: true,

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const plugins = chainVersions(node);
      if (plugins === undefined) return [];
      // Both are known where the chain is.
      const [file, wanted] = [node.active!, effectiveVersion(node)!];
      const lacking = plugins.filter(({ versions }) => !versions.includes(wanted));
      // When only portmap lacks the version, it must be replaced: plugin-too-old.
      if (lacking.every(({ type }) => type === 'portmap')) return [];
      const common = commonVersion(node, plugins);
      return [
        {
          subject: { node: node.name },
          message: words(
            '{file} of {node} uses CNI {version}, which {plugins:and} {plugins:does|do} not support',
            { file: file.name, node: node.name, version: wanted, plugins: lacking.map(({ type }) => type) },
          ),
          evidence: [
            fileEvidence(file),
            ...lacking.map(({ type, path, versions }) => ({
              kind: 'file' as const,
              where: path,
              saw: `${type} supports ${versions.join(', ')}`,
            })),
            ...nodeEventEvidence(scene, node, /incompatible CNI versions|unsupported CNI/i),
          ],
          data: { node, file, common },
        },
      ];
    });
  },

  heal({ data: { node, file, common } }) {
    if (common === undefined) {
      return {
        by: 'hand',
        why: 'the plugins of the chain have no version in common: one of them must be replaced',
      };
    }
    const document = { ...listDocument(file), cniVersion: common };
    return {
      by: 'steps',
      steps: [
        writeConfig(node, file.path, document, `use CNI ${common}, which every plugin of the chain supports`),
      ],
    };
  },

  page: {
    see: 'Pods stay in ContainerCreating; the event says `incompatible CNI versions` and names both versions.',
    why:
      'The `cniVersion` of the list applies to every plugin of the chain. A list copied from newer documentation, or a downgraded ' +
      'primary plugin, leads to a version that the plugins on the node do not support. When only portmap does not support it, the ' +
      'finding is [plugin-too-old](plugin-too-old.md).',
    check: {
      run: [
        'grep cniVersion -r /etc/cni/net.d',
        'env CNI_COMMAND=VERSION /opt/cni/bin/portmap',
        'env CNI_COMMAND=VERSION /opt/cni/bin/cilium-cni',
      ],
      look: "The list's version is not among `supportedVersions` of each plugin.",
    },
    fix: 'Set `cniVersion` to the newest version that all of them support, or replace the plugins.',
  },
});

/** The newest version that every runtime with a library of the specification 1.0 supports, containerd 1.6 among them. */
const NEWEST_EVERYWHERE = '1.0.0';

/**
 * A version that every plugin of the chain and the runtime support: one that an attachment on the node used, or else the newest that all runtimes
 * support.
 */
function commonVersion(node: NodeView, plugins: readonly PluginVersions[]): string | undefined {
  const common = cniVersions.filter((version) => plugins.every(({ versions }) => versions.includes(version)));
  const proven = new Set(node.attachments?.map(({ result }) => resultFields(result)?.cniVersion));
  return (
    common.findLast((version) => proven.has(version)) ??
    common.findLast((version) => compareVersions(version, NEWEST_EVERYWHERE) <= 0)
  );
}
