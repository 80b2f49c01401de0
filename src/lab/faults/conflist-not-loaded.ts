import { formatDocument, withoutPortmap } from '../../path/heal/list-document.ts';
import { activeList, CONF_DIR, rememberList } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

/** Where a file waits to be moved into the configuration directory: on the same file system, not in it. */
const ASIDE = '/etc/cni/moved-in.conflist';

export const fault: Fault = {
  does: 'lets the runtime load a configuration without portmap, moves the right one in from another directory, and recreates the pod',
  remember: rememberList,
  async inject(door, target) {
    await door.recreate(target, async () => {
      const { path, list } = await activeList(door, target.node);
      const right = (await door.read(target.node, path)) ?? '';
      const plain = formatDocument(withoutPortmap(list));
      await door.run(target.node, ['dd', 'status=none', `of=${path}`], { stdin: plain });
      await door.until('the runtime to load the configuration without portmap', async () => {
        const status = JSON.parse(await door.run(target.node, ['hostport', 'node-report', '-o', 'json'])) as {
          runtime?: { value?: { loadedNetworks?: { value?: { config: string }[] } } };
        };
        const networks = status.runtime?.value?.loadedNetworks?.value ?? [];
        return networks.length > 0 && !networks.some(({ config }) => config.includes('"portmap"'));
      });
      await door.write(target.node, ASIDE, right);
      await door.run(target.node, ['mv', '-f', '--', ASIDE, path]);
    });
  },
  async restore(door, target, memo) {
    await door.run(target.node, ['rm', '-f', '--', ASIDE]);
    // In place: a file that is moved over another is what this failure is about.
    for (const [name, content] of Object.entries(memo as { [name: string]: string })) {
      await door.run(target.node, ['dd', 'status=none', `of=${CONF_DIR}/${name}`], { stdin: content });
    }
  },
};
