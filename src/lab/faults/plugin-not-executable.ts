import type { Fault } from '../inject/fault.ts';
import { portmapPaths } from '../inject/plugin-files.ts';

export const fault: Fault = {
  does: "removes the execute permission of portmap's file, and recreates the pod",
  async inject(door, target) {
    await door.recreate(target, async () => {
      await door.run(target.node, ['chmod', '0644', portmapPaths.inPlace]);
    });
  },
  async restore(door, target) {
    await door.run(target.node, ['chmod', '0755', portmapPaths.inPlace]);
  },
};
