import { attachmentChain, DNAT_CHAIN } from '../../portmap/layout.ts';
import type { Fault } from '../inject/fault.ts';
import { iptablesIn, puttingBackTable } from '../inject/table.ts';

/** A container that never was, and an address for documentation (RFC 5737) at the discard port. */
const DEAD = { id: 'dead'.repeat(16), target: '192.0.2.9:9' };

export const fault: Fault = {
  does: "adds the mapping of a deleted container before the pod's, as the reference portmap leaves it",
  ...puttingBackTable('nat'),
  async inject(door, { node, port: { hostPort } }) {
    const nat = (...words: string[]) => iptablesIn(door, node, 'nat', ...words);
    const port = String(hostPort);
    const network = (await nat('-S', DNAT_CHAIN)).match(/dnat name: \\"([^"\\]+)\\"/)?.[1];
    if (network === undefined) throw new Error(`node ${node}: ${DNAT_CHAIN} names no network`);
    const chain = attachmentChain(network, DEAD.id);
    await nat('-N', chain);
    await nat(...['-A', chain, '-p', 'tcp', '--dport', port, '-j', 'DNAT', '--to-destination', DEAD.target]);
    await nat(
      ...['-I', DNAT_CHAIN, '1', '-p', 'tcp'],
      ...['-m', 'comment', '--comment', `dnat name: "${network}" id: "${DEAD.id}"`],
      ...['-m', 'multiport', '--dports', port, '-j', chain],
    );
  },
};
