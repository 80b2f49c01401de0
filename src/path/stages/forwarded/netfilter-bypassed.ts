import type { BaseChain, Rule } from '../../../netfilter/index.ts';
import type { Evidence } from '../../model/finding.ts';
import { formatPort } from '../../model/host-ports.ts';
import { type Message, words } from '../../model/message.ts';
import { isWayClear } from '../../view/clear-way.ts';
import { shutOutBy } from '../../view/network-policy.ts';
import type { NodeView } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { policyAgentBehind } from '../../view/policy-agents.ts';
import { AWAY, answered, failed, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { takersOf, traceFrom } from '../../view/traces.ts';
import { acceptAhead } from '../accept-rule.ts';
import { ruleAtEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  path: PathView;
  /** The rule that keeps connection tracking away, and the chain at whose hook; undefined when no rule does it. */
  notrack: { rule: Rule; base: BaseChain | undefined } | undefined;
}

export const netfilterBypassed = defineFailure<Data>({
  code: 'netfilter-bypassed',
  stage: 'forwarded',
  severity: 'broken',
  title: 'packets bypass the rules that would translate them',
  explanation:
    'portmap uses netfilter rules, which translate only packets that netfilter tracks. A rule that exempts packets from tracking (NOTRACK) ' +
    'exempts them from translation; an eBPF datapath (host routing, a kube-proxy replacement), or ipvlan, takes packets, or the answers to ' +
    'them, past netfilter altogether. The rules are right, but their counters stay at 0.',
  remedy:
    "Track the packets of the port; with an eBPF datapath, use the plugin's own hostPort support, or its legacy host routing.",
  restart: 'no',
  sources: ['cilium/cilium#36921', 'cilium/cilium#38083', 'projectcalico/calico#6522'],
  mutedBy: ['policy-denied', 'rp-filter-strict', 'ip-forward-off', 'packet-dropped', 'reply-misrouted'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { port, subject } = path;
      const notrack = notrackOf(path, scene);
      const message =
        notrack !== undefined
          ? words(
              'a rule of {table} {chain} on {node} exempts {port} from connection tracking, and with it from the translation to {pod}',
              {
                table: notrack.rule.location.table,
                chain: notrack.rule.location.chain,
                node: path.node!.name,
                port: formatPort(port),
                pod: podName(subject.pod!),
              },
            )
          : bypassSeen(path, scene);
      if (message === undefined) return [];
      return [
        {
          subject,
          message,
          evidence: [
            ...(notrack === undefined ? [] : [ruleAtEvidence(notrack.rule)]),
            ...counterEvidence(path, scene),
            ...probeEvidence(probesFrom(path, ['direct', ...AWAY])),
          ],
          data: { node: path.node!, path, notrack },
        },
      ];
    });
  },

  heal({ data: { node, path, notrack } }) {
    const agent = notrack?.base && policyAgentBehind(notrack.base);
    if (agent !== undefined) {
      return {
        by: 'hand',
        why: `${agent} enforces network policies in ${notrack!.base!.table} ${notrack!.base!.name}, and an accept rule ahead of them would bypass them`,
      };
    }
    const { protocol, hostPort } = path.port;
    const step =
      notrack?.base &&
      acceptAhead(
        node,
        notrack.base,
        [
          ...['-p', protocol.toLowerCase(), '-m', protocol.toLowerCase(), '--dport', String(hostPort)],
          ...['-m', 'addrtype', '--dst-type', 'LOCAL'],
        ],
        `track connections to hostPort ${protocol} ${hostPort}`,
      );
    if (step !== undefined) return { by: 'steps', steps: [step] };
    return {
      by: 'hand',
      why:
        notrack === undefined
          ? "the datapath of the node is part of the primary plugin's configuration, and changing it affects every pod"
          : `the rule is in an nft table of another component: "${notrack.rule.text}"`,
    };
  },

  page: {
    see: 'Connections time out or are refused; the rules are right, but their counters stay at 0.',
    why:
      "Examples: NOTRACK in table raw; eBPF host routing (Cilium with its kube-proxy replacement), Calico's eBPF dataplane and " +
      'ipvlan, which bypass netfilter on the way in or out.',
    check: {
      run: ['iptables -w -t raw -S', 'iptables -w -t nat -vnL CNI-HOSTPORT-DNAT'],
      look:
        'A NOTRACK rule (`-j CT --notrack`) matches the port; or the packet counters of the device increase, but not those of the ' +
        'chain.',
    },
    fix:
      "Accept the port before the NOTRACK rule. With an eBPF datapath, use the CNI's own hostPort support (Cilium: " +
      '`hostPort.enabled=true` with kube-proxy replacement) or legacy host routing.',
  },
});

/** The rule that exempts a mapping's packets, where one does so whatever else is not known. */
function notrackOf(path: PathView, scene: Scene): Data['notrack'] {
  // Without a mapping there is nothing that it would keep from working.
  if (!takersOf(path, scene)?.length) return undefined;
  const trace = traceFrom('outside', path, scene);
  if ('unknown' in trace) return undefined;
  const { outcomes } = trace.value;
  const rule = outcomes[0]?.notrack;
  if (rule === undefined || !outcomes.every(({ notrack }) => notrack !== undefined)) return undefined;
  return { rule, base: outcomes[0]!.steps.find((step) => step.rule === rule)?.chain };
}

/** What probes say of it, where no rule does; undefined when they do not. */
function bypassSeen(path: PathView, scene: Scene): Message | undefined {
  const away = probesFrom(path, AWAY);
  if (away.length === 0 || !away.every(failed) || !answered(path, 'direct')) return undefined;
  if (!isWayClear(path, scene) || shutOutBy(path, scene) !== undefined) return undefined;
  const names = { node: path.node!.name, port: formatPort(path.port), pod: podName(path.subject.pod!) };
  if (away.every(({ outcome }) => outcome === 'refused')) {
    return words(
      'the rules of {node} lead to the pod, yet other machines are refused at {port} of {pod}: their packets bypass the rules',
      names,
    );
  }
  if (away.every(({ replied }) => replied === false)) {
    return words(
      'packets from other machines for {port} of {pod} are translated and sent to the pod, but no answer comes back through the rules of {node}',
      names,
    );
  }
  return undefined;
}

/** How often the translations of the mapping were used. */
function counterEvidence(path: PathView, scene: Scene): Evidence[] {
  const evidence = takersOf(path, scene)?.flatMap(({ rule, element }): Evidence[] => {
    const counters = element?.counters ?? rule.counters;
    if (counters === undefined) return [];
    const { backend, table, chain } = rule.location;
    return [
      {
        kind: 'rule',
        where: `${backend} ${table} ${chain}`,
        saw: `${counters.packets} packets: ${element?.text ?? rule.text}`,
      },
    ];
  });
  return evidence ?? [];
}
