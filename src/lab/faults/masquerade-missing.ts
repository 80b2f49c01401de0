import { MASQ_CHAIN } from '../../portmap/layout.ts';
import type { Fault } from '../inject/fault.ts';
import { iptablesIn, puttingBackTable } from '../inject/table.ts';

export const fault: Fault = {
  does: `flushes ${MASQ_CHAIN}`,
  ...puttingBackTable('nat'),
  async inject(door, { node }) {
    await iptablesIn(door, node, 'nat', '-F', MASQ_CHAIN);
  },
};
