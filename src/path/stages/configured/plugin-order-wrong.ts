import { listDocument, writeConfig } from '../../heal/conf-plans.ts';
import { isPortmap, withoutPortmap } from '../../heal/list-document.ts';
import { words } from '../../model/message.ts';
import type { ConfigFile, NodeView } from '../../view/node-view.ts';
import { fileEvidence, nodeEventEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  file: ConfigFile;
}

export const pluginOrderWrong = defineFailure<Data>({
  code: 'plugin-order-wrong',
  stage: 'configured',
  severity: 'broken',
  title: 'portmap is the first plugin of the chain',
  explanation:
    'portmap maps ports to the address that an earlier plugin assigned to the pod. As the first plugin of the chain it has no address to map ' +
    'to, and every pod with a hostPort fails (`must be called as chained plugin`).',
  remedy: 'Move portmap behind the plugin that assigns the address.',
  restart: 'no',
  sources: [
    'https://www.cni.dev/docs/spec/#section-2-execution-protocol (prevResult)',
    'containernetworking/plugins portmap',
  ],
  mutedBy: ['conflist-shadowed', 'conflist-renamed'],
  ofFirstConfig: true,

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const { chain } = node;
      if (chain?.[0]?.type !== 'portmap') return [];
      const file = node.active!;
      return [
        {
          subject: { node: node.name },
          message: words('{file} of {node} runs portmap first ({plugins})', {
            file: file.name,
            node: node.name,
            plugins: chain.map(({ type }) => type),
          }),
          evidence: [
            fileEvidence(file),
            ...nodeEventEvidence(scene, node, /must be called as (a )?chained plugin/),
          ],
          data: { node, file },
        },
      ];
    });
  },

  heal({ data: { node, file } }) {
    const document = listDocument(file);
    const others = withoutPortmap(document).plugins;
    if (others.length === 0) {
      return {
        by: 'hand',
        why: `${file.name} has no plugin that assigns addresses, and hostport cannot choose one for ${node.name}`,
      };
    }
    const plugins = [...others, ...document.plugins.filter(isPortmap)];
    return {
      by: 'steps',
      steps: [writeConfig(node, file.path, { ...document, plugins }, 'move portmap behind the others')],
    };
  },

  page: {
    see: 'Pods stay in ContainerCreating; the event says `must be called as chained plugin`.',
    why: "portmap reads the pod's address from `prevResult`, the result of the plugins before it.",
    check: {
      run: [
        'cat /etc/cni/net.d/000-cilium-portmap.conflist',
        'kubectl get events -A --field-selector reason=FailedCreatePodSandBox',
      ],
      look: 'portmap is the first entry of `plugins`.',
    },
    fix: 'Move it behind the plugin that assigns the address.',
  },
});
