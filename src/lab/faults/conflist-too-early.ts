import { dirname } from 'node:path';
import { AGENT_SOCKET } from '../cilium/cni/agent-api.ts';
import { type Fault, UnsuitableTarget } from '../inject/fault.ts';

const DIRECTORY = dirname(AGENT_SOCKET);

export const fault: Fault = {
  does: "leaves the primary plugin's agent without its socket, as when it has not started again after a crash, and recreates the pod",
  async remember(door, target) {
    if (!(await door.list(target.node, DIRECTORY)).includes('cilium.sock')) {
      throw new UnsuitableTarget(
        'no agent of a primary plugin has a socket there',
        'it needs the network of examples/kind-cilium-portmap',
      );
    }
    return null;
  },
  async inject(door, target) {
    await door.recreate(target, async () => {
      await door.run(target.node, ['mv', '--', AGENT_SOCKET, `${AGENT_SOCKET}.aside`]);
      // Refuses connections, as the socket of a killed agent does.
      await door.run(target.node, ['touch', AGENT_SOCKET]);
    });
  },
  async restore(door, target) {
    if ((await door.list(target.node, DIRECTORY)).includes('cilium.sock.aside')) {
      await door.run(target.node, ['mv', '-f', '--', `${AGENT_SOCKET}.aside`, AGENT_SOCKET]);
    }
  },
};
