import type { Pod } from '../../../kube/types.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { podName } from '../../view/pod-name.ts';
import { type Detection, defineFailure } from '../failure.ts';

/** The scheduler's NodePorts plugin (kube-scheduler, pkg/scheduler/framework/plugins/nodeports). */
const NO_FREE_PORT = "didn't have free ports for the requested pod ports";

export const noNodeWithFreePort = defineFailure<null>({
  code: 'no-node-with-free-port',
  stage: 'scheduled',
  severity: 'broken',
  title: 'no node has the port free',
  explanation:
    'Only one pod with a given hostPort can run on a node. When every suitable node already has one, the pod stays Pending: there are too many ' +
    'replicas, or a rolling update starts the new pod before the old one stops.',
  remedy:
    'Run at most as many replicas as there are nodes, and roll out with `maxSurge: 0` (or `strategy: Recreate`); a DaemonSet does both.',
  restart: 'no',
  sources: ['kubernetes/kubernetes#106417', 'kubernetes/kubernetes#60726'],
  mutedBy: [],

  detect(scene) {
    return scene.paths.flatMap(({ pod, port, node, subject }): Detection<null>[] => {
      const message = unschedulable(pod);
      if (node !== undefined || message === undefined || !message.includes(NO_FREE_PORT)) return [];
      return [
        {
          subject,
          message: words('{pod} waits for a node on which {port} is free', {
            pod: podName(subject.pod!),
            port: formatPort(port),
          }),
          evidence: [
            { kind: 'event', where: `pod ${podName(subject.pod!)}: FailedScheduling`, saw: message },
          ],
          data: null,
        },
      ];
    });
  },

  heal: () => ({
    by: 'hand',
    why: 'only the owner of the workload can decide on its replicas and rollout strategy',
  }),

  page: {
    see: "The pod is Pending. `kubectl describe pod` says `N node(s) didn't have free ports for the requested pod ports`.",
    why:
      'The usual cause is a Deployment with as many replicas as nodes and the default rolling update (`maxSurge: 25%`): the new pod ' +
      'waits for a port that only becomes free once the new pod runs.',
    check: {
      run: [
        'kubectl get events -A --field-selector reason=FailedScheduling',
        'kubectl get pods -A --field-selector status.phase=Pending -o wide',
      ],
      look: 'The message of the event mentions free ports; other reasons (taints, resources) are a different problem.',
    },
    fix:
      'Run at most as many replicas as nodes, with `strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}` or `strategy: ' +
      '{type: Recreate}`. A DaemonSet does both by itself.',
  },
});

/** Why the scheduler has found no node; undefined when it has, or has not looked yet. */
export function unschedulable(pod: Pod): string | undefined {
  const condition = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  return condition?.status === 'False' && condition.reason === 'Unschedulable'
    ? (condition.message ?? '')
    : undefined;
}
