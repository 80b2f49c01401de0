import type { Pod } from '../../kube/types.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { formatPort } from '../host-ports.ts';
import { echoPod, podName } from '../pod-of.ts';

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

  fault: {
    does: "makes a pod that may run on the target's node alone and asks for the same port",
    async inject(door, target) {
      await door.apply([
        echoPod(target, 'no-free-port', [target.port], {
          nodeSelector: { 'kubernetes.io/hostname': target.node },
        }),
      ]);
      await door.until('the scheduler to look at the pod', async () => {
        const pod = (await door.get('Pod', target.pod.namespace, 'no-free-port')) as Pod | undefined;
        return pod !== undefined && unschedulable(pod) !== undefined;
      });
    },
    restore: (door, target) => door.remove('Pod', target.pod.namespace, 'no-free-port'),
    subjects: ({ pod, port }) => [{ pod: { ...pod, name: 'no-free-port' }, port }],
  },
});

/** Why the scheduler has found no node; undefined when it has, or has not looked yet. */
function unschedulable(pod: Pod): string | undefined {
  const condition = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  return condition?.status === 'False' && condition.reason === 'Unschedulable'
    ? (condition.message ?? '')
    : undefined;
}
