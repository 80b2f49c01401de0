import type { UdpFlow } from '../netfilter/conntrack.ts';
import { parseNatTarget } from '../netfilter/read/nat-target.ts';
import { parseAddress } from '../util/address.ts';
import type { Family } from '../util/family.ts';
import { type IpAddress, ipOf } from '../util/ip.ts';
import type { InstalledMapping } from './rules.ts';

/**
 * Where installed mappings lead. Ours lead to one address and port; rules of other plugins, or ones that were changed by hand, may have
 * ranges, no port, or something that is not read here at all.
 */

/** The one address that a target leads to; undefined when it is a range, has none, or cannot be read. */
export function addressIn(target: string): IpAddress | undefined {
  const address = parseNatTarget(target)?.address;
  return address === undefined || address.from !== address.to ? undefined : ipOf(address.from);
}

/** The family of the addresses of a target; undefined when it has none or cannot be read. */
export function familyIn(target: string): Family | undefined {
  const address = parseNatTarget(target)?.address;
  return address && ipOf(address.from).family;
}

/** Whether a target leads to this address; no when it cannot be read. */
export function isLedTo(target: string, address: string): boolean {
  const among = parseNatTarget(target)?.address;
  return among !== undefined && isWithin(parseAddress(address), among);
}

/** Whether a flow to the host port of a mapping is answered by what the mapping leads to; no when the target cannot be read. */
export function isAnsweredBy(flow: UdpFlow, { hostPort, target }: InstalledMapping): boolean {
  // Without a port in the target, the one that the client sent to stays.
  const port = parseNatTarget(target)?.port ?? { from: hostPort, to: hostPort };
  return isLedTo(target, flow.replySource) && isWithin(flow.replySourcePort, port);
}

function isWithin<T extends number | bigint>(
  value: T | undefined,
  { from, to }: { from: T; to: T },
): boolean {
  return value !== undefined && typeof value === typeof from && value >= from && value <= to;
}
