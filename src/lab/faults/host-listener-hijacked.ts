import type { Fault } from '../inject/fault.ts';

const LISTENER = 'listens-on-the-node';

export const fault: Fault = {
  does: "runs a process on the node's network that listens on the same port",
  async inject(door, target) {
    await door.apply([
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: LISTENER, namespace: target.pod.namespace },
        spec: {
          nodeName: target.node,
          hostNetwork: true,
          terminationGracePeriodSeconds: 1,
          containers: [
            {
              name: 'echo',
              image: 'inanimate/echo-server',
              imagePullPolicy: 'IfNotPresent',
              env: [{ name: 'PORT', value: String(target.port.hostPort) }],
            },
          ],
        },
      },
    ]);
    await door.untilRunning({ pod: { ...target.pod, name: LISTENER } });
  },
  restore: (door, target) => door.remove('Pod', target.pod.namespace, LISTENER),
};
