import { randomInt } from 'node:crypto';
import { isIP } from 'node:net';
import type { Service } from '../../kube/types.ts';
import { formatIPv4, parseIPv4 } from '../../util/address.ts';
import { type Subnet, subnetContains, subnetSize } from '../../util/cidr.ts';
import { invalidField } from './field-errors.ts';
import type { ApiObject } from './objects.ts';
import { internalError, invalid } from './status-error.ts';

const SERVICE = { group: '', kind: 'Service' };
const NODE_PORT_MIN = 30_000;
const NODE_PORT_MAX = 32_767;

/** Addresses and ports that the Services of the cluster hold. */
export interface Taken {
  addresses: ReadonlySet<string>;
  /** `TCP/30080`. */
  nodePorts: ReadonlySet<string>;
}

/** What is taken by `services`, without the one named `except` (a namespace/name). */
export function takenBy(services: readonly Service[], except: string): Taken {
  const addresses = new Set<string>();
  const nodePorts = new Set<string>();
  for (const { metadata, spec } of services) {
    if (`${metadata?.namespace}/${metadata?.name}` === except) continue;
    if (spec?.clusterIP && spec.clusterIP !== 'None') addresses.add(spec.clusterIP);
    for (const { nodePort, protocol } of spec?.ports ?? []) {
      if (nodePort) nodePorts.add(`${protocol ?? 'TCP'}/${nodePort}`);
    }
  }
  return { addresses, nodePorts };
}

/**
 * Gives a Service the cluster address and node ports that its type asks for, keeping those it has; an update keeps the
 * old ones where the new object leaves them out. Changes `service`; throws Invalid for one that cannot be had.
 */
export function allocate(service: ApiObject, old: ApiObject | undefined, range: Subnet, taken: Taken): void {
  service.spec ??= {};
  const spec = service.spec;
  const type: string = spec.type ?? 'ClusterIP';
  const name = service.metadata.name ?? '';
  if (type === 'ExternalName') {
    spec.clusterIP = undefined;
    spec.clusterIPs = undefined;
    for (const port of spec.ports ?? []) port.nodePort = undefined;
    return;
  }
  if (!spec.clusterIP && spec.clusterIPs?.[0]) spec.clusterIP = spec.clusterIPs[0];
  if (!spec.clusterIP && old?.spec?.clusterIP && old.spec.type !== 'ExternalName')
    spec.clusterIP = old.spec.clusterIP;
  if (!spec.clusterIP) spec.clusterIP = freeAddress(range, taken);
  else if (spec.clusterIP !== 'None' && spec.clusterIP !== old?.spec?.clusterIP) {
    const why = addressProblem(spec.clusterIP, range, taken);
    if (why !== undefined) {
      const error = invalidField(
        'spec.clusterIPs',
        [spec.clusterIP],
        `failed to allocate IP ${spec.clusterIP}: ${why}`,
      );
      throw invalid(SERVICE, name, [error]);
    }
  }
  spec.clusterIPs = [spec.clusterIP];
  if (spec.clusterIP !== 'None') {
    spec.ipFamilies = ['IPv4'];
    spec.ipFamilyPolicy ??= 'SingleStack';
  }
  const wantsNodePorts =
    type === 'NodePort' || (type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
  allocateNodePorts(service, old, wantsNodePorts, taken);
}

function allocateNodePorts(
  service: ApiObject,
  old: ApiObject | undefined,
  wanted: boolean,
  taken: Taken,
): void {
  const used = new Set(taken.nodePorts);
  const ports: NonNullable<Service['spec']>['ports'] = service.spec.ports ?? [];
  const before: typeof ports = old?.spec?.ports ?? [];
  for (const [at, port] of (ports ?? []).entries()) {
    const protocol = port.protocol ?? 'TCP';
    if (!wanted) {
      // Left over from a type that had node ports: released, as Kubernetes does when the type changes.
      if (before?.some(({ nodePort }) => nodePort === port.nodePort)) delete port.nodePort;
      continue;
    }
    const same = before?.find((item) => item.port === port.port && (item.protocol ?? 'TCP') === protocol);
    port.nodePort ||= same?.nodePort;
    if (port.nodePort) {
      const field = `spec.ports[${at}].nodePort`;
      if (port.nodePort < NODE_PORT_MIN || port.nodePort > NODE_PORT_MAX) {
        const why = `provided port is not in the valid range. The range of valid ports is ${NODE_PORT_MIN}-${NODE_PORT_MAX}`;
        throw invalid(SERVICE, service.metadata.name ?? '', [invalidField(field, port.nodePort, why)]);
      }
      if (used.has(`${protocol}/${port.nodePort}`)) {
        const why = 'provided port is already allocated';
        throw invalid(SERVICE, service.metadata.name ?? '', [invalidField(field, port.nodePort, why)]);
      }
    } else port.nodePort = freePort(protocol, used);
    used.add(`${protocol}/${port.nodePort}`);
  }
}

function addressProblem(text: string, range: Subnet, taken: Taken): string | undefined {
  // What is no address at all is for the validation to name.
  if (isIP(text) === 0) return undefined;
  const address = parseIPv4(text);
  if (address === undefined) return 'not a valid IPv4 address';
  if (!subnetContains(range, address) || !isUsable(range, address)) {
    return 'the provided network does not match the current range';
  }
  return taken.addresses.has(text) ? 'provided IP is already allocated' : undefined;
}

/** Neither the network's own address nor its last. */
function isUsable(range: Subnet, address: number): boolean {
  return address > range.network && address < range.network + subnetSize(range) - 1;
}

/** The first address of the range, which belongs to the `kubernetes` Service. */
export function firstAddress(range: Subnet): string {
  return formatIPv4(range.network + 1);
}

function freeAddress(range: Subnet, taken: Taken): string {
  const usable = subnetSize(range) - 2;
  // From a random place on, so that a released address is not assigned to another service soon.
  const start = 1 + randomInt(usable - 1);
  for (let step = 0; step < usable; step++) {
    const offset = 1 + ((start + step) % usable);
    const address = formatIPv4(range.network + offset);
    if (offset !== 1 && !taken.addresses.has(address)) return address;
  }
  throw internalError('failed to allocate a serviceIP: range is full');
}

function freePort(protocol: string, used: ReadonlySet<string>): number {
  const size = NODE_PORT_MAX - NODE_PORT_MIN + 1;
  const start = randomInt(size);
  for (let step = 0; step < size; step++) {
    const port = NODE_PORT_MIN + ((start + step) % size);
    if (!used.has(`${protocol}/${port}`)) return port;
  }
  throw internalError('failed to allocate a nodePort: range is full');
}
