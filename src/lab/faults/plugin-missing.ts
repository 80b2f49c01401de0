import type { Fault } from '../inject/fault.ts';
import { bringPortmapBack, putPortmapAside } from '../inject/plugin-files.ts';

export const fault: Fault = {
  does: 'takes portmap out of the plugin directory, and makes the pod again',
  async inject(door, target) {
    await door.recreate(target, async () => {
      await putPortmapAside(door, target);
    });
  },
  restore: bringPortmapBack,
};
