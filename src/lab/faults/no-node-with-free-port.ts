import type { Pod } from '../../kube/types.ts';
import { unschedulable } from '../../path/stages/scheduled/no-node-with-free-port.ts';
import { echoPod } from '../inject/echo-pod.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: "creates a pod that may run only on the target's node and requests the same port",
  async inject(door, target) {
    // A pod with the same port that went before may have had Kubernetes' scheduler forget the port.
    await door.touch(target.pod.namespace, target.pod.name);
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
};
