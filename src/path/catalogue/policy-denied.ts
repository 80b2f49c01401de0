import { type Detection, defineFailure } from '../failure.ts';
import type { Evidence } from '../finding.ts';
import { formatPort } from '../host-ports.ts';
import { type Denial, denialOf, shutOutBy } from '../network-policy.ts';
import { podName } from '../pod-of.ts';
import { policyAgentOf } from '../policy-agents.ts';
import { AWAY, probeEvidence, probesFrom } from '../probe-facts.ts';
import { iptablesIn, puttingBackTable } from '../table-faults.ts';
import { endEvidence, endOf } from '../trace-end.ts';
import { traceFrom } from '../traces.ts';

/** As kube-router names the chain of a pod: a hash of namespace and name follows. */
const POD_CHAIN = 'KUBE-POD-FW-HOSTPORTFAULT00';

export const policyDenied = defineFailure<null>({
  code: 'policy-denied',
  stage: 'answered',
  severity: 'broken',
  title: "a network policy keeps clients from the container's port",
  explanation:
    'Network policies are enforced after the translation: what counts is the port of the container and the real address of the client, which no selector of pods matches. ' +
    'A policy that lets the pods of the cluster in, or names the hostPort instead of the container port, shuts out everybody who comes by the hostPort.',
  remedy: "Allow the container's port in a policy, with an ipBlock for the clients (or no `from`).",
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
      const by = agent === undefined ? policyNames(policies) : `${agent} on ${node.name}`;
      return [
        {
          subject,
          message: `${by} denies other machines ${port.protocol} ${port.containerPort} of ${podName(subject.pod!)}, where ${formatPort(port)} leads${others}`,
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

  heal: () => ({ by: 'hand', why: 'whom a policy lets in is for its author to say' }),

  fault: {
    does: "drops packets to the container's port in a chain as kube-router makes it for a pod that a policy isolates",
    ...puttingBackTable('filter'),
    async inject(door, { node, pod, port }) {
      const toPod = ['-d', `${pod.address}/32`];
      const filter = (...words: string[]) => iptablesIn(door, node, 'filter', ...words);
      await filter('-N', POD_CHAIN);
      await filter(
        ...[
          '-A',
          POD_CHAIN,
          ...toPod,
          '-p',
          port.protocol.toLowerCase(),
          '--dport',
          String(port.containerPort),
        ],
        ...['-m', 'comment', '--comment', `default rule to REJECT traffic destined for POD name:${pod.name}`],
        ...['-j', 'DROP'],
      );
      await filter('-I', 'FORWARD', '1', ...toPod, '-j', POD_CHAIN);
    },
  },
});

function policyNames(policies: Denial['policies']): string {
  const names = policies.map(({ metadata }) => metadata?.name ?? '');
  return `${names.length === 1 ? 'policy' : 'policies'} ${names.join(', ')}`;
}
