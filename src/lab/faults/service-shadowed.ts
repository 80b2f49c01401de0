import type { Fault } from '../inject/fault.ts';

const NAME = 'same-address';

export const fault: Fault = {
  does: "creates a Service whose external IP is the node's address, with the same port",
  async inject(door, { nodeAddress, pod, port }) {
    await door.apply([
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: NAME, namespace: pod.namespace },
        spec: {
          selector: { run: 'nobody' },
          externalIPs: [nodeAddress],
          ports: [{ port: port.hostPort, targetPort: port.containerPort, protocol: port.protocol }],
        },
      },
    ]);
  },
  restore: (door, { pod }) => door.remove('Service', pod.namespace, NAME),
};
