import { CniError, cniErrorCode } from '../../cni/errors.ts';
import type { Plugin, PluginRequest } from '../../cni/plugin.ts';
import type { PortMapping, Result, ValidAttachment } from '../../cni/types.ts';
import { cniVersions } from '../../cni/version.ts';
import { formatIp, type IpAddress, isUnspecified, parseCidr, parseIp } from '../../net/ip.ts';
import { localAddressTest } from '../../net/local-addresses.ts';
import { deviceTowards, readRoutes } from '../../net/routes.ts';
import { setInterfaceSysctl } from '../../net/sysctl.ts';
import { deleteUdpFlows, listUdpFlows } from '../../netfilter/conntrack.ts';
import type { IpFamily } from '../../netfilter/iptables.ts';
import type { NatGlance } from '../../netfilter/kernel-rules.ts';
import { takeRulesLock } from '../../netfilter/rules-lock.ts';
import type { Exec } from '../../sys/exec.ts';
import { messageOf } from '../../util/errors.ts';
import { AttachmentFiles, type Attachments } from './attachments.ts';
import { HOST_PORT_TAKEN } from './backend.ts';
import { backends } from './backends.ts';
import { PORTMAP_FIELDS, type PortmapConfig, parsePortmapConfig } from './config.ts';
import { doubtsOf, raise } from './doubts.ts';
import { attachmentChain, type InstalledMapping, mappingsOf, type PodAddress } from './rules.ts';

const families: readonly IpFamily[] = ['ipv4', 'ipv6'];

/**
 * The portmap plugin: makes `hostPort` of a pod reach it, by translation rules on the node. `glance` looks at the tables that
 * `exec` changes, where that is possible.
 */
export function portmap(
  exec: Exec,
  attachments: Attachments = new AttachmentFiles(),
  glance?: (family: IpFamily) => NatGlance | undefined,
): Plugin {
  const backendsFor = (exec: Exec, request: PluginRequest) =>
    backends(exec, attachments, request.warn, glance);

  return {
    name: 'portmap',
    supportedVersions: cniVersions,
    fields: PORTMAP_FIELDS,

    async add(request) {
      const config = parsePortmapConfig(request.config);
      const { prevResult, containerId, ifName, netns } = request;
      if (prevResult === undefined) throw notChained();
      const pods = podAddresses(prevResult, ifName);
      raise(doubtsOf(request.config, config, pods, ownAddressTest()), config.strict, request.warn);
      if (config.portMappings.length === 0) return prevResult;
      await withRulesLock(exec, async (exec) => {
        const chain = attachmentChain(config.networkName, containerId);
        // Before the rules: were we killed between, the next one to want the port must know whose it is.
        const isNew = attachments.record(chain, {
          networkName: config.networkName,
          containerId,
          ifName,
          netns,
          ports: config.portMappings,
        });
        try {
          const replaced = await backendsFor(exec, request).of(config).add(config, containerId, pods);
          for (const gone of replaced) attachments.forget(gone);
        } catch (error) {
          if (isNew && changedNothing(error)) attachments.forget(chain);
          throw error;
        }
      });
      for (const pod of pods) {
        if (config.snat && pod.ip.family === 'ipv4') routeLocalnet(pod);
        await forgetStaleFlows(exec, config, pod, request);
      }
      return prevResult;
    },

    async check(request) {
      const config = parsePortmapConfig(request.config);
      if (request.prevResult === undefined) {
        throw new CniError(cniErrorCode.invalidNetworkConfig, 'required prevResult missing');
      }
      if (config.portMappings.length === 0) return;
      const pods = podAddresses(request.prevResult, request.ifName);
      await backendsFor(exec, request).of(config).check(config, request.containerId, pods);
    },

    async del(request) {
      const { containerId } = request;
      const networkName = request.config.name;
      await withRulesLock(exec, async (exec) => {
        await forgetFlows(
          exec,
          await backendsFor(exec, request).every.remove(networkName, containerId),
          request,
        );
        attachments.forget(attachmentChain(networkName, containerId));
      });
    },

    async gc(request) {
      const valid = validAttachments(request);
      await withRulesLock(exec, async (exec) => {
        const { name } = request.config;
        const rules = backendsFor(exec, request).every;
        const removed = await rules.collect(name, valid);
        // Also chains that nothing leads to any more say nothing of their owner: what we remember does.
        const keep = new Set(valid.map(({ containerID }) => containerID));
        for (const [chain, { networkName, containerId }] of attachments.recorded()) {
          if (networkName !== name || keep.has(containerId)) continue;
          removed.push(...(await rules.remove(networkName, containerId)));
          attachments.forget(chain);
        }
        attachments.tidy();
        await forgetFlows(exec, removed, request);
      });
    },

    async status(request) {
      const config = parsePortmapConfig(request.config);
      await backendsFor(exec, request)
        .of(config)
        .probe(config)
        .catch((error: unknown) => {
          const mapped = [...attachments.recorded().values()].some(
            ({ networkName }) => networkName === config.networkName,
          );
          throw isUnavailable(error) && mapped
            ? new CniError(cniErrorCode.limitedConnectivity, error.message, error.details, { cause: error })
            : error;
        });
    },
  };
}

/**
 * The pod's first address of each family, of the interface that the runtime named. An address that says no interface, or one
 * that is not in the list, counts too: plugins before 0.3.0 could not say.
 */
