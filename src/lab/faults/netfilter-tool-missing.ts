import { changePortmap } from '../../path/heal/list-document.ts';
import { editActiveList, rememberList, restoreConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

/** Where the lab's nodes have the programs that all iptables commands are links to. */
const PROGRAMS = ['/usr/sbin/xtables-nft-multi', '/usr/sbin/xtables-legacy-multi'];

export const fault: Fault = {
  does: 'selects the iptables backend in the configuration, removes the iptables programs, and recreates the pod',
  remember: rememberList,
  async inject(door, target) {
    await door.recreate(target, async () => {
      await editActiveList(door, target.node, (list) =>
        changePortmap(list, (portmap) => ({ ...portmap, backend: 'iptables' })),
      );
      for (const program of PROGRAMS) await door.run(target.node, ['mv', '--', program, `${program}.aside`]);
    });
  },
  async restore(door, target, memo) {
    const names = await door.list(target.node, '/usr/sbin');
    for (const program of PROGRAMS) {
      if (!names.includes(`${program.slice('/usr/sbin/'.length)}.aside`)) continue;
      await door.run(target.node, ['mv', '-f', '--', `${program}.aside`, program]);
    }
    await restoreConfDir(door, target.node, memo);
  },
};
