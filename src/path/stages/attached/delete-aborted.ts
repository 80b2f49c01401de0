import { type Message, words } from '../../model/message.ts';
import type { CachedAttachment } from '../../model/node-report.ts';
import { known } from '../../model/observed.ts';
import { leftOf } from '../../view/left-behind.ts';
import type { NodeView } from '../../view/node-view.ts';
import { sandboxIds } from '../../view/owned-mappings.ts';
import { excerpt } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  attachment: CachedAttachment;
}

const GONE =
  '{node} still has a cached attachment of container {container} to {network}, whose sandbox is gone';

/** The message, with what the node still has of it. */
function messageOf(node: NodeView, attachment: CachedAttachment): Message {
  const { containerId, networkName: network } = attachment;
  const args = { node: node.name, container: containerId.slice(0, 13), network };
  const left = leftOf(node, attachment);
  return left.length === 0 ? words(GONE, args) : words(`${GONE}; left of it: {left}`, { ...args, left });
}

export const deleteAborted = defineFailure<Data>({
  code: 'delete-aborted',
  stage: 'attached',
  severity: 'risk',
  leftover: true,
  title: 'an attachment was not completely deleted',
  explanation:
    'To delete an attachment, a runtime runs DEL from the last plugin of the chain to the first, and stops when one fails or when the runtime ' +
    'itself is killed. What the other plugins hold is never released: addresses, links, rules. The runtime forgets the sandbox; only its cached ' +
    'result remains.',
  remedy: 'Run DEL for the attachments whose sandbox no longer exists, and GC.',
  restart: 'no',
  sources: [
    'containerd/containerd#12130',
    'containerd/go-cni#60',
    'https://www.cni.dev/docs/spec/#gc-clean-up-any-stale-resources',
  ],
  mutedBy: [],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node) => {
      const found = node.attachments?.flatMap((attachment): Detection<Data>[] => {
        const { containerId, networkName, file, ifName } = attachment;
        if (sandboxIds(node)?.has(containerId) !== false) return [];
        // While its namespace exists, the sandbox is being created or deleted: a runtime lists it only once it is created.
        if (attachment.netnsExists) return [];
        // Other runtimes store their results in the same place: only networks of this one count.
        if (ifName === 'lo' || known(node.active?.list)?.name !== networkName) return [];
        return [
          {
            subject: { node: node.name },
            message: messageOf(node, attachment),
            evidence: [{ kind: 'result', where: file, saw: excerpt(JSON.stringify(attachment.result)) }],
            data: { node, attachment },
          },
        ];
      });
      return found ?? [];
    });
  },

  heal: ({ data: { node } }) => ({
    by: 'steps',
    steps: [
      {
        on: 'node',
        node: node.name,
        why: `release what deleted sandboxes held on ${node.name}`,
        action: { do: 'collect', config: node.active!.path },
      },
    ],
  }),

  page: {
    see: 'Nothing at first; later the node runs out of pod addresses (`no IP addresses available in range set`).',
    why: 'containerd does not resume a DEL that was interrupted. With host-local, for example, the address stays allocated.',
    check: {
      run: ['ls /var/lib/cni/results', 'ls /var/run/netns', 'hostport node-report -o yaml'],
      look: "There is a cache entry whose container ID is not among the report's `sandboxes`.",
    },
    fix:
      'The finding names the links, routes and mappings that are left. Run DEL again with the cached configuration, or GC of the list with the IDs that are still in use: `hostport cni gc --conf ' +
      'FILE --valid ID/eth0`.',
  },
});