export function podAddresses(result: Result, ifName: string): PodAddress[] {
  const found = new Map<IpFamily, PodAddress>();
  for (const [i, entry] of result.ips.entries()) {
    const parsed = parseCidr(entry.address);
    if (parsed === undefined) {
      throw new CniError(
        cniErrorCode.invalidNetworkConfig,
        `prevResult.ips[${i}].address must be an address with prefix length, is ${JSON.stringify(entry.address)}`,
      );
    }
    const owner = entry.interface === undefined ? undefined : result.interfaces[entry.interface];
    if (owner !== undefined && (owner.name !== ifName || owner.sandbox === undefined)) continue;
    if (!found.has(parsed.ip.family)) found.set(parsed.ip.family, parsed);
  }
  return families.flatMap((family) => found.get(family) ?? []);
}

/** Whether an ADD failed before it made any rule. */
function changedNothing(error: unknown): boolean {
  return isUnavailable(error) || (error instanceof CniError && error.code === HOST_PORT_TAKEN);
}

function isUnavailable(error: unknown): error is CniError {
  return error instanceof CniError && error.code === cniErrorCode.pluginNotAvailable;
}

function notChained(): CniError {
  return new CniError(cniErrorCode.invalidNetworkConfig, 'portmap must be called as chained plugin');
}

/** Answers whether an address is of this machine; reads what it needs once, and only if it is asked. */
function ownAddressTest(): (ip: IpAddress) => boolean {
  const tests = new Map<IpFamily, (address: string) => boolean>();
  return (ip) => {
    const test = tests.get(ip.family) ?? localAddressTest(ip.family);
    tests.set(ip.family, test);
    return test(formatIp(ip));
  };
}

/**
 * Lets packets from 127.0.0.1 leave towards the pod. By the main routing table, where every CNI plugin has the route to its
 * pods; without a route there is nothing to set.
 */
function routeLocalnet(pod: PodAddress): void {
  const device = deviceTowards(readRoutes(), pod.ip);
  if (device !== undefined) setInterfaceSysctl(device, 'route_localnet', '1');
}

/**
 * Ends UDP flows to a mapped port that go elsewhere than to the pod: conntrack would keep sending a client that does not
 * pause to whoever had the port before. A failure is a warning, as rules are in place and flows end by themselves.
 */
async function forgetStaleFlows(
  exec: Exec,
  config: PortmapConfig,
  pod: PodAddress,
  request: PluginRequest,
): Promise<void> {
  const { family } = pod.ip;
  const mappings = mappingsOf(config, family).filter(({ protocol }) => protocol === 'udp');
  if (mappings.length === 0) return;
  try {
    const isLocal = localAddressTest(family);
    const covers = ({ hostIP }: PortMapping, destination: string) => {
      const host = hostIP === undefined ? undefined : parseIp(hostIP)!;
      const every = host === undefined || isUnspecified(host);
      return every ? isLocal(destination) : destination === formatIp(host);
    };
    for (const hostPort of new Set(mappings.map((mapping) => mapping.hostPort))) {
      const ofPort = mappings.filter((mapping) => mapping.hostPort === hostPort);
      for (const flow of await listUdpFlows(exec, family, hostPort)) {
        const mapping = ofPort.find((one) => covers(one, flow.destination));
        const stays =
          mapping === undefined ||
          (flow.replySource === formatIp(pod.ip) && flow.replySourcePort === mapping.containerPort);
        if (!stays) await deleteUdpFlows(exec, family, flow);
      }
    }
  } catch (error) {
    request.warn(`stale UDP connections not removed: ${messageOf(error)}`);
  }
}

/** Ends the UDP flows that went through removed mappings, and no others. */
async function forgetFlows(
  exec: Exec,
  removed: readonly InstalledMapping[],
  request: PluginRequest,
): Promise<void> {
  try {
    for (const { protocol, hostPort, target } of removed) {
      if (protocol !== 'udp') continue;
      const address = target.slice(0, target.lastIndexOf(':')).replace(/^\[|\]$/g, '');
      const port = Number(target.slice(target.lastIndexOf(':') + 1));
      const family = address.includes(':') ? 'ipv6' : 'ipv4';
      for (const flow of await listUdpFlows(exec, family, hostPort)) {
        if (flow.replySource === address && flow.replySourcePort === port) {
          await deleteUdpFlows(exec, family, flow);
        }
      }
    }
  } catch (error) {
    request.warn(`UDP connections not removed: ${messageOf(error)}`);
  }
}

/**
 * Works alone among all that change rules. What the work runs by the `exec` it is given holds the lock too: when we are killed
 * while iptables has our document, nobody looks at the rules before it is done with it.
 */
async function withRulesLock(exec: Exec, work: (exec: Exec) => Promise<void>): Promise<void> {
  const lock = await takeRulesLock().catch((cause) => {
    throw new CniError(cniErrorCode.tryAgainLater, messageOf(cause), '', { cause });
  });
  try {
    await work({ run: (argv, options) => exec.run(argv, { ...options, inherit: lock.fd }) });
  } finally {
    lock.release();
  }
}

function validAttachments(request: PluginRequest): ValidAttachment[] {
  const value = request.config['cni.dev/valid-attachments'];
  if (!Array.isArray(value) || !value.every((entry) => typeof entry?.containerID === 'string')) {
    throw new CniError(
      cniErrorCode.invalidNetworkConfig,
      `cni.dev/valid-attachments must be a list of attachments, is ${JSON.stringify(value)}`,
    );
  }
  return value as ValidAttachment[];
}
