import { changePortmap } from '../../path/heal/list-document.ts';
import { editActiveList, restoreConfDir, snapshotConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: 'sets `"snat": false` on the portmap entry of the configuration in use, and recreates the pod',
  remember: (door, { node }) => snapshotConfDir(door, node),
  async inject(door, target) {
    await editActiveList(door, target.node, (list) =>
      changePortmap(list, (portmap) => ({ ...portmap, snat: false })),
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
