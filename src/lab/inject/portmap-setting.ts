import { changePortmap } from '../../path/heal/list-document.ts';
import { editActiveList, rememberList, restoreConfDir } from './conf-dir.ts';
import type { Fault, FaultTarget } from './fault.ts';

/** A failure of pods that were created with other settings on the portmap entry of the configuration in use. */
export function portmapSetting(
  does: string,
  settingsOf: (target: FaultTarget) => Record<string, unknown>,
): Fault {
  return {
    does,
    remember: rememberList,
    async inject(door, target) {
      const settings = settingsOf(target);
      await editActiveList(door, target.node, (list) =>
        changePortmap(list, (portmap) => ({ ...portmap, ...settings })),
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
}
