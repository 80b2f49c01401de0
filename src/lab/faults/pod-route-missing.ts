import type { Fault } from '../inject/fault.ts';
import { podDevice } from '../inject/pod-link.ts';

export const fault: Fault = {
  does: "deletes the route to the pod's address",
  remember: (door, target) => podDevice(door, target),
  async inject(door, { node, pod }) {
    await door.run(node, ['ip', 'route', 'del', `${pod.address}/32`]);
  },
  async restore(door, { node, pod }, memo) {
    const device = memo as string;
    if (!(await door.list(node, '/sys/class/net')).includes(device)) return;
    await door.run(node, ['ip', 'route', 'replace', `${pod.address}/32`, 'dev', device, 'scope', 'link']);
  },
  subjects: ({ node, pod }) => [{ node, pod }],
};
