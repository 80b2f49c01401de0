import type { HostPort } from '../../path/model/finding.ts';
import { echoPod } from '../inject/echo-pod.ts';
import type { Fault, FaultTarget } from '../inject/fault.ts';

const MUTE_POD = 'listens-elsewhere';

/** Ports that nothing else in the lab uses: the echo server listens on 8080. */
function portFor({ port: { hostPort } }: FaultTarget): HostPort {
  return { hostPort: hostPort === 18086 ? 18087 : 18086, containerPort: 8099, protocol: 'TCP' };
}

export const fault: Fault = {
  does: 'creates a pod whose application listens on another port than its containerPort',
  async inject(door, target) {
    await door.apply([echoPod(target, MUTE_POD, [portFor(target)])]);
    await door.untilRunning({ pod: { ...target.pod, name: MUTE_POD } });
  },
  restore: (door, target) => door.remove('Pod', target.pod.namespace, MUTE_POD),
  subjects: (target) => [
    { node: target.node, pod: { ...target.pod, name: MUTE_POD }, port: portFor(target) },
  ],
};
