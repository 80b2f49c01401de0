import type { Fault } from '../inject/fault.ts';
import { untilComplaint, watchingPod } from '../inject/watching-pod.ts';

const ASKING_POD = 'asks-v6-loopback';

export const fault: Fault = {
  does: "runs a pod on the node's network whose probe connects to the hostPort at [::1]",
  async inject(door, target) {
    const { hostPort } = target.port;
    const check = { httpGet: { host: '::1', port: hostPort } };
    await door.apply([watchingPod(target, ASKING_POD, check)]);
    await untilComplaint(door, target, ASKING_POD);
  },
  restore: (door, target) => door.remove('Pod', target.pod.namespace, ASKING_POD),
};
