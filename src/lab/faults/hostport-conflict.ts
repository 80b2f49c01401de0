import { echoPod } from '../inject/echo-pod.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: "creates a pod that names the target's node itself and requests the same port",
  async inject(door, target) {
    await door.apply([echoPod(target, 'same-port', [target.port])]);
    await door.until('the kubelet to look at the pod', async () => {
      const pod = (await door.get('Pod', target.pod.namespace, 'same-port')) as {
        status?: { phase?: string };
      };
      return (pod?.status?.phase ?? 'Pending') !== 'Pending';
    });
  },
  async restore(door, target) {
    await door.remove('Pod', target.pod.namespace, 'same-port');
    // With it Kubernetes' scheduler has forgotten the port of the pod that stays.
    await door.touch(target.pod.namespace, target.pod.name);
  },
  subjects: ({ node, pod, port }) => [{ node, pod: { ...pod, name: 'same-port' }, port }],
};
