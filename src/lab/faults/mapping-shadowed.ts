import type { Fault, FaultTarget } from '../inject/fault.ts';
import { hasRule, iptablesIn } from '../inject/table.ts';

/** In the words and order in which iptables prints it. */
function shadow({ nodeAddress, port: { hostPort, protocol } }: FaultTarget): string[] {
  const name = protocol.toLowerCase();
  return [
    ...['-d', `${nodeAddress}/32`, '-p', name, '-m', name, '--dport', String(hostPort)],
    ...['-j', 'DNAT', '--to-destination', `${nodeAddress}:9`],
  ];
}

export const fault: Fault = {
  does: "adds a translation of the port to the node's own discard port at the head of PREROUTING",
  async inject(door, target) {
    await iptablesIn(door, target.node, 'nat', '-I', 'PREROUTING', '1', ...shadow(target));
  },
  async restore(door, target) {
    const { node } = target;
    const rule = shadow(target);
    if (await hasRule(door, node, 'nat', 'PREROUTING', ...rule)) {
      await iptablesIn(door, node, 'nat', '-D', 'PREROUTING', ...rule);
    }
  },
};
