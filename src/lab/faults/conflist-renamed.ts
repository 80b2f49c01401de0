import { formatDocument } from '../../path/heal/list-document.ts';
import { SUFFIX } from '../../path/stages/configured/conflist-renamed.ts';
import { activeList, CONF_DIR, puttingBackConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

/** What Cilium writes: before 1.14, and since then. */
const OLD = '05-cilium.conf';
const NEW = '05-cilium.conflist';

export const fault: Fault = {
  does: "does what Cilium's exclusive mode does when an agent before 1.14 starts: renames the configuration in use and writes one with only the primary plugin; then recreates the pod",
  ...puttingBackConfDir,
  async inject(door, target) {
    await door.recreate(target, async () => {
      const { path, list } = await activeList(door, target.node);
      const alone = { cniVersion: '0.3.1', name: 'cilium', ...list.plugins[0] };
      await door.write(target.node, `${CONF_DIR}/${OLD}`, formatDocument(alone));
      await door.run(target.node, ['mv', '--', path, `${path}${SUFFIX}`]);
      // An agent's own beside it would be of one that may watch the directory.
      await door.run(target.node, ['rm', '-f', '--', `${CONF_DIR}/${NEW}`]);
    });
  },
};
