import { CniError, cniErrorCode, invalidConfig } from '../cni/errors.ts';
import type { Plugin, PluginRequest } from '../cni/plugin.ts';
import { formatResult } from '../cni/result.ts';
import type { AttachmentKey } from '../cni/result-cache.ts';
import type { PortMapping, Result, ValidAttachment } from '../cni/types.ts';
import { cniVersions } from '../cni/version.ts';
import { deleteUdpFlows, listUdpFlows } from '../netfilter/conntrack.ts';
import type { Exec } from '../sys/exec.ts';
import { parseCidr } from '../util/cidr.ts';
import { messageOf } from '../util/errors.ts';
import { FAMILIES, type Family } from '../util/family.ts';
import { formatIp, type IpAddress, isUnspecified, parseIp } from '../util/ip.ts';
import { withoutState, withRulesLock } from './alone.ts';
import { attachedAs, everyNameOf, namesOf } from './attached.ts';
import { AttachmentFiles, type Attachments, type Recorded } from './attachments.ts';
import { HOST_PORT_TAKEN } from './backend.ts';
import { type Backends, backends, podsOfOthers } from './backends.ts';
import { conditionsOf, PORTMAP_FIELDS, type PortmapConfig, parsePortmapConfig } from './config.ts';
import { doubtsOf, raise } from './doubts.ts';
import { chainOf, type Owner } from './layout.ts';
import { type Machine, type Rules, thisMachine } from './machine.ts';
import {
  loopbackDevices,
  type NeededByOthers,
  neededByOthers,
  RouteLocalnet,
  withoutRouteLocalnet,
} from './route-localnet.ts';
import { type InstalledMapping, mappingsOf, type PodAddress } from './rules.ts';
import { familyIn, isAnsweredBy, isLedTo } from './target.ts';

/**
 * The portmap plugin: makes `hostPort` of a pod reach it, by translation rules on the node.
 */
