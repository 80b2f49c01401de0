import { attachmentChain, DNAT_CHAIN } from '../../plugins/portmap/rules.ts';
import { ruleEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { formatPort } from '../host-ports.ts';
import type { NodeView } from '../node-view.ts';
import { isGone, ownedMappings, ownerKey } from '../owned-mappings.ts';
import { podName } from '../pod-of.ts';
import { iptablesIn, puttingBackTable } from '../table-faults.ts';
import { takerOf } from '../traces.ts';

interface Data {
  node: NodeView;
  networkName: string;
  containerId: string;
  ifName: string | undefined;
}

/** A container that never was, and an address for documentation (RFC 5737) at the discard port. */
const DEAD = { id: 'dead'.repeat(16), target: '192.0.2.9:9' };

export const mappingStale = defineFailure<Data>({
  code: 'mapping-stale',
  stage: 'translated',
  severity: 'broken',
  title: "a dead sandbox's mapping takes the live pod's packets",
  explanation:
    'The first mapping of a port wins, and the mapping of a sandbox that is gone was never removed. Packets go to its address, which nobody has or ' +
    'somebody else has got since; the live pod has a mapping too, and never sees a packet.',
  remedy: "Remove the dead sandbox's mapping.",
  restart: 'no',
  sources: ['rancher/rke#2999', 'projectcalico/calico#3412', 'containernetworking/plugins#269'],
  mutedBy: [],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { node, sandbox, port, subject } = path;
      const taker = takerOf(path, scene);
      if (node === undefined || sandbox === undefined || taker?.owner === undefined) return [];
      const { network, containerId, ifName } = taker.owner;
      if (containerId === sandbox.id || !isGone(node, taker.owner)) return [];
      return [
        {
          subject,
          message: `${formatPort(port)} of ${node.name} goes to container ${containerId.slice(0, 13)}, which is gone, and not to ${podName(subject.pod!)}`,
          evidence: ruleEvidence(node, ownedMappings(node)?.get(ownerKey(taker.owner))?.entries ?? []),
          data: { node, networkName: network, containerId, ifName },
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

  fault: {
    does: "puts the mapping of a container that is gone before the pod's, as the reference portmap leaves it",
    ...puttingBackTable('nat'),
    async inject(door, { node, port: { hostPort } }) {
      const nat = (...words: string[]) => iptablesIn(door, node, 'nat', ...words);
      const port = String(hostPort);
      const network = (await nat('-S', DNAT_CHAIN)).match(/dnat name: \\"([^"\\]+)\\"/)?.[1];
      if (network === undefined) throw new Error(`node ${node}: ${DNAT_CHAIN} names no network`);
      const chain = attachmentChain(network, DEAD.id);
      await nat('-N', chain);
      await nat(
        ...['-A', chain, '-p', 'tcp', '--dport', port, '-j', 'DNAT', '--to-destination', DEAD.target],
      );
      await nat(
        ...['-I', DNAT_CHAIN, '1', '-p', 'tcp'],
        ...['-m', 'comment', '--comment', `dnat name: "${network}" id: "${DEAD.id}"`],
        ...['-m', 'multiport', '--dports', port, '-j', chain],
      );
    },
  },
});
