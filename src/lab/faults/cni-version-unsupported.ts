import { editActiveList, puttingBackConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: 'sets a cniVersion that the plugins do not support in the configuration in use, and recreates the pod',
  ...puttingBackConfDir,
  async inject(door, target) {
    await door.recreate(target, async () => {
      await editActiveList(door, target.node, (list) => ({ ...list, cniVersion: '1.9.0' }));
    });
  },
};
