import { activeList, puttingBackConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: 'cuts the configuration in use in half',
  ...puttingBackConfDir,
  async inject(door, target) {
    const { path } = await activeList(door, target.node);
    const content = (await door.read(target.node, path)) ?? '';
    await door.write(target.node, path, content.slice(0, Math.floor(content.length / 2)));
  },
};
