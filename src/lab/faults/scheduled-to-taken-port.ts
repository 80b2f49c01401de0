import { echoPod } from '../inject/echo-pod.ts';
import type { Fault } from '../inject/fault.ts';

const NAME = 'port-taken';
/** Nobody's: what has it waits for whoever assigns it. */
const SCHEDULER = 'hostport-forgetful';

export const fault: Fault = {
  does: "creates a pod with the same port, and assigns it to the target's node as a scheduler does that has forgotten the port",
  async inject(door, target) {
    await door.apply([echoPod(target, NAME, [target.port], { schedulerName: SCHEDULER })]);
    await door.assign(target.pod.namespace, NAME, target.node);
    await door.until('the kubelet to look at the pod', async () => {
      const pod = (await door.get('Pod', target.pod.namespace, NAME)) as { status?: { phase?: string } };
      return (pod?.status?.phase ?? 'Pending') !== 'Pending';
    });
  },
  async restore(door, target) {
    await door.remove('Pod', target.pod.namespace, NAME);
    await door.touch(target.pod.namespace, target.pod.name);
  },
  subjects: ({ node, pod, port }) => [{ node, pod: { ...pod, name: NAME }, port }],
};
