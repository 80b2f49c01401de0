import { withoutPortmap } from '../../path/heal/list-document.ts';
import { editActiveList, puttingBackConfDir, restoreConfDir, snapshotConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: 'recreates the pod while the configuration has no portmap, then restores the configuration',
  ...puttingBackConfDir,
  async inject(door, target) {
    const before = await snapshotConfDir(door, target.node);
    await door.recreate(target, () => editActiveList(door, target.node, withoutPortmap));
    await door.untilRunning(target);
    await restoreConfDir(door, target.node, before);
  },
};
