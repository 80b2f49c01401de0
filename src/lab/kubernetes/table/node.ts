import { conditionOf } from '../../../kube/conditions.ts';
import { nodeAddresses } from '../../../kube/node-addresses.ts';
import type { Node } from '../../../kube/types.ts';
import { AGE, ageOf, column, NAME, NONE, nameOf, type Printer, wide } from './column.ts';

const ROLE_PREFIX = 'node-role.kubernetes.io/';

function rolesOf(node: Node): string {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(node.metadata?.labels ?? {})) {
    if (key.startsWith(ROLE_PREFIX) && key !== ROLE_PREFIX) roles.add(key.slice(ROLE_PREFIX.length));
    else if (key === 'kubernetes.io/role' && value !== '') roles.add(value);
  }
  return roles.size === 0 ? NONE : [...roles].sort().join(',');
}

function statusOf(node: Node): string {
  const ready = conditionOf(node.status, 'Ready');
  const status = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return node.spec?.unschedulable === true ? `${status},SchedulingDisabled` : status;
}

export const nodePrinter: Printer<Node> = {
  columns: [
    NAME,
    column('Status', 'Whether the node is ready, and whether pods may be scheduled to it'),
    column('Roles', 'The roles of the node'),
    AGE,
    column('Version', 'Version of the kubelet'),
    wide('Internal-IP', 'Address of the node inside the cluster'),
    wide('External-IP', 'Address of the node outside the cluster'),
    wide('OS-Image', 'Operating system'),
    wide('Kernel-Version', 'Version of the kernel'),
    wide('Container-Runtime', 'Container runtime and its version'),
  ],
  row(node, now) {
    const info = node.status?.nodeInfo;
    return [
      nameOf(node),
      statusOf(node),
      rolesOf(node),
      ageOf(node, now),
      info?.kubeletVersion ?? '',
      nodeAddresses(node, 'InternalIP')[0] ?? NONE,
      nodeAddresses(node, 'ExternalIP')[0] ?? NONE,
      info?.osImage || '<unknown>',
      info?.kernelVersion || '<unknown>',
      info?.containerRuntimeVersion || '<unknown>',
    ];
  },
};
