import { attachmentChain, DNAT_CHAIN } from '../../portmap/layout.ts';
import { type Fault, UnsuitableTarget } from '../inject/fault.ts';
import { puttingBackMappings } from '../inject/mapping.ts';
import { iptablesIn } from '../inject/table.ts';

/** A container that never was, and an address for documentation (RFC 5737) at the discard port. */
const DEAD = { id: 'dead'.repeat(16), target: '192.0.2.9:9' };

export const fault: Fault = {
  does: "adds the mapping of a deleted container before the pod's, as the reference portmap leaves it",
  ...puttingBackMappings,
  async inject(door, { node, port: { hostPort, protocol } }) {
    const nat = (...words: string[]) => iptablesIn(door, node, 'nat', ...words);
    const port = String(hostPort);
    const match = ['-p', protocol.toLowerCase()];
    const network = (await nat('-S', DNAT_CHAIN)).match(/dnat name: \\"([^"\\]+)\\"/)?.[1];
    if (network === undefined)
      throw new UnsuitableTarget(
        `no rule of ${DNAT_CHAIN} names its network`,
        'choose another node with --node',
      );
    const chain = attachmentChain(network, DEAD.id);
    await nat('-N', chain);
    await nat(...['-A', chain, ...match, '--dport', port, '-j', 'DNAT', '--to-destination', DEAD.target]);
    await nat(
      ...['-I', DNAT_CHAIN, '1', ...match],
      ...['-m', 'comment', '--comment', `dnat name: "${network}" id: "${DEAD.id}"`],
      ...['-m', 'multiport', '--dports', port, '-j', chain],
    );
  },
};
