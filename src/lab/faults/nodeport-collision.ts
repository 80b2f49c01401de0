import { echoPod } from '../inject/echo-pod.ts';
import type { Fault, FaultTarget } from '../inject/fault.ts';

/** A port of the default range of nodePorts for each node: a nodePort is the whole cluster's, and failures may be on several nodes at once. */
function portFor({ nodeAddress }: FaultTarget): number {
  return 30_091 + Number(nodeAddress.split('.').at(-1));
}

export const fault: Fault = {
  does: 'creates a pod with a hostPort in the nodePort range, and a Service with that nodePort',
  async inject(door, target) {
    await door.apply([
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'same-node-port', namespace: target.pod.namespace },
        spec: {
          type: 'NodePort',
          selector: { run: 'nobody' },
          ports: [{ port: 80, targetPort: 8080, nodePort: portFor(target), protocol: 'TCP' }],
        },
      },
      echoPod(target, 'same-node-port', [
        { hostPort: portFor(target), containerPort: 8080, protocol: 'TCP' },
      ]),
    ]);
    await door.untilRunning({ pod: { ...target.pod, name: 'same-node-port' } });
  },
  async restore(door, target) {
    await door.remove('Pod', target.pod.namespace, 'same-node-port');
    await door.remove('Service', target.pod.namespace, 'same-node-port');
  },
  subjects: ({ node, pod }) => [{ node, pod: { ...pod, name: 'same-node-port' } }],
};
