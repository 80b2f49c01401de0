import { echoPod } from '../inject/echo-pod.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: 'creates a pod whose hostIP is ::1, on a cluster whose pods have IPv4 only',
  async inject(door, target) {
    await door.apply([
      echoPod(target, 'hostip-other-family', [
        { hostPort: 8092, containerPort: 8080, protocol: 'TCP', hostIP: '::1' },
      ]),
    ]);
  },
  restore: (door, target) => door.remove('Pod', target.pod.namespace, 'hostip-other-family'),
  subjects: ({ node, pod }) => [{ node, pod: { ...pod, name: 'hostip-other-family' } }],
};
