import type { Evidence } from '../../model/finding.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { isWayClear } from '../../view/clear-way.ts';
import { shutOutBy } from '../../view/network-policy.ts';
import type { NodeView } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { AWAY, answered, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import { routeToNeighbour } from '../../view/routing.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { neighbourOf } from '../../view/traces.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const offNodeBlocked = defineFailure<null>({
  code: 'off-node-blocked',
  stage: 'answered',
  severity: 'broken',
  title: 'packets from other machines do not reach the mapping',
  explanation:
    'From the node itself the port answers, and no rule that can be followed on the node blocks it; yet packets from other machines never arrive ' +
    'where they would be translated. They are dropped earlier: by a cloud firewall or security group, by a firewall between the machines, or by a ' +
    'program at the device (tc, XDP), which no list of rules shows.',
  remedy: 'Open the port to the clients in the firewall in front of the node.',
  restart: 'no',
  sources: ['https://agones.dev/site/docs/installation/creating-cluster/gke/ (creating the firewall)'],
  mutedBy: ['policy-denied', 'rp-filter-strict', 'ip-forward-off', 'packet-dropped', 'reply-misrouted'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { port, subject } = path;
      if (!isNeverSeen(path, scene)) return [];
      const node = path.node!;
      return [
        {
          subject,
          message: words(
            'packets from other machines to {port} of {pod} never arrive at {node}, whose own connections work',
            { port: formatPort(port), pod: podName(subject.pod!), node: node.name },
          ),
          evidence: [
            ...programEvidence(node, path, scene),
            ...beyondEvidence(node),
            ...probeEvidence(probesFrom(path, ['direct', 'node', ...AWAY])),
          ],
          data: null,
        },
      ];
    });
  },

  heal: () => ({
    by: 'hand',
    why: 'firewalls block ports on purpose, and most are not on the node: the owner of the firewall must open the port',
  }),

  page: {
    see:
      'Connections from other machines time out; those from the node itself work. The counters of the mapping do not change when ' +
      'other machines connect.',
    why:
      'Security groups and cloud firewalls block all ports that are not listed. On the node itself, a filter of tc, XDP or an eBPF host ' +
      'firewall have the same effect before any translation. A rule of iptables or nftables that does so is [packet-dropped](packet-dropped.md).',
    check: {
      run: ['iptables -w -t nat -vnL CNI-HOSTPORT-DNAT', 'nft list ruleset'],
      look:
        "While another machine connects, the counter of the port's rule does not change. `tcpdump -ni eth0 port 80` on the node " +
        'shows where the packets are dropped: if it shows them, they are dropped on the node, otherwise before it.',
    },
    fix: 'Open the port for the clients: security group, firewall, host firewall.',
  },
});

/**
 * Whether the node works for itself, and no probe of another machine left a trace in its connection tracking. Where that was not read, or not
 * for these probes, it is unknown how far they came.
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

/** The XDP program of the device by which other machines' packets come in: it may drop them, and no rule shows it. */
function programEvidence(node: NodeView, path: PathView, scene: Scene): Evidence[] {
  const neighbour = neighbourOf(path, scene);
  const device = neighbour === undefined ? undefined : routeToNeighbour(node, neighbour)?.device;
  const link = known(node.seen!.network.links)?.find(({ name }) => name === device);
  return link?.xdpProgram === undefined
    ? []
    : [
        {
          kind: 'object',
          where: `device ${link.name} of ${node.name}`,
          saw: `XDP program ${link.xdpProgram}, before all rules`,
        },
      ];
}

/** Rules at devices of the node, before all others, that are not known to drop anything: their conditions may not be followed. */
function beyondEvidence(node: NodeView): Evidence[] {
  const { atDevices, beyond } = known(node.ruleset)!;
  const followed = atDevices.flatMap(({ table }) =>
    [...table.chains.values()].flatMap(({ name, base, rules }) =>
      base === undefined ? [] : [{ table: table.name, chain: name, rules: rules.length }],
    ),
  );
  return [...followed, ...beyond.filter(({ hook }) => hook === 'ingress')]
    .filter(({ rules }) => rules > 0)
    .map(({ table, chain, rules }) => ({
      kind: 'rule' as const,
      where: `nft ${table} ${chain}`,
      saw: `${rules} ${rules === 1 ? 'rule' : 'rules'} at ingress, not known to drop anything`,
    }));
}
