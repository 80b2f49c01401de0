import { changePortmap } from '../../path/heal/list-document.ts';
import { editActiveList, restoreConfDir, snapshotConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: "sets a condition on portmap's entry of the configuration in use that excludes the network of the nodes, and recreates the pod",
  remember: (door, { node }) => snapshotConfDir(door, node),
  async inject(door, target) {
    // The lab's nodes are in a network of 16 bits.
    const network = `${target.nodeAddress.split('.').slice(0, 2).join('.')}.0.0/16`;
    await editActiveList(door, target.node, (list) =>
      changePortmap(list, (portmap) => ({ ...portmap, conditionsV4: ['!', '-s', network] })),
    );
    await door.recreate(target);
    await door.untilRunning(target);
  },
  async restore(door, target, memo) {
    await restoreConfDir(door, target.node, memo);
    // The pod's rules are those of the configuration that it was created with.
    await door.recreate(target);
    await door.untilRunning(target);
  },
};
