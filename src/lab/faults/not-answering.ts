import type { HostPort } from '../../path/model/finding.ts';
import type { Fault, FaultDoor, FaultTarget } from '../inject/fault.ts';
import { podLink } from '../inject/pod-link.ts';

function inNamespace(
  door: FaultDoor,
  { node }: FaultTarget,
  netns: string,
  ...words: string[]
): Promise<string> {
  return door.run(node, ['ip', 'netns', 'exec', netns, 'iptables', '-w', ...words]);
}

/** As iptables prints it. */
function dropOf({ protocol, containerPort }: HostPort): string[] {
  const name = protocol.toLowerCase();
  return ['-p', name, '-m', name, '--dport', String(containerPort), '-j', 'DROP'];
}

export const fault: Fault = {
  does: "drops packets to the application's port inside the pod, where no inspection of the node shows it",
  async inject(door, target) {
    const { netns } = await podLink(door, target);
    await inNamespace(door, target, netns, '-I', 'INPUT', ...dropOf(target.port));
  },
  async restore(door, target) {
    // The rule disappears with the pod's namespace; if it still exists, it is in that namespace only.
    for (const netns of await door.list(target.node, '/run/netns')) {
      const rules = (await inNamespace(door, target, netns, '-S', 'INPUT')).split('\n');
      if (rules.includes(['-A', 'INPUT', ...dropOf(target.port)].join(' '))) {
        await inNamespace(door, target, netns, '-D', 'INPUT', ...dropOf(target.port));
      }
    }
  },
};
