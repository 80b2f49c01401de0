import type { Evidence } from '../../model/finding.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { type Denial, denialOf, shutOutBy } from '../../view/network-policy.ts';
import { podName } from '../../view/pod-name.ts';
import { policyAgentOf } from '../../view/policy-agents.ts';
import { AWAY, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import { endEvidence, endOf } from '../../view/trace-end.ts';
import { traceFrom } from '../../view/traces.ts';
import { type Detection, defineFailure } from '../failure.ts';

const DENIED = 'other machines {containerPort} of {pod}, where {port} leads';
const DENIED_SOME = `${DENIED}; they admit others, and whether clients are among these was not seen` as const;

export const policyDenied = defineFailure<null>({
  code: 'policy-denied',
  stage: 'answered',
  severity: 'broken',
  title: 'a network policy denies clients access to the container port',
  explanation:
    'Network policies are enforced after translation: they see the container port and the real address of the client, which no pod selector ' +
    'matches. A policy that admits only the pods of the cluster, or names the hostPort instead of the container port, denies every client that ' +
    'uses the hostPort.',
  remedy: 'Allow the container port in a policy, with an ipBlock for the clients (or no `from`).',
  restart: 'no',
  sources: [
    'https://kubernetes.io/docs/concepts/services-networking/network-policies/',
    'https://docs.tigera.io/calico/latest/network-policy/hosts/host-forwarded-traffic',
  ],
  mutedBy: [
    'ip-forward-off',
    'forward-policy-drop',
    'pod-route-missing',
    'packet-dropped',
    'reply-misrouted',
  ],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { node, port, subject } = path;
      if (node === undefined) return [];
      const trace = traceFrom('outside', path, scene);
      const end = 'value' in trace ? endOf(trace.value) : undefined;
      const agent = policyAgentOf(end?.rule);
      // Where the agent works with eBPF no rule is seen: then it takes a policy, and a client that was shut out.
      if (agent === undefined && shutOutBy(path, scene) === undefined) return [];
      const { policies = [], admitsOthers = false } = denialOf(path, scene) ?? {};
      const what = admitsOthers ? DENIED_SOME : DENIED;
      const names = {
        containerPort: `${port.protocol} ${port.containerPort}`,
        pod: podName(subject.pod!),
        port: formatPort(port),
      };
      return [
        {
          subject,
          message:
            agent === undefined
              ? words(`{policies:policy|policies} {policies} {policies:denies|deny} ${what}`, {
                  ...names,
                  policies: policyNames(policies),
                })
              : words(`{agent} on {node} denies ${what}`, { ...names, agent, node: node.name }),
          evidence: [
            ...(agent === undefined ? [] : [endEvidence(end!)]),
            ...policies.map(
              ({ metadata, spec }): Evidence => ({
                kind: 'object',
                where: `networkpolicy ${metadata?.namespace}/${metadata?.name}`,
                saw: JSON.stringify(spec),
              }),
            ),
            ...probeEvidence(probesFrom(path, ['direct', 'node', ...AWAY])),
          ],
          ...(admitsOthers ? { severity: 'risk' as const } : {}),
          data: null,
        },
      ];
    });
  },

  heal: () => ({ by: 'hand', why: 'only the author of the policy can decide whom it admits' }),

  page: {
    see: "Connections time out (or are rejected) from everywhere or from some clients; those from the pod's own node may work.",
    why:
      "Most policy engines admit the node itself, because the kubelet's probes come from there, so a probe from the node succeeds " +
      'while others fail.',
    check: {
      run: ['kubectl get networkpolicy -A', 'kubectl describe networkpolicy -A', 'iptables -w -S'],
      look: "A policy selects the pod, and none of its ingress rules names the containerPort for the client's address.",
    },
    fix: 'Add an ingress rule for the containerPort (not the hostPort), with `from` an ipBlock, or without `from`.',
  },
});

function policyNames(policies: Denial['policies']): string[] {
  return policies.map(({ metadata }) => metadata?.name ?? '');
}
