import type { Fault } from '../inject/fault.ts';
import { hasRule, iptablesIn } from '../inject/table.ts';

/** In the words and order in which iptables prints it. */
function shadow(address: string, port: number): string[] {
  return [
    ...['-d', `${address}/32`, '-p', 'tcp', '-m', 'tcp', '--dport', String(port)],
    ...['-j', 'DNAT', '--to-destination', `${address}:9`],
  ];
}

export const fault: Fault = {
  does: "adds a translation of the port to the node's own discard port at the head of PREROUTING",
  async inject(door, { node, nodeAddress, port }) {
    const rule = shadow(nodeAddress, port.hostPort);
    await iptablesIn(door, node, 'nat', '-I', 'PREROUTING', '1', ...rule);
  },
  async restore(door, { node, nodeAddress, port }) {
    const rule = shadow(nodeAddress, port.hostPort);
    if (await hasRule(door, node, 'nat', 'PREROUTING', ...rule)) {
      await iptablesIn(door, node, 'nat', '-D', 'PREROUTING', ...rule);
    }
  },
};
