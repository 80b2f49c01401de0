import { echoPod } from '../inject/echo-pod.ts';
import type { Fault } from '../inject/fault.ts';

/** An address for documentation (RFC 5737), which no node has. */
const NOBODYS = '203.0.113.7';

export const fault: Fault = {
  does: `creates a pod whose hostIP is ${NOBODYS}, which no node has`,
  async inject(door, target) {
    await door.apply([
      echoPod(target, 'hostip-elsewhere', [
        { hostPort: 8091, containerPort: 8080, protocol: 'TCP', hostIP: NOBODYS },
      ]),
    ]);
  },
  restore: (door, target) => door.remove('Pod', target.pod.namespace, 'hostip-elsewhere'),
  subjects: ({ node, pod }) => [{ node, pod: { ...pod, name: 'hostip-elsewhere' } }],
};
