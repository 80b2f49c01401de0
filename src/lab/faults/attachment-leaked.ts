import { withoutPortmap } from '../../path/heal/list-document.ts';
import { editActiveList, rememberList, restoreConfDir, snapshotConfDir } from '../inject/conf-dir.ts';
import { echoPod } from '../inject/echo-pod.ts';
import type { Fault } from '../inject/fault.ts';
import { removeMapping } from '../inject/mapping.ts';

const LEAVER = 'leaves-its-mapping';

const PORT = 8093;

export const fault: Fault = {
  does: 'creates a pod, removes portmap from the configuration while the pod is deleted, and restores it',
  remember: rememberList,
  async inject(door, target) {
    const before = await snapshotConfDir(door, target.node);
    const pod = { ...target.pod, name: LEAVER };
    await door.apply([echoPod(target, LEAVER, [{ hostPort: PORT, containerPort: 8080, protocol: 'TCP' }])]);
    await door.untilRunning({ ...target, pod });
    await editActiveList(door, target.node, withoutPortmap);
    await door.remove('Pod', pod.namespace, LEAVER);
    await door.untilNoSandbox({ ...target, pod });
    await restoreConfDir(door, target.node, before);
  },
  async restore(door, target, memo) {
    await restoreConfDir(door, target.node, memo);
    await door.remove('Pod', target.pod.namespace, LEAVER);
    await removeMapping(door, target, PORT);
  },
};
