import type { HostPort } from '../../path/model/finding.ts';
import type { FaultTarget } from './fault.ts';

/** A pod of the lab's echo server with given mappings, on the target's node, for faults that need one more. */
export function echoPod(
  target: FaultTarget,
  name: string,
  ports: readonly HostPort[],
  spec: Readonly<Record<string, unknown>> = { nodeName: target.node },
): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: target.pod.namespace },
    spec: {
      ...spec,
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'echo',
          image: 'inanimate/echo-server',
          imagePullPolicy: 'IfNotPresent',
          ports: ports.map(({ hostPort, containerPort, protocol, hostIP }) => ({
            hostPort,
            containerPort,
            protocol,
            ...(hostIP === undefined ? {} : { hostIP }),
          })),
        },
      ],
    },
  };
}
