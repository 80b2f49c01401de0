import { isPortmap, withoutPortmap } from '../../path/heal/list-document.ts';
import { editActiveList, puttingBackConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: 'puts portmap first in the configuration in use, and recreates the pod',
  ...puttingBackConfDir,
  async inject(door, target) {
    await door.recreate(target, async () => {
      await editActiveList(door, target.node, (list) => ({
        ...list,
        plugins: [...list.plugins.filter(isPortmap), ...withoutPortmap(list).plugins],
      }));
    });
  },
};
