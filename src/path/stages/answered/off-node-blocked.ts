import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { isWayClear } from '../../view/clear-way.ts';
import { shutOutBy } from '../../view/network-policy.ts';
import type { NodeView } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { AWAY, answered, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { endEvidence, endOf, type TraceEnd } from '../../view/trace-end.ts';
import { traceFrom } from '../../view/traces.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const offNodeBlocked = defineFailure<TraceEnd | undefined>({
  code: 'off-node-blocked',
  stage: 'answered',
  severity: 'broken',
  title: 'packets from other machines do not reach the mapping',
  explanation:
    'From the node itself the port answers, and nothing on the node blocks it; yet packets from other machines never arrive where they would be ' +
    'translated. They are dropped earlier: by a cloud firewall or security group, by a firewall between the machines, or by a filter on the ' +
    'node that runs before translation.',
  remedy: 'Open the port to the clients in the firewall in front of the node.',
  restart: 'no',
  sources: ['https://agones.dev/site/docs/installation/creating-cluster/gke/ (creating the firewall)'],
  mutedBy: ['policy-denied', 'rp-filter-strict', 'ip-forward-off'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<TraceEnd | undefined>[] => {
      const { port, subject } = path;
      const end = filteredBefore(path, scene);
      if (end === undefined && !isNeverSeen(path, scene)) return [];
      const node = path.node!;
      const names = { port: formatPort(port), pod: podName(subject.pod!), node: node.name };
      return [
        {
          subject,
          message:
            end === undefined
              ? words(
                  'packets from other machines to {port} of {pod} never arrive at {node}, whose own connections work',
                  names,
                )
              : words(
                  end.rule === undefined
                    ? 'the policy of {chain} in table {table} of {node} {verdict}s packets from other machines to {port} of {pod} before they are translated'
                    : 'a rule of {chain} in table {table} of {node} {verdict}s packets from other machines to {port} of {pod} before they are translated',
                  {
                    ...names,
                    verdict: end.verdict,
                    table: end.base.table,
                    chain: end.rule?.location.chain ?? end.base.name,
                  },
                ),
          evidence: [
            ...(end === undefined ? beyondEvidence(node) : [endEvidence(end)]),
            ...probeEvidence(probesFrom(path, ['direct', 'node', ...AWAY])),
          ],
          ...(end === undefined
            ? {}
            : { remedy: 'Change the firewall on the node that owns the rule: accept the port there.' }),
          data: end,
        },
      ];
    });
  },

  heal: ({ data: end }) => ({
    by: 'hand',
    why:
      end === undefined
        ? 'firewalls block ports on purpose, and most are not on the node: the owner of the firewall must open the port'
        : `what comes before translation is probably intended: the owner of table ${end.base.table} must accept the port`,
  }),

  page: {
    see:
      'Connections from other machines time out; those from the node itself work. The counters of the mapping do not change when ' +
      'other machines connect.',
    why:
      'Security groups and cloud firewalls block all ports that are not listed. On the node itself, an nftables `netdev` or ' +
      'raw-priority filter, XDP, or an eBPF host firewall have the same effect before any translation.',
    check: {
      run: ['iptables -w -t nat -vnL CNI-HOSTPORT-DNAT', 'nft list ruleset'],
      look:
        "While another machine connects, the counter of the port's rule does not change. `tcpdump -ni eth0 port 80` on the node " +
        'shows where the packets are dropped: if it shows them, they are dropped on the node, otherwise before it.',
    },
    fix: 'Open the port for the clients: security group, firewall, host firewall.',
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

/** Rules that are on the node and before those that are followed: at a device, for one. */
function beyondEvidence(node: NodeView) {
  return known(node.ruleset)!
    .beyond.filter(({ hook, rules }) => hook === 'ingress' && rules > 0)
    .map(({ family, table, chain, rules }) => ({
      kind: 'rule' as const,
      where: `nft ${family} ${table} ${chain}`,
      saw: `${rules} ${rules === 1 ? 'rule' : 'rules'} at ingress, not looked into`,
    }));
}
