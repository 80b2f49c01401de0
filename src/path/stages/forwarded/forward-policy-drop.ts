import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { NodeView } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { isPolicyAgents, policyAgentBehind } from '../../view/policy-agents.ts';
import { AWAY, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import type { PathView } from '../../view/scene.ts';
import { endEvidence, endOf, namesDestination, type TraceEnd } from '../../view/trace-end.ts';
import { leadsToPod, traceFrom } from '../../view/traces.ts';
import { acceptAhead, translatedTo } from '../accept-rule.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  end: TraceEnd;
  paths: PathView[];
}

const DROPS = 'in table {table} of {node} {verdict}s packets from other machines to';

export const forwardPolicyDrop = defineFailure<Data>({
  code: 'forward-policy-drop',
  stage: 'forwarded',
  severity: 'broken',
  title: "the node's firewall drops packets forwarded to the pod",
  explanation:
    'Packets of a mapping are translated and then forwarded, so they pass through the FORWARD chains of the node. Where these drop by default ' +
    '(Docker sets that policy; firewalld and hardening guides do as well) and no rule accepts packets to pods, connections from all other ' +
    'machines time out. Connections from the node itself are not forwarded, and work.',
  remedy:
    'Accept connections that were made to a hostPort in the chain that drops them. `hostport heal` adds such a rule before the one that drops ' +
    'and leaves the rest unchanged; configure the firewall itself too, or its next reload removes the rule.',
  restart: 'no',
  sources: [
    'kubernetes/kubernetes#40182',
    'https://docs.docker.com/engine/network/packet-filtering-firewalls/',
  ],
  mutedBy: [],

  detect(scene) {
    const found = new Map<string, Data>();
    for (const path of scene.paths) {
      const trace = traceFrom('outside', path, scene);
      if ('unknown' in trace || !leadsToPod(trace.value, path)) continue;
      const node = path.node!;
      const end = endOf(trace.value);
      if (end === undefined || end.base.base.hook !== 'forward' || isPolicyAgents(end.rule)) continue;
      const { base, rule } = end;
      // A rule about one destination is reported for each; one for all destinations, once for the node.
      const about = namesDestination(rule) ? path.subject : undefined;
      const { backend, family, table, name } = base;
      const key = JSON.stringify([node.name, backend, family, table, name, rule?.text, about]);
      const data = found.get(key) ?? { node, end, paths: [] };
      data.paths.push(path);
      found.set(key, data);
    }
    return [...found.values()].map((data): Detection<Data> => {
      const { node, end, paths } = data;
      const { base, rule } = end;
      const [first] = paths;
      const specific = namesDestination(rule);
      const names = { table: base.table, node: node.name, verdict: end.verdict };
      const chain = rule === undefined ? base.name : rule.location.chain;
      return {
        subject: specific ? first!.subject : { node: node.name },
        message: specific
          ? words(`a rule of {chain} ${DROPS} {port} of {pod}`, {
              ...names,
              chain,
              port: formatPort(first!.port),
              pod: podName(first!.subject.pod!),
            })
          : words(
              rule === undefined
                ? `the policy of {chain} ${DROPS} its hostPorts ({mappings})`
                : `a rule of {chain} ${DROPS} its hostPorts ({mappings})`,
              { ...names, chain, mappings: paths.length },
            ),
        evidence: [endEvidence(end), ...probeEvidence(probesFrom(first!, ['node', ...AWAY]))],
        data,
      };
    });
  },

  heal({ data: { node, end, paths } }) {
    const { base, rule } = end;
    if (namesDestination(rule)) {
      return {
        by: 'hand',
        why: `the rule names exactly this destination, so it is probably intended: "${rule!.text}"`,
      };
    }
    const agent = rule === undefined ? undefined : policyAgentBehind(base);
    if (agent !== undefined) {
      return {
        by: 'hand',
        why: `${agent} enforces network policies in ${base.name}, and an accept rule before the rule that drops would bypass them: change the firewall that owns that rule`,
      };
    }
    const ports = new Map(paths.map(({ port }) => [`${port.protocol} ${port.hostPort}`, port]));
    const steps = [...ports.values()].map((port) =>
      acceptAhead(
        node,
        base,
        translatedTo(port),
        `accept connections to hostPort ${formatPort({ ...port, hostIP: undefined })}`,
        // A policy applies when no rule has decided: the end of the chain is early enough, and network policies come first.
        rule === undefined ? 'last' : 'first',
      ),
    );
    if (steps.some((step) => step === undefined)) {
      return {
        by: 'hand',
        why: `${base.table} ${base.name} belongs to ${base.backend === 'nft' ? 'a firewall with its own nft tables' : base.backend}, and an accept rule of hostport does not override it: configure that firewall to accept packets forwarded to pods`,
      };
    }
    return { by: 'steps', steps: steps.flatMap((step) => step ?? []) };
  },

  page: {
    see: 'Connections from all other machines time out; on the node itself everything works.',
    why:
      'Docker sets `FORWARD DROP` since 1.13; firewalld and ufw have rules with the same effect. Primary CNIs accept their own pod ' +
      'traffic, but not all of them accept traffic from outside.',
    check: {
      run: ['iptables -w -S FORWARD', 'nft list chains'],
      look:
        '`-P FORWARD DROP` (or a rule that drops or rejects, or a base chain of hook forward with policy drop) and no rule before ' +
        'it that accepts packets to the pods.',
    },
    fix:
      'Accept translated packets with a rule behind all existing ones, so that it overrides only the policy: `iptables -w -A ' +
      'FORWARD -m conntrack --ctstate DNAT -j ACCEPT`, and configure the firewall that owns the chain to do the same. Do not put it ' +
      'at the head of FORWARD (`-I FORWARD 1`): there it would also accept what a NetworkPolicy denies, since Calico, kube-router ' +
      'and others enforce policies in chains that FORWARD leads to. If a rule drops the packets, rather than the policy, the owner ' +
      'of that rule must change it.',
  },
});
