import {
  type Cidr,
  contains,
  formatCidr,
  formatSubnet,
  networkOf,
  parseCidr,
  parseSubnet,
  type Subnet,
  subnetsOverlap,
} from '../../../util/cidr.ts';
import { formatIp } from '../../../util/ip.ts';
import type { Field } from './document.ts';

/** The network of the bridge `kind`, which the nodes have their addresses from. */
export const NODE_SUBNET = '172.17.0.0/16';
/** kind's defaults. */
export const DEFAULT_POD_SUBNET = '10.244.0.0/16';
export const DEFAULT_SERVICE_SUBNET = '10.96.0.0/16';

/** What the controller manager cuts out of the pod subnet for each node: `--node-cidr-mask-size`. */
export const NODE_POD_PREFIX = 24;

/** Ranges with a meaning of their own: nothing in them is ever routed to a pod. */
const RESERVED: readonly (readonly [cidr: string, what: string])[] = [
  ['0.0.0.0/8', '"this network"'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['224.0.0.0/3', 'multicast and reserved'],
];

export interface ChosenSubnet {
  subnet: Subnet;
  /** The field that gave it, or the document when none did. Errors about the subnet stand there. */
  field: Field;
  isDefault: boolean;
}

export function defaultSubnet(cidr: string, document: Field): ChosenSubnet {
  return { subnet: parseSubnet(cidr)!, field: document, isDefault: true };
}

/** Reads a CIDR; set host bits are cleared (`10.96.0.1/12` is `10.96.0.0/12`), as kubeadm and kind take them. */
export function readSubnet(field: Field | undefined): ChosenSubnet | undefined {
  const text = field?.string() ?? '';
  if (field === undefined || text === '') return undefined;
  if (text.includes(',')) {
    field.error(`${JSON.stringify(text)} has more than one subnet: want one, as ipFamily is not dual`);
    return undefined;
  }
  return readIPv4(field, text);
}

function readIPv4(field: Field, text: string): ChosenSubnet | undefined {
  if (text.includes(':')) {
    field.error(`${JSON.stringify(text)} is IPv6: want an IPv4 subnet`);
    return undefined;
  }
  const subnet = parseSubnet(text);
  if (subnet === undefined) {
    field.error(`${JSON.stringify(text)} is not a subnet: want ADDRESS/LENGTH, as ${DEFAULT_POD_SUBNET}`);
    return undefined;
  }
  return { subnet, field, isDefault: false };
}

/** The subnets of a cluster with both families that the configuration gives for one purpose. */
export interface ChosenPair {
  ipv4: ChosenSubnet;
  ipv6: { network: Cidr; field: Field };
}

/** kind's defaults for a cluster with both families. */
export const DEFAULT_POD_SUBNET_6 = 'fd00:10:244::/56';
export const DEFAULT_SERVICE_SUBNET_6 = 'fd00:10:96::/112';
/** The network of the nodes, of IPv6. */
export const NODE_SUBNET_6 = 'fd00:172:17::/64';
/** What the controller manager cuts out of the pod subnet for each node (`--node-cidr-mask-size-ipv6`), and of how many bits at most. */
export const NODE_POD_PREFIX_6 = 64;
const MAX_NODE_BITS = 16;

/** Reads `IPv4,IPv6`, in this order: nodes are known by their addresses of the first. */
export function readPair(field: Field | undefined): ChosenPair | undefined {
  const text = field?.string() ?? '';
  if (field === undefined || text === '') return undefined;
  const [first = '', second = '', ...others] = text.split(',').map((part) => part.trim());
  const network = parseCidr(second);
  if (others.length > 0 || network?.ip.family !== 'ipv6' || first.includes(':')) {
    field.error(
      `${JSON.stringify(text)} is not an IPv4 and an IPv6 subnet, as ipFamily dual needs: want them in this order, as ${DEFAULT_POD_SUBNET},${DEFAULT_POD_SUBNET_6}`,
    );
    return undefined;
  }
  const ipv4 = readIPv4(field, first);
  return ipv4 && { ipv4, ipv6: { network, field } };
}

/** `ADDRESS/LENGTH` with the host bits cleared. */
export function formatNetwork(network: Cidr): string {
  return formatCidr({ address: formatIp(networkOf(network)), prefix: network.prefix });
}

/** Reports what is wrong with the two subnets of IPv6 together. */
export function checkPair(pods: ChosenPair['ipv6'], services: ChosenPair['ipv6'], nodes: number): void {
  const [pod, service] = [pods.network, services.network];
  const least = NODE_POD_PREFIX_6 - MAX_NODE_BITS;
  const need = NODE_POD_PREFIX_6 - Math.ceil(Math.log2(nodes));
  if (pod.prefix < least || pod.prefix > need) {
    pods.field.error(
      `${formatNetwork(pod)} cannot give each of ${nodes} nodes a /${NODE_POD_PREFIX_6}: want a /${least} to /${need}`,
    );
  }
  // kube-apiserver refuses more than 20 bits of host part.
  if (service.prefix < 108 || service.prefix > 124) {
    services.field.error(`${formatNetwork(service)} is not usable for services: want a /108 to /124`);
  }
  const overlap = (a: Cidr, b: Cidr) => contains(a, networkOf(b)) || contains(b, networkOf(a));
  if (overlap(pod, service)) {
    pods.field.error(
      `${formatNetwork(pod)} overlaps the service subnet ${formatNetwork(service)}: choose another`,
    );
  }
  for (const { network, field } of [pods, services]) {
    if (overlap(network, parseCidr(NODE_SUBNET_6)!)) {
      field.error(
        `${formatNetwork(network)} overlaps the network of the nodes, ${NODE_SUBNET_6}: choose another`,
      );
    } else if (!UNICAST.some((range) => contains(parseCidr(range)!, network.ip))) {
      field.error(`${formatNetwork(network)} is not of ${UNICAST.join(' or ')}: choose another`);
    }
  }
}

/** Addresses that are routed. Source: RFC 4291, RFC 4193. */
const UNICAST = ['fc00::/7', '2000::/3'];

/** Reports what is wrong with the two subnets together, for a cluster of `nodes` nodes. */
export function checkSubnets(pods: ChosenSubnet, services: ChosenSubnet, nodes: number): void {
  checkReserved(pods);
  checkReserved(services);
  const nodeSubnets = Math.floor(2 ** (NODE_POD_PREFIX - pods.subnet.prefix));
  if (nodeSubnets < nodes) {
    const need = NODE_POD_PREFIX - Math.ceil(Math.log2(nodes));
    pods.field.error(
      `${formatSubnet(pods.subnet)} has room for ${nodeSubnets} of ${nodes} nodes, each of which gets a ` +
        `/${NODE_POD_PREFIX}: want a /${need} or larger`,
    );
  }
  // kube-apiserver refuses more than 20 bits of host part; the cluster DNS is the tenth address.
  if (services.subnet.prefix < 12 || services.subnet.prefix > 28) {
    services.field.error(`${formatSubnet(services.subnet)} is not usable for services: want a /12 to /28`);
  }
  if (subnetsOverlap(pods.subnet, services.subnet)) {
    // One of the two may be the default: the error stands where the person wrote something.
    const [mine, other, what] = pods.isDefault
      ? [services, pods, 'pod subnet']
      : [pods, services, 'service subnet'];
    mine.field.error(
      `${formatSubnet(mine.subnet)} overlaps the ${what} ${formatSubnet(other.subnet)}: choose another`,
    );
  }
}

function checkReserved({ subnet, field }: ChosenSubnet): void {
  if (subnetsOverlap(subnet, parseSubnet(NODE_SUBNET)!)) {
    field.error(`${formatSubnet(subnet)} overlaps the network of the nodes, ${NODE_SUBNET}: choose another`);
  }
  for (const [cidr, what] of RESERVED) {
    if (subnetsOverlap(subnet, parseSubnet(cidr)!)) {
      field.error(`${formatSubnet(subnet)} overlaps ${cidr} (${what}): choose another`);
      return;
    }
  }
}
