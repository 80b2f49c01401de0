import type { Fault } from '../inject/fault.ts';
import { iptablesIn, puttingBackTable } from '../inject/table.ts';

export const fault: Fault = {
  does: 'masquerades everything that goes to the pod, as some primary plugins do',
  ...puttingBackTable('nat'),
  async inject(door, { node, pod }) {
    const rule = [
      '-d',
      `${pod.address}/32`,
      '-m',
      'comment',
      '--comment',
      'masquerade all',
      '-j',
      'MASQUERADE',
    ];
    await iptablesIn(door, node, 'nat', '-A', 'POSTROUTING', ...rule);
  },
};
