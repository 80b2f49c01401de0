import { CniError, cniErrorCode, invalidConfig } from '../../../cni/errors.ts';
import type { Plugin } from '../../../cni/plugin.ts';
import { enterSandbox, isNamespace } from '../../../cni/sandbox.ts';
import type { Result } from '../../../cni/types.ts';
import { cniVersions } from '../../../cni/version.ts';
import { parseLinks, runIpBatch } from '../../../net/ip-batch.ts';
import { interfaceExists, setInterfaceSysctl } from '../../../net/sysctl.ts';
import type { Exec } from '../../../sys/exec.ts';
import { messageOf } from '../../../util/errors.ts';
import { type AddressGrant, type AgentApi, CONNECT_TIMEOUT_MS } from './agent-api.ts';
import { deleteOrQueue } from './deletion-queue.ts';

/**
 * A stand-in for Cilium's plugin: a veth pair `lxc…` (host) and the named interface (sandbox), one /32 address from the
 * node's agent, a default route by the agent's router address. How packets get to the pod is the agent's business.
 */
export function ciliumCni(exec: Exec, agent: AgentApi, socket: string): Plugin {
  return {
    name: 'cilium-cni',
    supportedVersions: cniVersions,
    // What Cilium's own lists have. Debugging and the log file have no effect here.
    fields: { 'enable-debug': 'scalar', 'log-file': 'scalar', 'chaining-mode': 'scalar' },

    async add({ containerId, ifName, netns, prevResult }) {
      await connectOr(agent, (reason) => new CniError(cniErrorCode.internal, reason));
      if (prevResult !== undefined) {
        throw invalidConfig(
          'CNI PrevResult supplied, but not in chaining mode -- this is invalid, please set chaining-mode in CNI configuration',
        );
      }
      if (!isNamespace(netns)) {
        throw new CniError(cniErrorCode.invalidNetns, `no network namespace at ${netns}`);
      }
      if (!/^[\w./-]+$/.test(netns)) {
        throw new CniError(cniErrorCode.invalidEnvironment, 'invalid characters in CNI_NETNS', netns);
      }
      const link = hostLink(containerId, ifName);
      const grant = await agent.allocate({ link, containerId, ifName });
      const hostMac = macOf(link);
      const podMac = grant.mac;
      try {
        // Left over from an ADD of the same attachment that was killed.
        const leftOver = interfaceExists(link) ? [`link delete dev ${link}`] : [];
        await runIpBatch(exec, [
          ...leftOver,
          `link add name ${link} mtu ${grant.mtu} address ${hostMac} type veth peer name ${ifName} mtu ${grant.mtu} address ${podMac} netns ${netns}`,
          `link set dev ${link} up`,
        ]);
        setInterfaceSysctl(link, 'rp_filter', '0');
        await agent.createEndpoint(link);
        // From here on this process, and the ip it starts, are in the sandbox.
        enterSandbox(netns);
        await runIpBatch(exec, [
          `address add ${grant.address}/32 dev ${ifName}`,
          `link set dev ${ifName} up`,
          `route add ${grant.router}/32 dev ${ifName} scope link`,
          `route add default via ${grant.router} dev ${ifName}`,
        ]);
      } catch (cause) {
        throw new CniError(
          cniErrorCode.internal,
          `cannot attach ${ifName} of container ${containerId}: ${messageOf(cause)}`,
          '',
          { cause },
        );
      }
      return toResult(grant, { link, ifName, netns, hostMac, podMac });
    },

    async check({ containerId, ifName, netns, prevResult }) {
      await connectOr(agent, (reason) => new CniError(cniErrorCode.tryAgainLater, 'DaemonDown', reason));
      const link = hostLink(containerId, ifName);
      const address = prevResult?.ips[0]?.address.split('/')[0];
      if (address === undefined) throw invalidConfig('prevResult has no address to check');
      if (!interfaceExists(link)) throw missing(`link ${link}`);
      enterSandbox(netns);
      const inside = parseLinks(await runIpBatch(exec, [`address show dev ${ifName}`]))[0];
      if (inside?.up !== true || !inside.addresses.some((entry) => entry.address === address)) {
        throw missing(`address ${address} on ${ifName}, which must be up`);
      }
    },

    async del({ containerId, ifName, warn }) {
      const link = hostLink(containerId, ifName);
      const isQueued = await deleteOrQueue(agent, socket, { link, containerId, ifName });
      if (isQueued) warn('the agent is not there; its next start releases the address');
      // This also deletes the sandbox's end.
      if (!interfaceExists(link)) return;
      try {
        await runIpBatch(exec, [`link delete dev ${link}`]);
      } catch (error) {
        // The runtime may have removed the namespace, and with it the pair, meanwhile.
        if (interfaceExists(link)) throw error;
      }
    },

    gc: async () => {},

    async status() {
      await connectOr(agent, (reason) => new CniError(cniErrorCode.pluginNotAvailable, 'DaemonDown', reason));
      await agent.healthy().catch((cause) => {
        const reason = `Cilium agent healthz check failed: ${messageOf(cause)}`;
        throw new CniError(cniErrorCode.pluginNotAvailable, 'DaemonHealthzFailed', reason, { cause });
      });
    },
  };
}

async function connectOr(agent: AgentApi, toError: (reason: string) => CniError): Promise<void> {
  try {
    await agent.connect(CONNECT_TIMEOUT_MS);
  } catch (cause) {
    throw toError(`unable to connect to Cilium agent: ${messageOf(cause)}`);
  }
}

/** Name of the host's end: `lxc` and 12 hexadecimal digits, which IFNAMSIZ just allows. Source: Cilium 1.20, `Endpoint2IfName`. */
export function hostLink(containerId: string, ifName: string): string {
  return `lxc${digest(`${containerId}:${ifName}`).slice(0, 12)}`;
}

/** A unicast, locally administered address of the host's end. */
function macOf(link: string): string {
  const [first, ...rest] = digest(link).match(/../g)!.slice(0, 6);
  return [((Number.parseInt(first!, 16) & 0xfc) | 2).toString(16).padStart(2, '0'), ...rest].join(':');
}

function digest(text: string): string {
  return new Bun.CryptoHasher('sha256').update(text).digest('hex');
}

function toResult(
  grant: AddressGrant,
  at: { link: string; ifName: string; netns: string; hostMac: string; podMac: string },
): Result {
  return {
    interfaces: [
      { name: at.link, mac: at.hostMac },
      { name: at.ifName, mac: at.podMac, sandbox: at.netns },
    ],
    ips: [{ address: `${grant.address}/32`, gateway: grant.router, interface: 1 }],
    routes: [{ dst: `${grant.router}/32` }, { dst: '0.0.0.0/0', gw: grant.router }],
    dns: {},
  };
}

function missing(what: string): CniError {
  return new CniError(cniErrorCode.internal, `missing: ${what}`);
}
