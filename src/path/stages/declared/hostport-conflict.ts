import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { podName } from '../../view/pod-name.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { bothPods, takenPorts } from '../taken-ports.ts';

export const hostportConflict = defineFailure<null>({
  code: 'hostport-conflict',
  stage: 'declared',
  severity: 'broken',
  title: 'two pods on one node request the same hostPort',
  explanation:
    'One port of an address leads to one pod. The scheduler keeps such pods apart, except for static pods, pods that set their node themselves, ' +
    'and pods of two schedulers. The kubelet then rejects the later pod; where it does not, the first mapping wins.',
  remedy: 'Give one of the two pods another port, hostIP or node.',
  restart: 'needed',
  restartReason: 'neither the port nor the node of an existing pod can be changed',
  sources: ['containernetworking/plugins#1267', 'kubernetes/kubernetes#31307'],
  mutedBy: [],

  detect(scene) {
    return takenPorts(scene)
      .filter(({ assigned }) => assigned === undefined)
      .map(({ path, holder }): Detection<null> => {
        const [loser, winner] = [path.subject.pod!, holder.subject.pod!];
        return {
          subject: path.subject,
          message: words('{pod} requests {port} of {node}, which {holder} has', {
            pod: podName(loser),
            port: formatPort(path.port),
            node: path.node!.name,
            holder: podName(winner),
          }),
          evidence: bothPods(path, holder),
          data: null,
        };
      });
  },

  heal: () => ({ by: 'hand', why: 'their owners must decide which of the two pods keeps the port' }),

  page: {
    see:
      'The wrong pod answers, or the later pod is `Failed` with reason `NodePorts` ("Pod was rejected: Node didn\'t have enough ' +
      'resource" or "didn\'t have free ports").',
    why:
      "A pod with `nodeName` in its spec, a static pod and a pod of another scheduler bypass the scheduler's check for free ports. " +
      'The kubelet applies the same check and rejects the later pod. Where it does not (the earlier pod is terminating, or another ' +
      'client created the sandbox), two mappings exist, and with the reference portmap the first wins. Ports conflict when protocol ' +
      'and port are the same and either hostIP is empty or both are equal.',
    check: {
      run: [
        'kubectl get pods -A -o custom-columns=NODE:.spec.nodeName,NAME:.metadata.name,PHASE:.status.phase,REASON:.status.reason,PORTS:.spec.containers[*].ports[*].hostPort',
        'iptables -w -t nat -S CNI-HOSTPORT-DNAT',
      ],
      look: 'Two pods of one NODE have the same port. In the chain, two lines have the same `--dports`: the first one applies.',
    },
    fix: 'Give one of them another port, hostIP or node. Replace `nodeName` with a `nodeSelector`, so that the scheduler sees the pod.',
  },
});
