import type { Fault } from '../inject/fault.ts';
import { bringPortmapBack, portmapPaths, putPortmapAside } from '../inject/plugin-files.ts';

export const fault: Fault = {
  does: 'replaces portmap with one whose ELF header names another processor, and recreates the pod',
  async inject(door, target) {
    await door.recreate(target, async () => {
      await putPortmapAside(door, target);
      const { inPlace, aside } = portmapPaths;
      const scratch = `${aside}.foreign`;
      await door.run(target.node, ['cp', '--', aside, scratch]);
      // e_machine is the two bytes at 18, little endian: 40 is ARM, and "(" is 40.
      await door.run(target.node, ['dd', `of=${scratch}`, 'bs=1', 'seek=18', 'conv=notrunc', 'status=none'], {
        stdin: '(\0',
      });
      await door.run(target.node, ['mv', '-f', '--', scratch, inPlace]);
    });
  },
  restore: bringPortmapBack,
};
