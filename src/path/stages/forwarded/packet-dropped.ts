import { formatPort } from '../../model/host-ports.ts';
import { type Message, words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import type { Vantage } from '../../model/probe.ts';
import type { NodeView } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { isPolicyAgents } from '../../view/policy-agents.ts';
import { AWAY, answered, failed, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { countedEnd, endOf, namesDestination, type TraceEnd } from '../../view/trace-end.ts';
import { answerTo, leadsToPod, originsOf, type ServedOrigin, traceFrom } from '../../view/traces.ts';
import { type Detection, defineFailure } from '../failure.ts';

/** A packet of a connection that rules of the node end. */
interface Drop {
  origin: ServedOrigin;
  /** Whether it is the pod's answer. */
  isAnswer: boolean;
  end: TraceEnd;
}

export const packetDropped = defineFailure<Drop>({
  code: 'packet-dropped',
  stage: 'forwarded',
  severity: 'broken',
  title: 'a rule of the node drops packets of the mapping, or their answers',
  explanation:
    'Rules can end a packet at every hook that it passes, in any table: at the device, in raw or mangle before it is translated, in mangle or in an ' +
    'nftables chain behind it, and on the way back. Connections time out, and the mapping itself is in order; its counters stay at 0 where the ' +
    'packet ends before it.',
  remedy: 'Change the firewall on the node that owns the rule: accept the port before it.',
  restart: 'no',
  sources: [
    'https://wiki.nftables.org/wiki-nftables/index.php/Netfilter_hooks',
    'https://man7.org/linux/man-pages/man8/iptables.8.html (tables)',
  ],
  mutedBy: ['forward-policy-drop'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Drop>[] => {
      // Whoever was answered met no such rule: then it depends on what is not seen here, such as the client's address or its rate.
      const [drop] = dropsOf(path, scene).filter(({ origin }) => !isRefuted(origin, path));
      if (drop === undefined) return [];
      const { origin, end } = drop;
      // The imagined packet is that of another node, where there is one.
      const isWorse =
        origin === 'outside'
          ? !answered(path, 'other-node')
          : origin !== 'node' || probesFrom(path, ['node']).some(failed);
      return [
        {
          subject: path.subject,
          message: messageOf(drop, path, path.node!),
          evidence: [countedEnd(end), ...probeEvidence(probesFrom(path, ['direct', 'node', ...AWAY]))],
          ...(isWorse ? {} : { severity: 'risk' as const }),
          data: drop,
        },
      ];
    });
  },

  heal: ({ data: { end } }) => ({
    by: 'hand',
    why: namesDestination(end.rule)
      ? `the rule names exactly these packets, so it is probably intended: the owner of table ${end.base.table} must accept the port`
      : `what drops packets in table ${end.base.table} is probably intended: its owner must accept the port before it`,
  }),

  page: {
    see:
      'Connections from other machines time out or are refused. `tcpdump` on the node shows their packets arrive; those from the node itself may ' +
      'work, since they pass other hooks.',
    why: [
      'The order in which a packet from another machine passes the chains of a node: netdev ingress, raw PREROUTING, mangle PREROUTING, nat ' +
        'PREROUTING (here it is translated), mangle FORWARD, filter FORWARD, mangle POSTROUTING, nat POSTROUTING. Its answer passes the same ' +
        'hooks with the addresses of the pod. A drop in filter FORWARD on the way to the pod is [forward-policy-drop](forward-policy-drop.md).',
      'The finding follows the packet as the kernel does and names the rule or policy that ends it. The number of packets is that of its counter.',
    ],
    check: {
      run: ['iptables-save -c', 'nft list ruleset'],
      look: 'The rule of the finding: its counter grows while another machine tries to connect.',
    },
    fix: 'Accept the port in the same chain before that rule, or configure the firewall that owns the rule to do so.',
  },
});

/** From where an imagined connection is probed. */
const VANTAGES: Readonly<Record<ServedOrigin, readonly Vantage[]>> = {
  outside: AWAY,
  node: ['node'],
  loopback: ['loopback'],
};

/** Whether probes from there were answered, and none failed. */
function isRefuted(origin: ServedOrigin, path: PathView): boolean {
  const vantages = VANTAGES[origin];
  return vantages.some((vantage) => answered(path, vantage)) && !probesFrom(path, vantages).some(failed);
}

/** Those of other machines before those of the node itself, and packets before their answers. */
function dropsOf(path: PathView, scene: Scene): Drop[] {
  return originsOf(path).flatMap((origin): Drop[] => {
    const there = known(traceFrom(origin, path, scene));
    const end = there && endOf(there);
    if (there !== undefined && end !== undefined) {
      // What is not translated has another cause, unless it ends before it could be.
      const isBefore = ['prerouting', 'output'].includes(end.base.base.hook);
      if (!isBefore && !leadsToPod(there, path)) return [];
      const isOthers = isPolicyAgents(end.rule) || (end.base.base.hook === 'forward' && origin === 'outside');
      return isOthers ? [] : [{ origin, isAnswer: false, end }];
    }
    const back = known(answerTo(origin, path, scene));
    const lost = back && endOf(back.trace);
    return lost === undefined || isPolicyAgents(lost.rule) ? [] : [{ origin, isAnswer: true, end: lost }];
  });
}

const PACKETS = {
  outside: 'packets from other machines to {port} of {pod}',
  node: 'packets of the node itself to {port} of {pod}',
  loopback: 'packets of the node itself to {port} of {pod}',
} as const satisfies Record<ServedOrigin, string>;

const ANSWERS = {
  outside: 'answers of {pod} to other machines that connect to {port}',
  node: 'answers of {pod} to the node itself, which connects to {port}',
  loopback: 'answers of {pod} to the node itself, which connects to {port}',
} as const satisfies Record<ServedOrigin, string>;

function messageOf({ origin, isAnswer, end }: Drop, path: PathView, node: NodeView): Message {
  const { base, rule, verdict } = end;
  const names = {
    chain: rule?.location.chain ?? base.name,
    table: base.table,
    node: node.name,
    verdict,
    port: formatPort(path.port),
    pod: podName(path.subject.pod!),
  };
  const what = isAnswer ? ANSWERS[origin] : PACKETS[origin];
  return rule === undefined
    ? words(`the policy of {chain} in table {table} of {node} {verdict}s ${what}`, names)
    : words(`a rule of {chain} in table {table} of {node} {verdict}s ${what}`, names);
}