export function portmap(
  exec: Exec,
  attachments: Attachments = new AttachmentFiles(),
  machine: Machine = thisMachine,
  routeLocalnet = new RouteLocalnet(machine),
): Plugin {
  const backendsFor = (exec: Exec, request: PluginRequest) =>
    backends(exec, attachments, request.warn, machine);

  /** Forgets mappings that were removed, by the name of their chain. */
  const forget = async (chain: string, isNeeded: NeededByOthers) => {
    await routeLocalnet.release(chain, attachments.devicesOf(chain), isNeeded);
    attachments.forget(chain);
  };

  return {
    name: 'portmap',
    supportedVersions: cniVersions,
    fields: PORTMAP_FIELDS,

    async add(request) {
      const config = parsePortmapConfig(request.config);
      const { prevResult, ifName, netns } = request;
      if (prevResult === undefined) throw notChained();
      // It is the result of this call, too: one that cannot be printed must be known before anything is mapped.
      formatResult(prevResult, request.cniVersion);
      const pods = podAddresses(prevResult, ifName);
      raise(doubtsOf(request.config, config, pods, ownAddressTest(machine)), config.strict, request.warn);
      if (config.portMappings.length === 0) return prevResult;
      const key = keyOf(request);
      const devices = loopbackDevices(machine, config, pods, netns, ifName);
      await withRulesLock(machine, exec, async (exec) => {
        const rules = backendsFor(exec, request);
        const attached = await attachedAs(key, attachments, leadsTo(rules));
        const chain = chainOf(attached);
        const isNeeded = neededByOthers(machine, () => podsOfOthers(rules, request.warn));
        const before = attachments.devicesOf(chain);
        // Before the rules: if this process is killed in between, the next ADD on the port must be able to find its owner.
        const conditions = { ipv4: conditionsOf(config, 'ipv4'), ipv6: conditionsOf(config, 'ipv6') };
        const isNew = attachments.record(chain, {
          ...{ ...key, netns, ports: config.portMappings, devices, conditions },
        });
        try {
          const replaced = await rules.of(config).add(config, attached, pods);
          for (const gone of replaced) await forget(gone, isNeeded);
        } catch (error) {
          if (isNew && changedNothing(error)) attachments.forget(chain);
          throw error;
        }
        routeLocalnet.hold(chain, devices);
        const needed = new Set(devices.map(({ index }) => index));
        const released = before.filter(({ index }) => !needed.has(index));
        if (released.length === 0) return;
        await routeLocalnet.release(chain, released, isNeeded);
        attachments.keepDevices(chain, devices);
      });
      for (const pod of pods) await forgetStaleFlows(machine, exec, config, pod, request);
      return prevResult;
    },

    async check(request) {
      const config = parsePortmapConfig(request.config);
      if (request.prevResult === undefined) {
        throw invalidConfig('required prevResult missing');
      }
      if (config.portMappings.length === 0) return;
      const { netns, ifName } = request;
      const pods = podAddresses(request.prevResult, ifName);
      const rules = backendsFor(exec, request);
      const attached = await attachedAs(keyOf(request), attachments, leadsTo(rules));
      await rules.of(config).check(config, attached, pods);
      const off = withoutRouteLocalnet(machine, loopbackDevices(machine, config, pods, netns, ifName));
      if (off.length === 0) return;
      throw new CniError(
        cniErrorCode.internal,
        `127.0.0.1 does not reach the pod: route_localnet is 0 on ${off.map(({ name }) => name).join(' and ')}`,
      );
    },

    async del(request) {
      const key = keyOf(request);
      const anyway = withoutState(request);
      await withRulesLock(
        machine,
        exec,
        async (exec) => {
          const rules = backendsFor(exec, request);
          const owners = await everyNameOf(key, attachments, leadsTo(rules));
          await forgetFlows(machine, exec, await rules.every.remove(owners, key), request);
          const isNeeded = neededByOthers(machine, () => podsOfOthers(rules, request.warn));
          for (const owner of owners) await anyway(() => forget(chainOf(owner), isNeeded));
        },
        anyway,
      );
    },

    async gc(request) {
      const { name } = request.config;
      const valid = validAttachments(request);
      const anyway = withoutState(request);
      const work = async (exec: Exec) => {
        const all = backendsFor(exec, request);
        const [rules, isNeeded] = [all.every, neededByOthers(machine, () => podsOfOthers(all, request.warn))];
        const recorded = attachments.recorded();
        const kept = keptNames(name, valid, recorded);
        const removed = await rules.collect(name, kept);
        // A chain that nothing leads to any more does not show its owner, but its record does.
        const [keptChains, keptContainers] = [
          new Set(kept.map(chainOf)),
          new Set(kept.map(({ containerId }) => containerId)),
        ];
        for (const [chain, { networkName, containerId, ifName }] of recorded) {
          if (networkName !== name || keptChains.has(chain)) continue;
          const key = { networkName, containerId, ifName: ifName ?? '' };
          const owner = namesOf(key).find((name) => chainOf(name) === chain);
          // A record under a name that belongs to no attachment has no mappings.
          if (owner !== undefined) {
            removed.push(...(await rules.remove([owner], keptContainers.has(containerId) ? undefined : key)));
          }
          await anyway(() => forget(chain, isNeeded));
          recorded.delete(chain);
        }
        await anyway(async () => attachments.tidy());
        await anyway(() =>
          routeLocalnet.tidy(
            (chain, device) => recorded.get(chain)?.devices.some(({ index }) => index === device) ?? false,
            isNeeded,
          ),
        );
        await forgetFlows(machine, exec, removed, request);
      };
      await withRulesLock(machine, exec, work, anyway);
    },

    async status(request) {
      const config = parsePortmapConfig(request.config);
      await withRulesLock(machine, exec, async () => attachments.probe()).catch((error: unknown) => {
        if (!(error instanceof CniError) || error.code !== cniErrorCode.ioFailure) throw error;
        throw new CniError(cniErrorCode.pluginNotAvailable, error.message, error.details, { cause: error });
      });
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
  const found = new Map<Family, PodAddress>();
  for (const [i, entry] of result.ips.entries()) {
    const parsed = parseCidr(entry.address);
    if (parsed === undefined) {
      throw invalidConfig(
        `prevResult.ips[${i}].address must be an address with prefix length, is ${JSON.stringify(entry.address)}`,
      );
    }
    const owner = entry.interface === undefined ? undefined : result.interfaces[entry.interface];
    if (owner !== undefined && (owner.name !== ifName || owner.sandbox === undefined)) continue;
    if (!found.has(parsed.ip.family)) found.set(parsed.ip.family, parsed);
  }
  return FAMILIES.flatMap((family) => found.get(family) ?? []);
}

/** Whether an ADD failed before it added any rule. */
function changedNothing(error: unknown): boolean {
  return isUnavailable(error) || (error instanceof CniError && error.code === HOST_PORT_TAKEN);
}

function isUnavailable(error: unknown): error is CniError {
  return error instanceof CniError && error.code === cniErrorCode.pluginNotAvailable;
}

function notChained(): CniError {
  return invalidConfig('portmap must be called as chained plugin');
}

/** A test for addresses of this machine; reads what it needs once, and only when it is called. */
function ownAddressTest(machine: Rules): (ip: IpAddress) => boolean {
  const tests = new Map<Family, (address: string) => boolean>();
  return (ip) => {
    const test = tests.get(ip.family) ?? machine.localAddressTest(ip.family);
    tests.set(ip.family, test);
    return test(formatIp(ip));
  };
}

/**
 * Ends UDP flows to a mapped port that do not go to the pod: conntrack would keep sending the packets of a busy client to
 * the previous owner of the port. A failure is a warning, as rules are in place and flows end by themselves.
 */
async function forgetStaleFlows(
  machine: Rules,
  exec: Exec,
  config: PortmapConfig,
  pod: PodAddress,
  request: PluginRequest,
): Promise<void> {
  const { family } = pod.ip;
  const mappings = mappingsOf(config, family).filter(({ protocol }) => protocol === 'udp');
  if (mappings.length === 0 || !machine.tracksFlows()) return;
  try {
    const isLocal = machine.localAddressTest(family);
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
  machine: Rules,
  exec: Exec,
  removed: readonly InstalledMapping[],
  request: PluginRequest,
): Promise<void> {
  try {
    const udp = removed.filter(({ protocol }) => protocol === 'udp');
    if (udp.length === 0 || !machine.tracksFlows()) return;
    for (const mapping of udp) {
      const family = familyIn(mapping.target);
      if (family === undefined) continue;
      for (const flow of await listUdpFlows(exec, family, mapping.hostPort)) {
        if (isAnsweredBy(flow, mapping)) await deleteUdpFlows(exec, family, flow);
      }
    }
  } catch (error) {
    request.warn(`UDP connections not removed: ${messageOf(error)}`);
  }
}

/** Null and nothing mean that none is valid: libcni sends null for an empty list. */
function validAttachments(request: PluginRequest): ValidAttachment[] {
  const { config } = request;
  // The second name is what the specification had before 1.1.0 was final; libcni sends both.
  for (const name of ['cni.dev/valid-attachments', 'cni.dev/attachments']) {
    const value = config[name] ?? undefined;
    if (value === undefined) continue;
    const isAttachment = (entry: Partial<ValidAttachment> | null) =>
      typeof entry?.containerID === 'string' && typeof entry.ifname === 'string';
    const isList = Array.isArray(value);
    if (isList && value.every(isAttachment)) return value;
    // Not the value: a node may have thousands of attachments.
    const what = isList
      ? `${name}[${value.findIndex((entry) => !isAttachment(entry))}] must have a containerID and an ifname`
      : `${name} must be a list of attachments`;
    throw invalidConfig(what);
  }
  return [];
}

/**
 * The names whose mappings of a network stay. Mappings under a container's name belong to the interface in its record; without a
 * record they stay when any interface of the container is valid.
 */
function keptNames(
  networkName: string,
  valid: readonly ValidAttachment[],
  recorded: ReadonlyMap<string, Recorded>,
): Owner[] {
  const pairs = new Set(valid.map(({ containerID, ifname }) => `${containerID} ${ifname}`));
  return valid.flatMap(({ containerID, ifname }) => {
    const [byContainer, byInterface] = namesOf({ networkName, containerId: containerID, ifName: ifname });
    const ifName = recorded.get(chainOf(byContainer))?.ifName;
    const isKept = ifName === undefined || pairs.has(`${containerID} ${ifName}`);
    return isKept ? [byContainer, byInterface] : [byInterface];
  });
}

function keyOf({ config, containerId, ifName }: PluginRequest): AttachmentKey {
  return { networkName: config.name, containerId, ifName };
}

/** Whether the mappings under a name lead to one of these addresses. */
function leadsTo({ every }: Backends) {
  return async (owner: Owner, addresses: ReadonlySet<string>): Promise<boolean> =>
    (await every.mapped(owner)).some(({ target }) =>
      [...addresses].some((address) => isLedTo(target, address)),
    );
}
