import type { Fault } from '../inject/fault.ts';
import { untilComplaint, watchingPod } from '../inject/watching-pod.ts';

const LOOKING_POD = 'looks-for-a-socket';

export const fault: Fault = {
  does: "runs a pod on the node's network whose probe looks for a socket that listens on the hostPort",
  async inject(door, target) {
    const { hostPort } = target.port;
    const looked = `netstat -ltn | grep -q ':${hostPort} ' || { echo 'nothing listens on port ${hostPort}'; exit 1; }`;
    const check = { exec: { command: ['sh', '-c', looked] } };
    await door.apply([watchingPod(target, LOOKING_POD, check)]);
    await untilComplaint(door, target, LOOKING_POD);
  },
  restore: (door, target) => door.remove('Pod', target.pod.namespace, LOOKING_POD),
};
