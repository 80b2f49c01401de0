import { DNAT_CHAIN, ENTRY_JUMP } from '../../portmap/layout.ts';
import type { Fault } from '../inject/fault.ts';
import { requireIptables } from '../inject/mapping.ts';
import { hasRule, iptablesIn } from '../inject/table.ts';

export const fault: Fault = {
  does: `removes the jump from PREROUTING to ${DNAT_CHAIN}`,
  remember: requireIptables,
  async inject(door, { node }) {
    await iptablesIn(door, node, 'nat', '-D', 'PREROUTING', ...ENTRY_JUMP);
  },
  async restore(door, { node }) {
    if (!(await hasRule(door, node, 'nat', 'PREROUTING', ...ENTRY_JUMP))) {
      await iptablesIn(door, node, 'nat', '-A', 'PREROUTING', ...ENTRY_JUMP);
    }
  },
};
