import type { HostPort } from '../../path/model/finding.ts';
import { echoPod } from '../inject/echo-pod.ts';
import type { Fault, FaultTarget } from '../inject/fault.ts';

const NAME = 'ends-at-once';

/** A port that nothing else in the lab uses. */
function portFor({ port: { hostPort } }: FaultTarget): HostPort {
  return { hostPort: hostPort === 18088 ? 18089 : 18088, containerPort: 8080, protocol: 'TCP' };
}

export const fault: Fault = {
  does: 'creates a pod whose command fails as soon as it starts, again and again',
  async inject(door, target) {
    const pod = echoPod(target, NAME, [portFor(target)]) as { spec: { containers: object[] } };
    const [container] = pod.spec.containers;
    const failing = { ...container, name: 'fails', image: 'busybox', command: ['sh', '-c', 'exit 3'] };
    await door.apply([{ ...pod, spec: { ...pod.spec, containers: [failing] } }]);
    await door.until('the kubelet to give up for now', async () => {
      const reasons = await door.eventReasons(target.pod.namespace, NAME);
      return reasons.includes('BackOff');
    });
  },
  restore: (door, target) => door.remove('Pod', target.pod.namespace, NAME),
  subjects: (target) => [{ node: target.node, pod: { ...target.pod, name: NAME }, port: portFor(target) }],
};
