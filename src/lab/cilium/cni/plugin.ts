import { CniError, cniErrorCode, invalidConfig } from '../../../cni/errors.ts';
import type { Plugin } from '../../../cni/plugin.ts';
import { enterSandbox, isNamespace } from '../../../cni/sandbox.ts';
import type { Result } from '../../../cni/types.ts';
import { cniVersions } from '../../../cni/version.ts';
import { parseLinks, runIpBatch } from '../../../net/ip-batch.ts';
import { deviceTowards, readRoutes } from '../../../net/routes.ts';
import { interfaceExists, setInterfaceSysctl } from '../../../net/sysctl.ts';
import type { Exec } from '../../../sys/exec.ts';
import { messageOf } from '../../../util/errors.ts';
import { parseIp } from '../../../util/ip.ts';
import type { AddressGrant, AgentApi } from './agent-api.ts';

/**
 * A stand-in for Cilium's plugin: a veth pair `lxc…` (host) and the named interface (sandbox), one /32 address from the
 * node's agent, a default route by the agent's router address, a route on the host. No eBPF: packets take the kernel's path.
 */
export function ciliumCni(exec: Exec, agent: AgentApi): Plugin {
  return {
    name: 'cilium-cni',
    supportedVersions: cniVersions,
    fields: {},

    async add({ containerId, ifName, netns }) {
      if (!isNamespace(netns)) {
        throw new CniError(cniErrorCode.invalidNetns, `no network namespace at ${netns}`);
      }
      if (!/^[\w./-]+$/.test(netns)) {
        throw new CniError(cniErrorCode.invalidEnvironment, 'invalid characters in CNI_NETNS', netns);
      }
      const link = hostLink(containerId, ifName);
      const grant = await agent.allocate({ link, containerId, ifName });
      const [hostMac, podMac] = macAddresses(link);
      try {
        // Left over from an ADD of the same attachment that was killed.
        const leftOver = interfaceExists(link) ? [`link delete dev ${link}`] : [];
        await runIpBatch(exec, [
          ...leftOver,
          `link add name ${link} mtu ${grant.mtu} address ${hostMac} type veth peer name ${ifName} mtu ${grant.mtu} address ${podMac} netns ${netns}`,
          `link set dev ${link} up`,
          `route replace ${grant.address}/32 dev ${link} scope link`,
        ]);
        setInterfaceSysctl(link, 'rp_filter', '0');
        setInterfaceSysctl(link, 'forwarding', '1');
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
      const link = hostLink(containerId, ifName);
      const address = prevResult?.ips[0]?.address.split('/')[0];
      const ip = address === undefined ? undefined : parseIp(address);
      if (ip === undefined) {
        throw invalidConfig('prevResult has no address to check');
      }
      if (!interfaceExists(link)) throw missing(`link ${link}`);
      const device = deviceTowards(readRoutes(), ip);
      if (device !== link)
        throw missing(`route to ${address} through ${link} (it leads through ${device ?? 'no device'})`);
      enterSandbox(netns);
      const inside = parseLinks(await runIpBatch(exec, [`address show dev ${ifName}`]))[0];
      if (inside?.up !== true || !inside.addresses.some((entry) => entry.address === address)) {
        throw missing(`address ${address} on ${ifName}, which must be up`);
      }
    },

    async del({ containerId, ifName, warn }) {
      const link = hostLink(containerId, ifName);
      // This also deletes the sandbox's end and the route.
      if (interfaceExists(link)) {
        try {
          await runIpBatch(exec, [`link delete dev ${link}`]);
        } catch (error) {
          // The runtime may have removed the namespace, and with it the pair, meanwhile.
          if (interfaceExists(link)) throw error;
        }
      }
      try {
        await agent.release(link);
      } catch (error) {
        // The agent releases the addresses of links that are gone.
        warn(`cannot release the address now: ${messageOf(error)}`);
      }
    },

    gc: async () => {},

    async status() {
      await agent.healthy().catch((cause) => {
        throw new CniError(cniErrorCode.pluginNotAvailable, messageOf(cause), '', { cause });
      });
    },
  };
}

/** Name of the host's end: `lxc` and 12 hexadecimal digits, which IFNAMSIZ just allows. */
export function hostLink(containerId: string, ifName: string): string {
  return `lxc${digest(`${containerId}/${ifName}`).slice(0, 12)}`;
}

/** Unicast, locally administered addresses: of the host's end and of the sandbox's. */
function macAddresses(link: string): [string, string] {
  const octets = digest(link).match(/../g)!;
  const mac = (parts: string[]) =>
    [((Number.parseInt(parts[0]!, 16) & 0xfc) | 2).toString(16).padStart(2, '0'), ...parts.slice(1)].join(
      ':',
    );
  return [mac(octets.slice(0, 6)), mac(octets.slice(6, 12))];
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
      { name: at.link, mac: at.hostMac, mtu: grant.mtu },
      { name: at.ifName, mac: at.podMac, mtu: grant.mtu, sandbox: at.netns },
    ],
    ips: [{ address: `${grant.address}/32`, gateway: grant.router, interface: 1 }],
    routes: [{ dst: `${grant.router}/32` }, { dst: '0.0.0.0/0', gw: grant.router }],
    dns: {},
  };
}

function missing(what: string): CniError {
  return new CniError(cniErrorCode.internal, `missing: ${what}`);
}
