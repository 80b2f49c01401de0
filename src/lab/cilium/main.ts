import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ApiClient } from '../../kube/client.ts';
import { inClusterConfig } from '../../kube/kubeconfig.ts';
import { logger, terminationSignal } from '../../sys/daemon.ts';
import { realExec } from '../../sys/exec.ts';
import { formatSubnet, parseSubnet } from '../../util/cidr.ts';
import { messageOf, UserError } from '../../util/errors.ts';
import { Agent } from './agent.ts';
import { AGENT_SOCKET } from './cni/agent-api.ts';

/** `cilium-agent`, the stand-in for Cilium's: runs until SIGTERM and leaves the datapath as it is. */
export async function main(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      'node-name': { type: 'string', default: process.env.NODE_NAME ?? '' },
      'host-root': { type: 'string', default: '/host' },
      'ipv4-native-routing-cidr': { type: 'string', default: '' },
      'cni-exclusive': { type: 'string', default: 'true' },
      'cni-chaining-mode': { type: 'string', default: 'none' },
      'plugin-dir': { type: 'string', default: '/opt/cilium/bin' },
      'state-dir': { type: 'string', default: '/var/run/cilium/state' },
      socket: { type: 'string', default: AGENT_SOCKET },
    },
  });
  const log = logger('cilium-agent');
  const { signal, dispose } = terminationSignal();
  try {
    if (values['node-name'] === '') throw new UserError('cilium-agent: --node-name or NODE_NAME must be set');
    const native = parseSubnet(values['ipv4-native-routing-cidr']);
    if (native === undefined)
      throw new UserError(
        'cilium-agent: --ipv4-native-routing-cidr must be an IPv4 subnet: where pods keep their addresses',
      );
    const client = new ApiClient({ ...(await inClusterConfig()), userAgent: 'hostport-cilium-stand-in' });
    const agent = new Agent({
      client,
      exec: realExec,
      nodeName: values['node-name'],
      pluginSource: values['plugin-dir'],
      pluginTarget: join(values['host-root'], 'opt/cni/bin'),
      configTarget: join(values['host-root'], 'etc/cni/net.d'),
      statePath: join(values['state-dir'], 'ipam.json'),
      socket: values.socket,
      cniExclusive: oneOf('cni-exclusive', ['true', 'false'], values['cni-exclusive']) === 'true',
      cniChainingMode: oneOf('cni-chaining-mode', ['none', 'portmap'], values['cni-chaining-mode']),
      nativeCidr: formatSubnet(native),
      log,
    });
    await agent.run(signal);
    log('stopped; pods keep their network');
    return 0;
  } catch (error) {
    log(messageOf(error));
    return 1;
  } finally {
    dispose();
  }
}

function oneOf<T extends string>(option: string, values: readonly T[], value: string): T {
  const found = values.find((known) => known === value);
  if (found === undefined) throw new UserError(`cilium-agent: --${option} must be ${values.join(' or ')}`);
  return found;
}
