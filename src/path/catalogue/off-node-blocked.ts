import { isWayClear } from '../clear-way.ts';
import { type Detection, defineFailure } from '../failure.ts';
import type { FaultDoor, FaultTarget } from '../fault.ts';
import { formatPort } from '../host-ports.ts';
import { shutOutBy } from '../network-policy.ts';
import { known } from '../observed.ts';
import { podName } from '../pod-of.ts';
import { AWAY, answered, probeEvidence, probesFrom } from '../probe-facts.ts';
import type { PathView, Scene } from '../scene.ts';
import { endEvidence, endOf, type TraceEnd } from '../trace-end.ts';
import { traceFrom } from '../traces.ts';

/** The table of the fault: at the device itself, where no chain of the node's firewall sees what is dropped. */
const TABLE = 'hostport_fault';

export const offNodeBlocked = defineFailure<null>({
  code: 'off-node-blocked',
  stage: 'answered',
  severity: 'broken',
  title: 'packets of other machines do not get as far as the mapping',
  explanation:
    'From the node itself the port answers, and nothing on the node stands in the way; yet packets of other machines never show up where they would be translated. They are ' +
    "dropped before: by a cloud's firewall or security group, by a firewall between the machines, or by a filter of the node that comes before translation.",
  remedy: 'Open the port to the clients in the firewall that is in front of the node.',
  restart: 'no',
  sources: ['https://agones.dev/site/docs/installation/creating-cluster/gke/ (creating the firewall)'],
  mutedBy: ['policy-denied', 'rp-filter-strict'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { node, port, subject } = path;
      if (node === undefined) return [];
      const end = filteredBefore(path, scene);
      if (end === undefined && !isNeverSeen(path, scene)) return [];
      const whom = `${formatPort(port)} of ${podName(subject.pod!)}`;
      return [
        {
          subject,
          message:
            end === undefined
              ? `what other machines send to ${whom} never arrives at ${node.name}, whose own connections work`
              : `${node.name} ${end.verdict}s what other machines send to ${whom} before it is translated`,
          evidence: [
            ...(end === undefined ? beyondEvidence(path) : [endEvidence(end)]),
            ...probeEvidence(probesFrom(path, ['direct', 'node', ...AWAY])),
          ],
          data: null,
        },
      ];
    });
  },

  heal: () => ({
    by: 'hand',
    why: 'a firewall that shuts a port is meant to, and most are not on the node: its owner has to open it',
  }),

  fault: {
    does: "drops what other machines send to the port at the node's device, before any rule of iptables, as a cloud's firewall does",
    async inject(door, target) {
      const { node, port } = target;
      const device = await deviceOf(door, target);
      const chain = `{ type filter hook ingress device "${device}" priority 0; policy accept; }`;
      await door.run(node, ['nft', '-f', '-'], {
        stdin: [
          `add table netdev ${TABLE}`,
          `add chain netdev ${TABLE} ingress ${chain}`,
          `add rule netdev ${TABLE} ingress ${port.protocol.toLowerCase()} dport ${port.hostPort} drop`,
          '',
        ].join('\n'),
      });
    },
    async restore(door, { node }) {
      // Added first, so that it can be deleted whether it was there or not.
      await door.run(node, ['nft', '-f', '-'], {
        stdin: `add table netdev ${TABLE}\ndelete table netdev ${TABLE}\n`,
      });
    },
  },
});

/** A drop at the first hook, where packets are still on their way to the translation. */
function filteredBefore(path: PathView, scene: Scene): TraceEnd | undefined {
  const trace = traceFrom('outside', path, scene);
  const end = 'value' in trace ? endOf(trace.value) : undefined;
  return end?.base.base.hook === 'prerouting' ? end : undefined;
}

/**
 * Whether the node works for itself, and no probe of another machine left a trace in its connection tracking. Where that was not read, or not
 * of these probes, nothing tells how far they came.
 */
function isNeverSeen(path: PathView, scene: Scene): boolean {
  const away = probesFrom(path, AWAY);
  return (
    away.length > 0 &&
    away.every(({ outcome, tracked }) => outcome === 'timeout' && tracked === false) &&
    answered(path, 'node') &&
    isWayClear(path, scene) &&
    shutOutBy(path, scene) === undefined
  );
}

/** Rules that are on the node and before those that are followed: at a device, for one. */
function beyondEvidence({ node }: PathView) {
  return (known(node?.ruleset)?.beyond ?? [])
    .filter(({ hook, rules }) => hook === 'ingress' && rules > 0)
    .map(({ family, table, chain, rules }) => ({
      kind: 'rule' as const,
      where: `nft ${family} ${table} ${chain}`,
      saw: `${rules} ${rules === 1 ? 'rule' : 'rules'} at ingress, not looked into`,
    }));
}

/** The device that has the node's address. */
async function deviceOf(door: FaultDoor, { node, nodeAddress }: FaultTarget): Promise<string> {
  const shown = await door.run(node, ['ip', '-o', 'address', 'show', 'to', `${nodeAddress}/32`]);
  const device = shown.match(/^\d+: (\S+)/)?.[1];
  if (device === undefined) throw new Error(`node ${node}: no device has ${nodeAddress}`);
  return device;
}
