import type { Fault } from '../inject/fault.ts';
import { bringPortmapBack, putPortmapAside } from '../inject/plugin-files.ts';

export const fault: Fault = {
  does: 'removes portmap from the plugin directory, and recreates the pod',
  async inject(door, target) {
    await door.recreate(target, async () => {
      await putPortmapAside(door, target);
    });
  },
  restore: bringPortmapBack,
};
