import { localnetOf } from '../../path/view/localnet.ts';
import type { Fault } from '../inject/fault.ts';
import { podLink } from '../inject/pod-link.ts';
import { readSysctl, writeSysctl } from '../inject/sysctl.ts';

/** On for a device if it is on for either: kube-proxy sets it here. */
const ALL = localnetOf('all');

export const fault: Fault = {
  does: "sets route_localnet to 0 on the pod's device and for all devices",
  async remember(door, target) {
    const name = localnetOf((await podLink(door, target)).device);
    const [value, all] = await Promise.all([name, ALL].map((each) => readSysctl(door, target.node, each)));
    return { name, value: value!, all: all! };
  },
  async inject(door, target) {
    for (const name of [ALL, localnetOf((await podLink(door, target)).device)]) {
      await writeSysctl(door, target.node, name, '0');
    }
  },
  async restore(door, { node }, memo) {
    const { name, value, all } = memo as { name: string; value: string; all: string };
    if (all !== '0') await writeSysctl(door, node, ALL, all);
    // The device went with its pod: nothing to undo.
    const devices = await door.list(node, '/proc/sys/net/ipv4/conf');
    if (devices.some((device) => localnetOf(device) === name)) await writeSysctl(door, node, name, value);
  },
};
