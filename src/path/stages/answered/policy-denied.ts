import type { Evidence } from '../../model/finding.ts';
import { formatPort } from '../../model/host-ports.ts';
import { type Denial, denialOf, shutOutBy } from '../../view/network-policy.ts';
import { podName } from '../../view/pod-name.ts';
import { policyAgentOf } from '../../view/policy-agents.ts';
import { AWAY, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import { endEvidence, endOf } from '../../view/trace-end.ts';
import { traceFrom } from '../../view/traces.ts';
import { type Detection, defineFailure } from '../failure.ts';

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
  mutedBy: ['ip-forward-off', 'forward-policy-drop', 'pod-route-missing'],

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
      const others = admitsOthers
        ? '; they admit others, and whether clients are among these was not seen'
        : '';
      const by = agent === undefined ? policiesDeny(policies) : `${agent} on ${node.name} denies`;
      return [
        {
          subject,
          message: `${by} other machines ${port.protocol} ${port.containerPort} of ${podName(subject.pod!)}, where ${formatPort(port)} leads${others}`,
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
});

function policiesDeny(policies: Denial['policies']): string {
  const names = policies.map(({ metadata }) => metadata?.name ?? '').join(', ');
  return policies.length === 1 ? `policy ${names} denies` : `policies ${names} deny`;
}
