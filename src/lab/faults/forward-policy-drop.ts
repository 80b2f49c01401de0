import type { Fault } from '../inject/fault.ts';
import { iptablesIn, puttingBackTable } from '../inject/table.ts';

export const fault: Fault = {
  does: 'sets the policy of FORWARD to DROP, as docker does',
  ...puttingBackTable('filter'),
  async inject(door, { node }) {
    await iptablesIn(door, node, 'filter', '-P', 'FORWARD', 'DROP');
  },
  subjects: ({ node }) => [{ node }],
};
