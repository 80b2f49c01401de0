import { type Fault, type FaultDoor, type FaultTarget, UnsuitableTarget } from '../inject/fault.ts';

/** The table of the fault: at the device itself, where no chain of the node's firewall sees what is dropped. */
const TABLE = 'hostport_fault';

/** The device that has the node's address. */
async function deviceOf(door: FaultDoor, { node, nodeAddress }: FaultTarget): Promise<string> {
  const shown = await door.run(node, ['ip', '-o', 'address', 'show', 'to', `${nodeAddress}/32`]);
  const device = shown.match(/^\d+: (\S+)/)?.[1];
  if (device === undefined)
    throw new UnsuitableTarget(
      `no device has the node's address ${nodeAddress}`,
      'choose another node with --node',
    );
  return device;
}

export const fault: Fault = {
  does: "drops packets from other machines to the port at the node's device, by a condition that the doctor does not follow, as a firewall in front of the node does",
  async inject(door, target) {
    const { node, port } = target;
    const device = await deviceOf(door, target);
    const chain = `{ type filter hook ingress device "${device}" priority 0; policy accept; }`;
    await door.run(node, ['nft', '-f', '-'], {
      stdin: [
        `add table netdev ${TABLE}`,
        `add chain netdev ${TABLE} ingress ${chain}`,
        // Of every packet, but not a condition that is modelled.
        `add rule netdev ${TABLE} ingress meta length gt 0 ${port.protocol.toLowerCase()} dport ${port.hostPort} drop`,
        '',
      ].join('\n'),
    });
  },
  async restore(door, { node }) {
    // Added first, so that it can be deleted whether it was there or not.
    await door.run(node, ['nft', '-f', '-'], {
      stdin: `add table netdev ${TABLE}\ndelete table netdev ${TABLE}\n`,
    });
  },
};
