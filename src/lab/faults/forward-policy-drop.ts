import type { Fault } from '../inject/fault.ts';
import { iptablesIn, puttingBackTable } from '../inject/table.ts';

export const fault: Fault = {
  does: 'flushes the chain FORWARD, and with it what the primary plugin accepts there, and sets its policy to DROP, as a firewall does when it starts',
  ...puttingBackTable('filter'),
  async inject(door, { node }) {
    await iptablesIn(door, node, 'filter', '-F', 'FORWARD');
    await iptablesIn(door, node, 'filter', '-P', 'FORWARD', 'DROP');
  },
  subjects: ({ node }) => [{ node }],
};
