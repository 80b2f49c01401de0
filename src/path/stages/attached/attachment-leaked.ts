import { words } from '../../model/message.ts';
import type { NodeView } from '../../view/node-view.ts';
import { isGone, type OwnedMapping, ownedMappings } from '../../view/owned-mappings.ts';
import { hiddenBy } from '../../view/traces.ts';
import { ruleEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  mapping: OwnedMapping;
}

export const attachmentLeaked = defineFailure<Data>({
  code: 'attachment-leaked',
  stage: 'attached',
  severity: 'risk',
  leftover: true,
  title: 'a mapping of a deleted sandbox was left behind',
  explanation:
    'The rules of a pod are removed when its chain runs DEL. When DEL fails, or the configuration has changed since (portmap removed, another ' +
    'network name), the rules stay forever: the port leads to an address that the next pod may get.',
  remedy: 'Remove the orphaned mapping.',
  restart: 'no',
  sources: [
    'rancher/rke#2999',
    'containernetworking/plugins#752',
    'containernetworking/plugins#683',
    'containerd/containerd#12923',
  ],
  mutedBy: [],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node) => {
      const gone = [...(ownedMappings(node)?.values() ?? [])].filter(({ owner }) => isGone(node, owner));
      if (gone.length === 0) return [];
      // Whose DEL the runtime still remembers is another matter (delete-aborted), and so is one in a live pod's way (mapping-stale).
      const cached = new Set(node.attachments?.map(({ containerId }) => containerId));
      const hiding = new Set(scene.pathsOn(node).map((path) => hiddenBy(path, scene)));
      return gone.flatMap((mapping): Detection<Data>[] => {
        const { owner, entries } = mapping;
        if (cached.has(owner.containerId) || hiding.has(owner.containerId)) return [];
        return [
          {
            subject: { node: node.name },
            message: words(
              '{node} still maps ports to container {container} of network {network}, which is gone',
              { node: node.name, container: owner.containerId.slice(0, 13), network: owner.networkName },
            ),
            evidence: ruleEvidence(node, entries),
            data: { node, mapping },
          },
        ];
      });
    });
  },

  heal: ({ data: { node, mapping } }) => ({
    by: 'steps',
    steps: [
      {
        on: 'node',
        node: node.name,
        why: `remove the leftover rules of ${mapping.owner.containerId.slice(0, 13)}`,
        action: {
          do: 'detach',
          networkName: mapping.owner.networkName,
          containerId: mapping.owner.containerId,
          ifName: mapping.owner.ifName ?? 'eth0',
        },
      },
    ],
  }),

  page: {
    see:
      'Nothing yet, or connections that hang: the port of a deleted pod still leads to its address. The next pod that gets this ' +
      'address receives traffic that is not meant for it.',
    why:
      'DEL runs the chain as it is configured at that time, not as it was at ADD: a removed portmap, a renamed network or a failing ' +
      'plugin leaves the rules behind. The reference portmap finds its chain by network name and container ID and needs both.',
    check: {
      run: ['iptables -w -t nat -S CNI-HOSTPORT-DNAT', 'hostport node-report -o yaml'],
      look: "A line whose `id:` is not among the report's `sandboxes`.",
    },
    fix:
      'Delete the line and its `CNI-DN-…` chain, or run DEL with the network name and container ID from the comment. GC of CNI 1.1 ' +
      'does this for all.',
  },
});
