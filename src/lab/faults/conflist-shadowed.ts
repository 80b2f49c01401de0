import { nameBefore } from '../../path/heal/conf-plans.ts';
import { formatDocument, withoutPortmap } from '../../path/heal/list-document.ts';
import { activeList, CONF_DIR, puttingBackConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: 'adds a configuration with only the primary plugin that sorts before the one in use, and recreates the pod',
  ...puttingBackConfDir,
  async inject(door, target) {
    await door.recreate(target, async () => {
      const { name, list } = await activeList(door, target.node);
      const before = `${CONF_DIR}/${nameBefore(name, 'a-plain.conflist')}`;
      await door.write(target.node, before, formatDocument(withoutPortmap(list)));
    });
  },
};
