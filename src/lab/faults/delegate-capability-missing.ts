import { activeList, CONF_DIR, rememberList, restoreConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';
import { BIN_DIR } from '../inject/plugin-files.ts';

const NAME = '00-multus.conf';
const PLUGIN = `${BIN_DIR}/multus`;
/** Where the stand-in for Multus has the list that it delegates to, as the program of the nodes reads it. */
const DELEGATES = '/etc/cni/multus.d';

/**
 * Does what Multus does of a pod's own network: runs the chain that it delegates to, with the port mappings that it was given: here it is given no port mappings.
 * VERSION is answered by portmap, which is in every list of the lab.
 */
const multusFor = (list: string) => `#!/bin/sh
[ "$CNI_COMMAND" = VERSION ] && exec ${BIN_DIR}/portmap
cat >/dev/null
case "$CNI_COMMAND" in
ADD) verb=add ;;
DEL) verb=del ;;
*) exit 0 ;;
esac
exec /usr/local/bin/hostport cni $verb --conf '${list}' --path ${BIN_DIR} --container-id "$CNI_CONTAINERID" --ifname "$CNI_IFNAME" \\
  \${CNI_NETNS:+--netns "$CNI_NETNS"}
`;

export const fault: Fault = {
  does: 'puts a configuration of Multus, as versions before 3.7 generate it, before the list in use, and recreates the pod',
  remember: rememberList,
  async inject(door, target) {
    const { node } = target;
    const { name, list } = await activeList(door, node);
    await door.recreate(target, async () => {
      await door.run(node, ['mkdir', '-p', DELEGATES]);
      const path = `${DELEGATES}/${name}`;
      await door.write(node, path, JSON.stringify(list));
      await door.write(node, PLUGIN, multusFor(path), '0755');
      const multus = {
        cniVersion: list.cniVersion,
        name: 'multus-cni-network',
        type: 'multus',
        delegates: [list],
      };
      await door.write(node, `${CONF_DIR}/${NAME}`, JSON.stringify(multus));
    });
    await door.untilRunning(target);
  },
  async restore(door, target, memo) {
    const { node } = target;
    await restoreConfDir(door, node, memo);
    await door.recreate(target);
    await door.untilRunning(target);
    await door.run(node, ['rm', '-rf', '--', DELEGATES, PLUGIN]);
  },
  subjects: ({ node }) => [{ node }],
};
