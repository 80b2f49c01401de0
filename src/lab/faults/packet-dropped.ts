import type { Fault, FaultTarget } from '../inject/fault.ts';
import { hasRule, iptablesIn } from '../inject/table.ts';

/** In the words and order in which iptables prints it. */
function dropOf({ nodeAddress, port }: FaultTarget): string[] {
  const protocol = port.protocol.toLowerCase();
  return [
    '-d',
    `${nodeAddress}/32`,
    '-p',
    protocol,
    '-m',
    protocol,
    '--dport',
    String(port.hostPort),
    '-j',
    'DROP',
  ];
}

export const fault: Fault = {
  does: 'drops packets to the port at the head of PREROUTING in table mangle, before they are translated',
  async inject(door, target) {
    await iptablesIn(door, target.node, 'mangle', '-I', 'PREROUTING', '1', ...dropOf(target));
  },
  async restore(door, target) {
    if (await hasRule(door, target.node, 'mangle', 'PREROUTING', ...dropOf(target))) {
      await iptablesIn(door, target.node, 'mangle', '-D', 'PREROUTING', ...dropOf(target));
    }
  },
};
