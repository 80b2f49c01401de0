import type { Fault } from '../inject/fault.ts';
import { iptablesIn, puttingBackTable } from '../inject/table.ts';

/** As kube-router names the chain of a pod: a hash of namespace and name follows. */
const POD_CHAIN = 'KUBE-POD-FW-HOSTPORTFAULT00';

export const fault: Fault = {
  does: "drops packets to the container's port in a chain like the one that kube-router creates for a pod that a policy isolates",
  ...puttingBackTable('filter'),
  async inject(door, { node, pod, port }) {
    const toPod = ['-d', `${pod.address}/32`];
    const filter = (...words: string[]) => iptablesIn(door, node, 'filter', ...words);
    await filter('-N', POD_CHAIN);
    await filter(
      ...[
        '-A',
        POD_CHAIN,
        ...toPod,
        '-p',
        port.protocol.toLowerCase(),
        '--dport',
        String(port.containerPort),
      ],
      ...['-m', 'comment', '--comment', `default rule to REJECT traffic destined for POD name:${pod.name}`],
      ...['-j', 'DROP'],
    );
    await filter('-I', 'FORWARD', '1', ...toPod, '-j', POD_CHAIN);
  },
};
