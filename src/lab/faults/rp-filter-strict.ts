import { settingOf } from '../../path/stages/forwarded/rp-filter-strict.ts';
import { reversePathDrops } from '../../path/view/reverse-path-drops.ts';
import { type Fault, type FaultDoor, type FaultTarget, UnsuitableTarget } from '../inject/fault.ts';
import { podLink } from '../inject/pod-link.ts';
import { writeSysctl } from '../inject/sysctl.ts';

/** The veth pair of the second route: its end on the node, and the one in the pod. */
const SECOND = { onNode: 'hp-second0', inPod: 'hp-second1' };

/** Everything, in two halves that are more specific than the default route and leave it alone. */
const HALVES = ['0.0.0.0/1', '128.0.0.0/1'];

/** The pod's default gateway. */
async function routerOf(door: FaultDoor, { node }: FaultTarget, netns: string): Promise<string> {
  const shown = await door.run(node, ['ip', '-n', netns, 'route', 'show', 'default']);
  const router = shown.match(/via (\S+)/)?.[1];
  if (router === undefined)
    throw new UnsuitableTarget('the pod has no default gateway', 'choose another pod with --pod');
  return router;
}

/** Connects to the hostPort from the node, until the kernel has counted a drop. */
async function knock(door: FaultDoor, { node, nodeAddress, pod, port }: FaultTarget): Promise<void> {
  const { protocol, hostPort } = port;
  const target = { address: nodeAddress, port: hostPort };
  const order = { vantage: 'node', node, podUid: pod.uid, protocol, hostPort, target };
  const job = JSON.stringify({ place: { only: 'own-addresses' }, timeoutMs: 200, orders: [order] });
  await door.until('the kernel to drop an answer of the pod', async () => {
    await door.run(node, ['hostport', 'node-probe'], { stdin: job });
    const counters = await door.read(node, '/proc/net/netstat');
    return (reversePathDrops(counters ?? '') ?? 0) > 0;
  });
}

export const fault: Fault = {
  does: 'adds a second route from the pod to its node, through a device with a strict reverse path filter',
  async inject(door, target) {
    const { netns } = await podLink(door, target);
    const [node, pod] = [SECOND.onNode, SECOND.inPod];
    const ip = (...words: string[]) => door.run(target.node, ['ip', ...words]);
    await ip('link', 'add', node, 'type', 'veth', 'peer', 'name', pod, 'netns', netns);
    await ip('link', 'set', node, 'up');
    await ip('-n', netns, 'link', 'set', pod, 'up');
    await writeSysctl(door, target.node, settingOf(node), '1');
    // Answers to 127.0.0.1 come this way now, too.
    await writeSysctl(door, target.node, `net.ipv4.conf.${node}.route_localnet`, '1');
    const router = await routerOf(door, target, netns);
    const mac = (await door.run(target.node, ['cat', `/sys/class/net/${node}/address`])).trim();
    // Static, because the filter drops ARP requests as well.
    await ip('-n', netns, 'neigh', 'replace', router, 'lladdr', mac, 'dev', pod);
    for (const half of HALVES)
      await ip('-n', netns, 'route', 'add', half, 'via', router, 'dev', pod, 'onlink');
    await knock(door, target);
  },
  async restore(door, { node }) {
    // Deleting the device also deletes its other end and the routes through it.
    if ((await door.list(node, '/sys/class/net')).includes(SECOND.onNode)) {
      await door.run(node, ['ip', 'link', 'del', SECOND.onNode]);
    }
  },
};
