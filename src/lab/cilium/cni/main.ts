import { loopback } from '../../../cni/loopback.ts';
import { pluginMain } from '../../../cni/plugin-main.ts';
import { bunExec } from '../../../sys/bun-exec.ts';
import { AGENT_SOCKET, agentOverSocket } from './agent-api.ts';
import { ciliumCni } from './plugin.ts';

pluginMain({
  'cilium-cni': () => {
    const socket = process.env.CILIUM_SOCK || AGENT_SOCKET;
    return ciliumCni(bunExec, agentOverSocket(socket), socket);
  },
  loopback: () => loopback(bunExec),
});
