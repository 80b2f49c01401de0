import { activeList } from '../inject/conf-dir.ts';
import type { Fault } from '../inject/fault.ts';

const NETNS = 'never-deleted';

export const fault: Fault = {
  does: 'attaches a network namespace of its own to the network, and deletes the namespace without a DEL',
  // The list that it was attached by is the one that detaches it, whatever is in use by then.
  remember: async (door, { node }) => (await activeList(door, node)).path,
  async inject(door, target) {
    const { path } = await activeList(door, target.node);
    await door.run(target.node, ['ip', 'netns', 'add', NETNS]);
    await door.run(target.node, [
      ...['hostport', 'cni', 'add', '--conf', path, '--netns', `/run/netns/${NETNS}`],
      ...['--container-id', NETNS, '--ifname', 'eth0', '--cap', 'portMappings=8094:8080'],
    ]);
    await door.run(target.node, ['ip', 'netns', 'del', NETNS]);
  },
  async restore(door, target, memo) {
    await door.run(target.node, [
      ...['hostport', 'cni', 'del', '--conf', String(memo), '--netns', `/run/netns/${NETNS}`],
      ...['--container-id', NETNS, '--ifname', 'eth0'],
    ]);
    if ((await door.list(target.node, '/run/netns')).includes(NETNS)) {
      await door.run(target.node, ['ip', 'netns', 'del', NETNS]);
    }
  },
};
