import { hostPortsConflict, PORT_TAKEN_REASON } from '../../kube/host-ports.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { formatPort } from '../host-ports.ts';
import { echoPod, podName } from '../pod-of.ts';
import type { PathView } from '../scene.ts';

export const hostportConflict = defineFailure<null>({
  code: 'hostport-conflict',
  stage: 'declared',
  severity: 'broken',
  title: 'two pods on one node ask for the same port',
  explanation:
    'One port of an address leads to one pod. The scheduler keeps such pods apart, but not those that name their node themselves, static pods, or ' +
    'pods of two schedulers; the kubelet then refuses the later one, and where it does not, the first mapping wins.',
  remedy: 'Give one of the two another port, another hostIP or another node.',
  restart: 'needed',
  restartReason: 'neither port nor node of a pod can be changed once it is made',
  sources: ['containernetworking/plugins#1267', 'kubernetes/kubernetes#31307'],
  mutedBy: [],

  detect(scene) {
    const groups = Map.groupBy(
      scene.paths.filter(({ node }) => node !== undefined),
      ({ node, port }) => `${node!.name} ${port.protocol} ${port.hostPort}`,
    );
    return [...groups.values()].flatMap((paths) =>
      [...paths].sort(byPrecedence).flatMap((path, i, sorted): Detection<null>[] => {
        const first = sorted
          .slice(0, i)
          .find((other) => other.pod !== path.pod && hostPortsConflict(other.port, path.port));
        if (first === undefined) return [];
        const [loser, winner] = [path.subject.pod!, first.subject.pod!];
        return [
          {
            subject: path.subject,
            message: `${podName(loser)} asks for ${formatPort(path.port)} of ${path.node!.name}, which ${podName(winner)} has`,
            evidence: [
              {
                kind: 'object',
                where: `pod ${podName(winner)}`,
                saw: `${formatPort(first.port)}, made ${first.pod.metadata?.creationTimestamp}`,
              },
              {
                kind: 'object',
                where: `pod ${podName(loser)}`,
                saw: `${formatPort(path.port)}, made ${path.pod.metadata?.creationTimestamp}${refusal(path)}`,
              },
            ],
            data: null,
          },
        ];
      }),
    );
  },

  heal: () => ({ by: 'hand', why: 'which of the two pods keeps the port is for their owners to say' }),

  fault: {
    does: "makes a pod that names the target's node itself and asks for the same port",
    async inject(door, target) {
      await door.apply([echoPod(target, 'same-port', [target.port])]);
      await door.until('the kubelet to look at the pod', async () => {
        const pod = (await door.get('Pod', target.pod.namespace, 'same-port')) as {
          status?: { phase?: string };
        };
        return (pod?.status?.phase ?? 'Pending') !== 'Pending';
      });
    },
    restore: (door, target) => door.remove('Pod', target.pod.namespace, 'same-port'),
    subjects: ({ node, pod, port }) => [{ node, pod: { ...pod, name: 'same-port' }, port }],
  },
});

/** Who came first has the port; one that the kubelet refused has it in no case. */
function byPrecedence(a: PathView, b: PathView): number {
  const refused = (path: PathView) => (path.pod.status?.reason === PORT_TAKEN_REASON ? 1 : 0);
  const made = (path: PathView) => path.pod.metadata?.creationTimestamp ?? '';
  return (
    refused(a) - refused(b) ||
    made(a).localeCompare(made(b)) ||
    podName(a.subject.pod!).localeCompare(podName(b.subject.pod!))
  );
}

function refusal({ pod }: PathView): string {
  return pod.status?.reason === PORT_TAKEN_REASON
    ? `, refused by the kubelet: ${pod.status.message ?? PORT_TAKEN_REASON}`
    : '';
}
