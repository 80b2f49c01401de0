import { editActiveList, rememberList, restoreConfDir } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';
import { bringPortmapBack, portmapPaths, putPortmapAside } from '../inject/plugin-files.ts';

/** What a portmap of the first releases answers, which know nothing newer than 0.3.1. */
const OLD_PORTMAP = `#!/bin/sh
if [ "$CNI_COMMAND" = VERSION ]; then
  echo '{"cniVersion":"0.3.1","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1"]}'
  exit 0
fi
echo '{"code":1,"msg":"incompatible CNI versions","details":"plugin supports [\\"0.1.0\\" \\"0.2.0\\" \\"0.3.0\\" \\"0.3.1\\"]"}'
exit 1
`;

export const fault: Fault = {
  does: 'replaces portmap with one that supports CNI only up to 0.3.1, sets cniVersion 0.4.0 in the configuration, and recreates the pod',
  remember: rememberList,
  async inject(door, target) {
    await door.recreate(target, async () => {
      await putPortmapAside(door, target);
      await door.write(target.node, portmapPaths.inPlace, OLD_PORTMAP, '0755');
      await editActiveList(door, target.node, (list) => ({ ...list, cniVersion: '0.4.0' }));
    });
  },
  async restore(door, target, memo) {
    await bringPortmapBack(door, target);
    await restoreConfDir(door, target.node, memo);
  },
};
