import { localnetOf } from '../../path/view/localnet.ts';
import type { Fault } from '../inject/fault.ts';
import { podDevice } from '../inject/pod-link.ts';
import { readSysctl, writeSysctl } from '../inject/sysctl.ts';

export const fault: Fault = {
  does: "sets route_localnet to 0 on the pod's device",
  async remember(door, target) {
    const name = localnetOf(await podDevice(door, target));
    return { name, value: await readSysctl(door, target.node, name) };
  },
  async inject(door, target) {
    await writeSysctl(door, target.node, localnetOf(await podDevice(door, target)), '0');
  },
  async restore(door, { node }, memo) {
    const { name, value } = memo as { name: string; value: string };
    // The device went with its pod: nothing to undo.
    const devices = await door.list(node, '/proc/sys/net/ipv4/conf');
    if (devices.some((device) => localnetOf(device) === name)) await writeSysctl(door, node, name, value);
  },
};
