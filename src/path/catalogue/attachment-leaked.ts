import { editActiveList, restoreConfDir, snapshotConfDir, withoutPortmap } from '../conf-dir.ts';
import { ruleEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { removeMapping } from '../mapping-faults.ts';
import type { NodeView } from '../node-view.ts';
import { isGone, type OwnedMapping, ownedMappings } from '../owned-mappings.ts';
import { echoPod } from '../pod-of.ts';
import { hiddenBy } from '../traces.ts';

interface Data {
  node: NodeView;
  mapping: OwnedMapping;
}

const LEAVER = 'leaves-its-mapping';
const PORT = 8093;

export const attachmentLeaked = defineFailure<Data>({
  code: 'attachment-leaked',
  stage: 'attached',
  severity: 'risk',
  leftover: true,
  title: 'a mapping of a sandbox that is gone was left behind',
  explanation:
    'The rules of a pod are removed when its chain runs DEL. When that fails, or the chain has changed meanwhile (portmap taken out, another network ' +
    'name), they stay for ever: the port goes to an address that the next pod may get.',
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
      const others = new Set([
        ...(node.attachments ?? []).map(({ containerId }) => containerId),
        ...scene.pathsOn(node).flatMap((path) => hiddenBy(path, scene) ?? []),
      ]);
      return gone.flatMap((mapping): Detection<Data>[] => {
        const { owner, entries } = mapping;
        if (others.has(owner.containerId)) return [];
        return [
          {
            subject: { node: node.name },
            message: `${node.name} still maps ports to container ${owner.containerId.slice(0, 13)} of network ${owner.network}, which is gone`,
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
        why: `remove what was left of ${mapping.owner.containerId.slice(0, 13)}`,
        action: {
          do: 'detach',
          networkName: mapping.owner.network,
          containerId: mapping.owner.containerId,
          ifName: mapping.owner.ifName ?? 'eth0',
        },
      },
    ],
  }),

  fault: {
    does: 'makes a pod, takes portmap out of the configuration while the pod is deleted, and puts it back',
    remember: (door, { node }) => snapshotConfDir(door, node),
    async inject(door, target) {
      const before = await snapshotConfDir(door, target.node);
      const pod = { ...target.pod, name: LEAVER };
      await door.apply([echoPod(target, LEAVER, [{ hostPort: PORT, containerPort: 8080, protocol: 'TCP' }])]);
      await door.untilRunning({ ...target, pod });
      await editActiveList(door, target.node, withoutPortmap);
      await door.remove('Pod', pod.namespace, LEAVER);
      await door.untilNoSandbox({ ...target, pod });
      await restoreConfDir(door, target.node, before);
    },
    async restore(door, target, memo) {
      await restoreConfDir(door, target.node, memo);
      await door.remove('Pod', target.pod.namespace, LEAVER);
      await removeMapping(door, target, PORT);
    },
  },
});
