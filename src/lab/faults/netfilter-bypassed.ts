import type { Fault } from '../inject/fault.ts';
import { iptablesIn, puttingBackTable } from '../inject/table.ts';

export const fault: Fault = {
  does: "exempts the pod's port from connection tracking (NOTRACK in table raw)",
  ...puttingBackTable('raw'),
  async inject(door, { node, port }) {
    const match = ['-p', port.protocol.toLowerCase(), '--dport', String(port.hostPort)];
    await iptablesIn(door, node, 'raw', '-I', 'PREROUTING', '1', ...match, '-j', 'CT', '--notrack');
  },
};
