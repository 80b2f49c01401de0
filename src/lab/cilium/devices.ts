import { readFileSync, writeFileSync } from 'node:fs';
import { parseLinks, runIpBatch } from '../../net/ip-batch.ts';
import { interfaceExists, setInterfaceSysctl } from '../../net/sysctl.ts';
import type { Exec } from '../../sys/exec.ts';

/** The link that carries the node's router address and by which packets leave for pods, and its peer. */
export const ROUTER_LINK = 'cilium_host';
const ROUTER_PEER = 'cilium_net';

/** Settings of both. Source: Cilium 1.20, pkg/datapath/loader/netlink.go. */
const OF_BOTH = { forwarding: '1', rp_filter: '0', accept_local: '1', send_redirects: '0' };

/** Settings of the node. Source: Cilium 1.20, pkg/datapath/loader/base.go; forwarding is what its eBPF does without. */
const OF_NODE = { ip_forward: '1', fib_multipath_use_neigh: '1' };

/**
 * What a node needs before its first pod: the pair cilium_host and cilium_net, the router address and the route to the node's pods
 * through it, forwarding. Returns the MAC of cilium_host. It sends without asking for MACs, so what continues to a pod has this one.
 */
export async function prepareDevices(exec: Exec, router: string, podCIDR: string): Promise<string> {
  if (!interfaceExists(ROUTER_LINK)) {
    await runIpBatch(exec, [`link add ${ROUTER_LINK} type veth peer name ${ROUTER_PEER}`]);
  }
  const [link] = parseLinks(await runIpBatch(exec, [`address show dev ${ROUTER_LINK}`]));
  if (link === undefined) throw new Error(`${ROUTER_LINK} is gone`);
  const stale = link.addresses.filter(({ address, prefix }) => prefix === 32 && address !== router);
  for (const name of [ROUTER_LINK, ROUTER_PEER]) {
    for (const [key, value] of Object.entries(OF_BOTH)) setInterfaceSysctl(name, key, value);
  }
  setInterfaceSysctl('all', 'rp_filter', '0');
  for (const [key, value] of Object.entries(OF_NODE)) setNodeSysctl(key, value);
  await runIpBatch(exec, [
    `link set dev ${ROUTER_PEER} arp off up`,
    `link set dev ${ROUTER_LINK} arp off up`,
    ...stale.map(({ address }) => `address delete ${address}/32 dev ${ROUTER_LINK}`),
    `address replace ${router}/32 dev ${ROUTER_LINK}`,
    `route replace ${router}/32 dev ${ROUTER_LINK} proto kernel scope link`,
    `route replace ${podCIDR} via ${router} dev ${ROUTER_LINK} proto kernel src ${router}`,
  ]);
  return link.mac;
}

function setNodeSysctl(key: string, value: string): void {
  const path = `/proc/sys/net/ipv4/${key}`;
  if (readFileSync(path, 'utf8').trim() !== value) writeFileSync(path, value);
}

/** Another node's pods and how to get there. */
export interface NodeRoute {
  podCIDR: string;
  /** The node's InternalIP, on a network that this node is on. */
  via: string;
}

interface IpRoute {
  dst: string;
  gateway?: string;
  dev?: string;
}

/**
 * Makes the routes to other nodes be `wanted`: replaces what differs, deletes ours that is not wanted. Returns what it did. Ours are
 * those that say the kernel made them and have a gateway, as Cilium's do: the kernel's own have none.
 */
export async function syncNodeRoutes(exec: Exec, wanted: readonly NodeRoute[]): Promise<string[]> {
  const present = await showRoutes(exec, 'proto kernel');
  const ours = present.filter(({ gateway, dev }) => gateway !== undefined && dev !== ROUTER_LINK);
  const has = (dst: string, via: string) => ours.some((route) => route.dst === dst && route.gateway === via);
  const commands = [
    ...ours
      .filter((route) => !wanted.some((node) => node.podCIDR === route.dst))
      .map((route) => `route delete ${route.dst} proto kernel`),
    ...wanted
      .filter((node) => !has(node.podCIDR, node.via))
      .map((node) => `route replace ${node.podCIDR} via ${node.via} proto kernel`),
  ];
  if (commands.length > 0) await runIpBatch(exec, commands);
  return commands;
}

/** The largest packet of the device with the default route; 1500 without one. */
export async function nodeMtu(exec: Exec): Promise<number> {
  const device = (await showRoutes(exec, 'default'))[0]?.dev;
  if (device === undefined) return 1500;
  return parseLinks(await runIpBatch(exec, [`address show dev ${device}`]))[0]?.mtu ?? 1500;
}

async function showRoutes(exec: Exec, selector: string): Promise<IpRoute[]> {
  const shown = await runIpBatch(exec, [`route show ${selector}`]);
  return JSON.parse(shown.trim() === '' ? '[]' : shown) as IpRoute[];
}
