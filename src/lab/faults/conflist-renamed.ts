import { formatDocument, withoutPortmap } from '../../path/heal/list-document.ts';
import { SUFFIX } from '../../path/stages/configured/conflist-renamed.ts';
import { activeList, CONF_DIR, puttingBackConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

export const fault: Fault = {
  does: "does what Cilium's exclusive mode does when an agent before 1.14 starts: renames the configuration in use and writes one with only the primary plugin; then recreates the pod",
  ...puttingBackConfDir,
  async inject(door, target) {
    await door.recreate(target, async () => {
      const { path, list } = await activeList(door, target.node);
      const alone = formatDocument(withoutPortmap(list));
      await door.write(target.node, `${CONF_DIR}/05-cilium.conflist`, alone);
      await door.run(target.node, ['mv', '--', path, `${path}${SUFFIX}`]);
    });
  },
};
