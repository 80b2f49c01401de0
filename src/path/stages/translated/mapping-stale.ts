import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { NodeView } from '../../view/node-view.ts';
import { isGone, mappingOwner, ownedMappings, ownerKey } from '../../view/owned-mappings.ts';
import { podName } from '../../view/pod-name.ts';
import { takerOf } from '../../view/traces.ts';
import { ruleEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  networkName: string;
  containerId: string;
  ifName: string | undefined;
}

export const mappingStale = defineFailure<Data>({
  code: 'mapping-stale',
  stage: 'translated',
  severity: 'broken',
  title: "the mapping of a deleted sandbox takes the live pod's packets",
  explanation:
    'The first mapping of a port wins, and the mapping of a deleted sandbox was never removed. Packets go to its address, which is unused or ' +
    'belongs to another pod by now; the live pod has a mapping too, but never receives a packet.',
  remedy: 'Remove the mapping of the deleted sandbox.',
  restart: 'no',
  sources: ['rancher/rke#2999', 'projectcalico/calico#3412', 'containernetworking/plugins#269'],
  mutedBy: [],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { sandbox, port, subject } = path;
      const taker = takerOf(path, scene);
      const owner = taker && mappingOwner(taker);
      if (sandbox === undefined || owner === undefined) return [];
      const node = path.node!;
      const { networkName, containerId, ifName } = owner;
      if (!isGone(node, owner)) return [];
      return [
        {
          subject,
          message: words('{port} of {node} goes to container {container}, which is gone, and not to {pod}', {
            port: formatPort(port),
            node: node.name,
            container: containerId.slice(0, 13),
            pod: podName(subject.pod!),
          }),
          evidence: ruleEvidence(node, ownedMappings(node)?.get(ownerKey(owner))?.entries ?? []),
          data: { node, networkName, containerId, ifName },
        },
      ];
    });
  },

  heal: ({ data: { node, networkName, containerId, ifName } }) => ({
    by: 'steps',
    steps: [
      {
        on: 'node',
        node: node.name,
        why: `remove the mapping of ${containerId.slice(0, 13)}, which is gone`,
        action: { do: 'detach', networkName, containerId, ifName: ifName ?? 'eth0' },
      },
    ],
  }),

  page: {
    see: 'Connections to the port hang or another pod answers, although the pod is Running and has a mapping.',
    why: 'DEL left a mapping with the same port behind. The reference portmap appends its rules, so the older one comes first.',
    check: {
      run: ['iptables -w -t nat -S CNI-HOSTPORT-DNAT'],
      look: 'Two lines have the same `--dports`; the ID of the first does not belong to a sandbox of the node.',
    },
    fix: 'Delete the first line (`iptables -w -t nat -D CNI-HOSTPORT-DNAT 1`) and its chain. Restarting the new pod does not help.',
  },
});
