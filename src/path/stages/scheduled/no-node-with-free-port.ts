import type { Pod } from '../../../kube/types.ts';
import { formatPort } from '../../model/host-ports.ts';
import { podName } from '../../view/pod-name.ts';
import { type Detection, defineFailure } from '../failure.ts';

/** The scheduler's NodePorts plugin (kube-scheduler, pkg/scheduler/framework/plugins/nodeports). */
const NO_FREE_PORT = "didn't have free ports for the requested pod ports";

export const noNodeWithFreePort = defineFailure<null>({
  code: 'no-node-with-free-port',
  stage: 'scheduled',
  severity: 'broken',
  title: 'no node on which the port is free',
  explanation:
    'A hostPort allows one such pod a node. When every node that suits the pod has one already it stays Pending: too many replicas, or a rolling ' +
    'update that wants to start the new pod before the old one goes.',
  remedy:
    'Have at most as many replicas as nodes, and roll out with `maxSurge: 0` (or `strategy: Recreate`); a DaemonSet does both.',
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
          message: `${podName(subject.pod!)} waits for a node on which ${formatPort(port)} is free`,
          evidence: [
            { kind: 'event', where: `pod ${podName(subject.pod!)}: FailedScheduling`, saw: message },
          ],
          data: null,
        },
      ];
    });
  },

  heal: () => ({ by: 'hand', why: 'replicas and the strategy of a rollout are for their owner to say' }),
});

/** Why the scheduler has found no node; undefined when it has, or has not looked yet. */
export function unschedulable(pod: Pod): string | undefined {
  const condition = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  return condition?.status === 'False' && condition.reason === 'Unschedulable'
    ? (condition.message ?? '')
    : undefined;
}
