import { readFileSync, writeFileSync } from 'node:fs';
import { parseLinks, runIpBatch } from '../../net/ip-batch.ts';
import { interfaceExists } from '../../net/sysctl.ts';
import type { IptablesNat } from '../../netfilter/iptables/iptables.ts';
import { joinWords, splitWords } from '../../netfilter/iptables/rule-text.ts';
import type { Exec } from '../../sys/exec.ts';
import type { Allocation } from './ipam.ts';

/** The link that carries the node's router address, and its peer: a veth pair, as Cilium has it (not every kernel has dummy). */
const ROUTER_LINK = 'cilium_host';
const ROUTER_PEER = 'cilium_net';
/** Our mark on routes (rtm_protocol): what has it and is not wanted is removed, what lacks it is left alone. */
const ROUTE_PROTOCOL = 150;
const MASQUERADE_CHAIN = 'CILIUM_POST_nat';

/**
 * What a node needs before its first pod: the router address on a link of its own, forwarding, and an `unreachable` route for
 * the node's pods, so that packets to an address that no pod has end here and do not leave by the default route.
 */
export async function prepareNode(exec: Exec, router: string, podCIDR: string): Promise<void> {
  if (!interfaceExists(ROUTER_LINK)) {
    await runIpBatch(exec, [`link add ${ROUTER_LINK} type veth peer name ${ROUTER_PEER}`]);
  }
  const [link] = parseLinks(await runIpBatch(exec, [`address show dev ${ROUTER_LINK}`]));
  const stale = (link?.addresses ?? []).filter(({ address, prefix }) => prefix === 32 && address !== router);
  await runIpBatch(exec, [
    `link set dev ${ROUTER_PEER} up`,
    `link set dev ${ROUTER_LINK} up`,
    ...stale.map(({ address }) => `address delete ${address}/32 dev ${ROUTER_LINK}`),
    `address replace ${router}/32 dev ${ROUTER_LINK}`,
    `route replace unreachable ${podCIDR} metric 4096 proto ${ROUTE_PROTOCOL}`,
  ]);
  const forward = '/proc/sys/net/ipv4/ip_forward';
  if (readFileSync(forward, 'utf8').trim() !== '1') writeFileSync(forward, '1');
}

/** Another node's pods and how to get there. */
export interface NodeRoute {
  podCIDR: string;
  /** The node's InternalIP, on a network that this node is on. */
  via: string;
}

interface IpRoute {
  type?: string;
  dst: string;
  gateway?: string;
  dev?: string;
}

/** Makes the routes to other nodes be `wanted`: replaces what differs, deletes ours that is not wanted. Returns what it did. */
export async function syncNodeRoutes(exec: Exec, wanted: readonly NodeRoute[]): Promise<string[]> {
  const shown = await runIpBatch(exec, [`route show proto ${ROUTE_PROTOCOL}`]);
  const present = (JSON.parse(shown.trim() === '' ? '[]' : shown) as IpRoute[]).filter(
    (route) => route.type !== 'unreachable',
  );
  const has = (dst: string, via: string) =>
    present.some((route) => route.dst === dst && route.gateway === via);
  const commands = [
    ...present
      .filter((route) => !wanted.some((node) => node.podCIDR === route.dst))
      .map((route) => `route delete ${route.dst} proto ${ROUTE_PROTOCOL}`),
    ...wanted
      .filter((node) => !has(node.podCIDR, node.via))
      .map((node) => `route replace ${node.podCIDR} via ${node.via} proto ${ROUTE_PROTOCOL}`),
  ];
  if (commands.length > 0) await runIpBatch(exec, commands);
  return commands;
}

/** The attachments that the kernel shows: a route to one address by a link of ours. */
export async function observeAttachments(exec: Exec, now: number): Promise<Allocation[]> {
  const shown = await runIpBatch(exec, ['route show scope link']);
  const routes = JSON.parse(shown.trim() === '' ? '[]' : shown) as IpRoute[];
  return routes.flatMap(({ dst, dev }) =>
    dev !== undefined && /^lxc[0-9a-f]{12}$/.test(dev) && !dst.includes('/')
      ? [{ link: dev, address: dst, containerId: '', ifName: '', at: now }]
      : [],
  );
}

/** The largest packet of the device with the default route; 1500 without one. */
export async function nodeMtu(exec: Exec): Promise<number> {
  const shown = await runIpBatch(exec, ['route show default']);
  const device = (JSON.parse(shown.trim() === '' ? '[]' : shown) as IpRoute[])[0]?.dev;
  if (device === undefined) return 1500;
  return parseLinks(await runIpBatch(exec, [`address show dev ${device}`]))[0]?.mtu ?? 1500;
}

/**
 * Lets pods reach what is outside the cluster's pods under the node's address: packets from this node's pods to anywhere but
 * `native` are masqueraded. One chain, replaced in one transaction.
 */
export async function syncMasquerade(
  nat: IptablesNat,
  podCIDR: string,
  native: readonly string[],
): Promise<void> {
  const fill = [
    // Declared in a document, a chain that exists is emptied.
    `:${MASQUERADE_CHAIN} - [0:0]`,
    ...native.map((cidr) => joinWords(['-A', MASQUERADE_CHAIN, '-d', cidr, '-j', 'RETURN'])),
    joinWords([
      ...['-A', MASQUERADE_CHAIN, '-s', podCIDR, '-m', 'comment'],
      ...['--comment', 'cilium masquerade non-cluster', '-j', 'MASQUERADE'],
    ]),
  ];
  const jump = [
    ...['POSTROUTING', '-m', 'comment', '--comment', `cilium-feeder: ${MASQUERADE_CHAIN}`],
    ...['-j', MASQUERADE_CHAIN],
  ];
  const lines = (await nat.listChain('POSTROUTING')) ?? [];
  const jumps = lines.some((line) => {
    const words = splitWords(line).slice(1);
    return words.length === jump.length && words.every((word, i) => word === jump[i]);
  });
  const outcome = await nat.restore(jumps ? fill : [...fill, joinWords(['-A', ...jump])]);
  if (!outcome.applied) throw new Error(`masquerade of ${podCIDR}: ${outcome.reason}`);
}
