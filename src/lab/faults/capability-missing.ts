import { changePortmap } from '../../path/heal/list-document.ts';
import { editActiveList, puttingBackConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: 'removes the capability from the portmap entry of the configuration in use, and recreates the pod',
  ...puttingBackConfDir,
  async inject(door, target) {
    await door.recreate(target, async () => {
      await editActiveList(door, target.node, (list) =>
        changePortmap(list, ({ capabilities, ...rest }) => rest),
      );
    });
  },
};
