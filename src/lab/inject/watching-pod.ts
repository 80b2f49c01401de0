import type { FaultDoor, FaultTarget } from './fault.ts';

/**
 * A pod on the network of the target's node that does nothing but be probed: what a monitor on the node sees. It keeps running whatever the probe
 * finds.
 */
export function watchingPod(
  { node, pod }: FaultTarget,
  name: string,
  check: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: pod.namespace },
    spec: {
      nodeName: node,
      hostNetwork: true,
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'watch',
          image: 'busybox',
          imagePullPolicy: 'IfNotPresent',
          command: ['sleep', '1000000'],
          livenessProbe: { ...check, periodSeconds: 1, failureThreshold: 1_000_000 },
        },
      ],
    },
  };
}

/** Waits until the kubelet has said what the pod's probe found. */
export async function untilComplaint(door: FaultDoor, { pod }: FaultTarget, name: string): Promise<void> {
  await door.until(`an event about the probe of ${name}`, async () => {
    const reasons = await door.eventReasons(pod.namespace, name);
    return reasons.includes('Unhealthy');
  });
}
