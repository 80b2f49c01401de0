import { changePortmap } from '../../path/heal/list-document.ts';
import { editActiveList, puttingBackConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';
import { saveTable } from '../inject/table.ts';

/** The chain that one would name, which is kube-proxy's, and another for nodes on which kube-proxy runs. */
const CHAINS = ['KUBE-MARK-MASQ', 'MARK-FOR-MASQ'];

export const fault: Fault = {
  does: 'sets portmap in the configuration in use to rely on a chain that does not exist, and recreates the pod',
  ...puttingBackConfDir,
  async inject(door, target) {
    const nat = await saveTable(door, target.node, 'nat');
    const externalSetMarkChain = CHAINS.find((chain) => !nat.includes(`\n:${chain} `));
    await door.recreate(target, async () => {
      await editActiveList(door, target.node, (list) =>
        changePortmap(list, (portmap) => ({ ...portmap, externalSetMarkChain })),
      );
    });
  },
};
