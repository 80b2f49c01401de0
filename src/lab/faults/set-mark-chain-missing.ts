import { changePortmap } from '../../path/heal/list-document.ts';
import { editActiveList, puttingBackConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: 'sets portmap in the configuration in use to rely on a chain KUBE-MARK-MASQ that does not exist, and recreates the pod',
  ...puttingBackConfDir,
  async inject(door, target) {
    await door.recreate(target, async () => {
      await editActiveList(door, target.node, (list) =>
        changePortmap(list, (portmap) => ({ ...portmap, externalSetMarkChain: 'KUBE-MARK-MASQ' })),
      );
    });
  },
};
