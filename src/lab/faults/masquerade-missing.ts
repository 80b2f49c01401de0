import { MASQ_CHAIN } from '../../portmap/layout.ts';
import type { Fault } from '../inject/fault.ts';
import { puttingBackMappings } from '../inject/mapping.ts';
import { iptablesIn } from '../inject/table.ts';

export const fault: Fault = {
  does: `flushes ${MASQ_CHAIN}`,
  ...puttingBackMappings,
  async inject(door, { node }) {
    await iptablesIn(door, node, 'nat', '-F', MASQ_CHAIN);
  },
};
