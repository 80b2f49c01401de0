import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { podName } from '../../view/pod-name.ts';
import { complaintEvidence } from '../complaints.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { bothPods, takenPorts } from '../taken-ports.ts';

export const scheduledToTakenPort = defineFailure<null>({
  code: 'scheduled-to-taken-port',
  stage: 'scheduled',
  severity: 'broken',
  title: 'the scheduler chose a node on which another pod has the port',
  explanation:
    'The scheduler of Kubernetes remembers which ports of a node are taken, but not by how many pods. When one of two pods with the same port goes, ' +
    'the port counts as free, although the other pod still has it. The kubelet rejects what is scheduled there then, and a Deployment creates ' +
    'one such pod after another. Two schedulers, which do not know of each other, do the same.',
  remedy:
    'Change the pod that has the port in any way (an annotation will do): the scheduler then counts its port again. Delete the rejected pod, ' +
    'and let no pod set its node itself.',
  restart: 'needed',
  restartReason: 'a pod that was rejected is never started again',
  sources: [
    'https://pkg.go.dev/k8s.io/kube-scheduler/framework#HostPortInfo.Remove (one removal frees the port)',
    'https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename',
  ],
  mutedBy: [],

  detect(scene) {
    return takenPorts(scene).flatMap(({ path, holder, assigned }): Detection<null>[] => {
      if (assigned === undefined) return [];
      return [
        {
          subject: path.subject,
          message: words('{pod} was scheduled to {node}, where {holder} has {port}', {
            pod: podName(path.subject.pod!),
            node: path.node!.name,
            holder: podName(holder.subject.pod!),
            port: formatPort(path.port),
          }),
          evidence: [complaintEvidence(assigned), ...bothPods(path, holder)],
          data: null,
        },
      ];
    });
  },

  heal: () => ({
    by: 'hand',
    why: 'only the owner of the rejected pod can decide whether it is to run elsewhere or not at all',
  }),

  page: {
    see:
      'Pods of a Deployment are `Failed` with reason `NodePorts`, one after another, and the scheduler keeps choosing the same node. The pod that ' +
      'has the port answers.',
    why:
      'The usual beginning is a pod with `nodeName` in its spec that asked for the port, was rejected, and was deleted: with it the ' +
      'scheduler has forgotten the port of the pod that stays. A restart of the scheduler, or a change of that pod, has it counted again.',
    check: {
      run: [
        'kubectl get events -A --field-selector reason=Scheduled',
        'kubectl get pods -A -o custom-columns=NODE:.spec.nodeName,NAME:.metadata.name,PHASE:.status.phase,REASON:.status.reason,PORTS:.spec.containers[*].ports[*].hostPort',
      ],
      look: 'A pod with reason `NodePorts` has an event `Scheduled`, and another pod of that NODE has the same port.',
    },
    fix:
      '`kubectl annotate pod HOLDER counted=again`, where HOLDER is the pod that has the port; then `kubectl delete pod` those that were ' +
      'rejected. Replace `nodeName` with a `nodeSelector` wherever it is used.',
  },
});
