import { restoreConfDir, snapshotConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';
import { hasRule, iptablesIn } from '../inject/table.ts';

/** Matches packets that belong to no mapping: the fault must show, and do no harm. */
const FOREIGN = [
  ...['PREROUTING', '-p', 'tcp', '-m', 'tcp', '--dport', '9099'],
  ...['-j', 'MARK', '--set-xmark', '0x2000/0x2000'],
];

export const fault: Fault = {
  does: 'adds a rule by which another component marks its packets with the same bit',
  remember: (door, { node }) => snapshotConfDir(door, node),
  async inject(door, { node }) {
    await iptablesIn(door, node, 'mangle', '-A', ...FOREIGN);
  },
  async restore(door, { node }, memo) {
    // Healing has set another bit for portmap.
    await restoreConfDir(door, node, memo);
    if (await hasRule(door, node, 'mangle', ...FOREIGN)) {
      await iptablesIn(door, node, 'mangle', '-D', ...FOREIGN);
    }
  },
};
