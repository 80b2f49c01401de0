import type { HostPort } from '../../path/model/finding.ts';
import type { Fault } from '../inject/fault.ts';
import { chainOf, requireIptables } from '../inject/mapping.ts';
import { iptablesIn } from '../inject/table.ts';

/** An address for documentation (RFC 5737), and the discard port. */
const NOBODY = '192.0.2.9:9';

function doubled({ hostPort, protocol }: HostPort): string[] {
  return [
    '-p',
    protocol.toLowerCase(),
    '--dport',
    String(hostPort),
    '-j',
    'DNAT',
    '--to-destination',
    NOBODY,
  ];
}

export const fault: Fault = {
  does: "adds a translation to an unused address before the pod's own, in the pod's chain",
  remember: requireIptables,
  async inject(door, target) {
    const chain = await chainOf(door, target);
    await iptablesIn(door, target.node, 'nat', '-I', chain, '1', ...doubled(target.port));
  },
  async restore(door, { node, port }) {
    const rules = await iptablesIn(door, node, 'nat', '-S');
    const chain = rules.match(new RegExp(`^-A (CNI-DN-\\S+) .*--to-destination ${NOBODY}$`, 'm'))?.[1];
    if (chain !== undefined) await iptablesIn(door, node, 'nat', '-D', chain, ...doubled(port));
  },
};
