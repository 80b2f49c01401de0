import { labelSelectorMatches } from '../../kube/selectors/label.ts';
import type { Service } from '../../kube/types.ts';
import type { TranslationCandidate } from '../../netfilter/index.ts';
import { FAMILY_NAME, familyOf } from '../../util/family.ts';
import { canonicalAddress, parseIp } from '../../util/ip.ts';
import type { World } from '../model/world.ts';
import { podName } from './pod-name.ts';
import type { PathView, Scene } from './scene.ts';

/** How a Service is reached at an address and port. */
export interface ServiceEntry {
  service: Service;
  kind: 'cluster IP' | 'external IP' | 'load balancer address' | 'node port';
  /** In one spelling; undefined for a node port, which is at every address of every node. */
  address: string | undefined;
  /** Where packets to it go in the pods that the Service selects. */
  targetPort: number | string | undefined;
}

/** The Services that packets to a mapping may be meant for: of its port and protocol, at an address of its node that the mapping serves, too. */
export function servicesAt(path: PathView, scene: Scene): ServiceEntry[] {
  const { port } = path;
  const entries = byPort(scene.world).get(`${port.protocol} ${port.hostPort}`) ?? [];
  return entries.filter(
    (entry) =>
      !leadsToSamePod(entry, path) && (entry.address === undefined || serves(path, entry.address, scene)),
  );
}

/** A Service as people write it. */
export function serviceName({ metadata }: Service): string {
  const { namespace = 'default', name = '' } = metadata ?? {};
  return podName({ namespace, name });
}

/**
 * Whether a translation is kube-proxy's for a Service. Its rules name it in comments (`default/web:http external IP`), and with nftables in the
 * names of chains (`service-2QRHZV4L-default/web/tcp/http`).
 */
export function isOfService({ rule, via, element }: TranslationCandidate, { metadata }: Service): boolean {
  const name = `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;
  const comments = [element?.comment, ...[rule, ...via].map(({ comment }) => comment)];
  if (comments.some((comment) => comment?.split(/[\s:"]/).includes(name))) return true;
  return [rule, ...via].some(({ location }) => NAMED_FOR.exec(location.chain)?.[1] === name);
}

/** How kube-proxy names a chain of nftables: kind, hash, Service, protocol and port. */
const NAMED_FOR = /^[a-z-]+-[A-Z2-7]{8}-([^/]+\/[^/]+)\//;

/** Worked out once for a world: its nodes are looked at one by one. */
const indexes = new WeakMap<World, ReadonlyMap<string, ServiceEntry[]>>();

function byPort(world: World): ReadonlyMap<string, ServiceEntry[]> {
  let index = indexes.get(world);
  if (index === undefined) {
    const found = new Map<string, ServiceEntry[]>();
    for (const service of world.services) {
      for (const [key, entry] of entriesOf(service)) {
        const entries = found.get(key);
        if (entries === undefined) found.set(key, [entry]);
        else entries.push(entry);
      }
    }
    index = found;
    indexes.set(world, index);
  }
  return index;
}

function entriesOf(service: Service): [string, ServiceEntry][] {
  const { spec, status } = service;
  const clusterIPs = spec?.clusterIPs ?? (spec?.clusterIP === undefined ? [] : [spec.clusterIP]);
  const addresses = [
    ...clusterIPs.map((address) => ['cluster IP', address] as const),
    ...(spec?.externalIPs ?? []).map((address) => ['external IP', address] as const),
    ...(status?.loadBalancer?.ingress ?? []).map(({ ip = '' }) => ['load balancer address', ip] as const),
    // "None", or the name of a load balancer.
  ].filter(([, address]) => parseIp(address) !== undefined);
  return (spec?.ports ?? []).flatMap(({ protocol = 'TCP', port, nodePort = 0, targetPort }) => [
    ...addresses.map(([kind, address]): [string, ServiceEntry] => [
      `${protocol} ${port}`,
      { service, kind, address: canonicalAddress(address), targetPort: targetPort ?? port },
    ]),
    ...(nodePort === 0
      ? []
      : [
          [
            `${protocol} ${nodePort}`,
            { service, kind: 'node port', address: undefined, targetPort: targetPort ?? port },
          ] satisfies [string, ServiceEntry],
        ]),
  ]);
}

/** By which k3s' load balancer says whose port its pods have on every node: their mapping is how the Service is reached. */
const K3S_NAME = 'svccontroller.k3s.cattle.io/svcname';
const K3S_NAMESPACE = 'svccontroller.k3s.cattle.io/svcnamespace';

/** Whether it makes no difference which of the two gets a packet: both lead to the same port of the pod, or the mapping is the Service's own. */
function leadsToSamePod({ service, targetPort }: ServiceEntry, { pod, port }: PathView): boolean {
  const { labels = {} } = pod.metadata ?? {};
  if (
    labels[K3S_NAME] === service.metadata?.name &&
    (labels[K3S_NAMESPACE] ?? service.metadata?.namespace) === service.metadata?.namespace
  )
    return true;
  const matchLabels = service.spec?.selector ?? {};
  return (
    service.metadata?.namespace === pod.metadata?.namespace &&
    // Without a selector somebody else says where it leads.
    Object.keys(matchLabels).length > 0 &&
    labelSelectorMatches({ matchLabels }, labels) &&
    (typeof targetPort === 'number' ? targetPort === port.containerPort : hasPortNamed(targetPort, pod, port))
  );
}

function hasPortNamed(
  name: string | undefined,
  { spec }: PathView['pod'],
  { containerPort }: PathView['port'],
): boolean {
  return (spec?.containers ?? []).some(({ ports = [] }) =>
    ports.some((entry) => entry.name === name && entry.containerPort === containerPort),
  );
}

/** Whether a mapping takes packets to an address: one of its node's, and the mapping's own or any. */
function serves({ node, port, subject, family }: PathView, address: string, scene: Scene): boolean {
  if (node === undefined || FAMILY_NAME[familyOf(address)] !== family) return false;
  if (port.hostIP !== undefined && port.hostIP !== '::') return canonicalAddress(port.hostIP) === address;
  const isLocal = node.isLocal(address);
  if (isLocal !== undefined) return isLocal;
  const own = scene.addressOf(node.name, subject.family ?? family);
  return own !== undefined && canonicalAddress(own) === address;
}
