import { DNAT_CHAIN } from '../../portmap/layout.ts';
import type { Fault } from '../inject/fault.ts';
import { puttingBackMappings } from '../inject/mapping.ts';
import { iptablesIn } from '../inject/table.ts';

export const fault: Fault = {
  does: `flushes ${DNAT_CHAIN}, as a firewall that reloads does`,
  ...puttingBackMappings,
  async inject(door, { node }) {
    await iptablesIn(door, node, 'nat', '-F', DNAT_CHAIN);
  },
};
