import { basename } from 'node:path';
import { z } from 'zod';
import { resultFields } from '../../cni/result.ts';
import { canonicalAddress } from '../../util/ip.ts';
import type { CachedAttachment, NodeReport } from '../model/node-report.ts';
import { known, type Observed } from '../model/observed.ts';
import { memoKey, remembered } from './memory.ts';
import type { NodeView } from './node-view.ts';
import { podName } from './pod-name.ts';
import { type RouteEntry, routeTo } from './routing.ts';
import type { PathView } from './scene.ts';

type Link = Extract<NodeReport['network']['links'], { value: unknown }>['value'][number];

/** The links of a node that lead to a pod, by who says so. */
interface LinksToPod {
  /** Those that the result of its attachment names outside of a sandbox. Results before CNI 0.3.0 name no interface. */
  named: Link[];
  /** Those whose other end is in the pod's network namespace. */
  peers: Link[];
}

const LINKS = memoKey<Map<string, LinksToPod>>();

/** `address`: the pod's; of several attachments of a pod, the one that gave it this address counts. */
export function linksToPod(path: PathView, node: NodeView, address: string): LinksToPod {
  const before = remembered(path, LINKS, () => new Map());
  const found = before.get(address) ?? findLinks(path, node, address);
  before.set(address, found);
  return found;
}

function findLinks(path: PathView, node: NodeView, address: string): LinksToPod {
  const links = known(node.seen?.network.links);
  if (links === undefined) return { named: [], peers: [] };
  const { byName, byPeer } = remembered(node, INDEX, () => ({
    byName: Map.groupBy(links, ({ name }) => name),
    byPeer: Map.groupBy(links, ({ peerNamespace }) => peerNamespace),
  }));
  const names = new Set(namedByResult(path, node, address));
  const [first, ...others] = names;
  const netns = path.sandbox?.netns;
  return {
    named:
      others.length > 0
        ? links.filter(({ name }) => names.has(name))
        : first === undefined
          ? []
          : (byName.get(first) ?? []),
    peers: netns === undefined ? [] : (byPeer.get(basename(netns)) ?? []),
  };
}

interface LinkIndex {
  byName: ReadonlyMap<string, Link[]>;
  /** By the network namespace that the other end is in; undefined for those with none. */
  byPeer: ReadonlyMap<string | undefined, Link[]>;
}

/** A node has a link for each pod, and each of these is looked for. */
const INDEX = memoKey<LinkIndex>();

const ENTRIES = memoKey<Map<string, Observed<string[]>>>();

/**
 * The devices by which packets from a pod enter its node: one; several where what was seen leaves open which of them it is. Unknown
 * where nothing shows it.
 */
export function entryDevices(path: PathView, node: NodeView, address: string): Observed<string[]> {
  const before = remembered(path, ENTRIES, () => new Map());
  const found = before.get(address) ?? findEntries(path, node, address);
  before.set(address, found);
  return found;
}

function findEntries(path: PathView, node: NodeView, address: string): Observed<string[]> {
  const links = known(node.seen?.network.links);
  if (links === undefined) return { unknown: `the links of ${node.name} are not known` };
  const { named, peers } = linksToPod(path, node, address);
  const route = routeTo(node, address);
  const all = [...new Set([...named, ...peers])];
  const entries = entriesOf(all, links, route);
  if (all.length > 0 && entries.length === 0) {
    return {
      unknown: `it is unknown by which device answers enter ${node.name}: ${all.map(({ name }) => name).join(' and ')} is part of ${all[0]!.master}`,
    };
  }
  if (entries.length === 1) return { value: entries };
  if (entries.length > 1) {
    const ofResult = entriesOf(named, links, route);
    return { value: ofResult.length > 0 ? ofResult : entries };
  }
  const bridge = bridgeOf(route, links);
  if (bridge !== undefined) return { value: [bridge] };
  return {
    unknown: `it is unknown by which device answers of ${podName(path.subject.pod!)} enter ${node.name}: no link leads to its network namespace`,
  };
}

/** The devices in whose name the kernel takes what comes in by some links. */
function entriesOf(own: readonly Link[], links: readonly Link[], route: RouteEntry | undefined): string[] {
  return [...new Set(own.flatMap((link) => entryOf(link, links, route) ?? []))];
}

/** Masters that take packets in their own name: to the IP layer they come in by the master, not by the part. */
const TAKING_OVER: ReadonlySet<string | undefined> = new Set(['bridge', 'bond', 'team', 'vrf']);

function entryOf(link: Link, links: readonly Link[], route: RouteEntry | undefined): string | undefined {
  let device = link;
  // A port of a bridge that is itself part of a VRF: there are never more steps than links.
  for (let steps = 0; device.master !== undefined && steps < links.length; steps++) {
    const master = links.find(({ name }) => name === device.master);
    if (master === undefined) return undefined;
    if (!TAKING_OVER.has(master.kind)) {
      // Ports of Open vSwitch: packets for the node itself leave the switch by an internal port.
      const exit = links.find(({ name }) => name === route?.device);
      return master.kind === 'openvswitch' && exit?.kind === 'openvswitch' ? exit.name : undefined;
    }
    device = master;
  }
  return device.name;
}

/** The bridge that a route leads to directly: pods are its ports, and what they send comes in by it. */
function bridgeOf(route: RouteEntry | undefined, links: readonly Link[]): string | undefined {
  if (route === undefined || route.gateway !== undefined) return undefined;
  return links.find(({ name, kind }) => name === route.device && kind === 'bridge')?.name;
}

/** What is missing is no error, of which each takes longer than all else. */
const resultSchema = z.object({
  interfaces: z
    .array(z.object({ name: z.string(), sandbox: z.string().optional() }))
    .optional()
    .catch(undefined),
  ips: z
    .array(z.object({ address: z.string() }))
    .optional()
    .catch(undefined),
  /** Before CNI 0.3.0: one address of each family. */
  ip4: z.object({ ip: z.string() }).optional().catch(undefined),
  ip6: z.object({ ip: z.string() }).optional().catch(undefined),
});

type Result = z.infer<typeof resultSchema>;

const ATTACHMENTS = memoKey<ReadonlyMap<string, readonly CachedAttachment[]>>();

function namedByResult({ attachment, sandbox }: PathView, node: NodeView, address: string): string[] {
  const byContainer = remembered(node, ATTACHMENTS, () =>
    Map.groupBy(node.attachments ?? [], ({ containerId }) => containerId),
  );
  const attachments = (sandbox && byContainer.get(sandbox.id)) ?? [];
  const own = attachments.at(-1) === attachment ? [] : [attachment].filter((entry) => entry !== undefined);
  const results = [...attachments, ...own].flatMap(
    ({ result }) => resultSchema.safeParse(resultFields(result)).data ?? [],
  );
  const wanted = canonicalAddress(address);
  const found = results.find((result) => addressesOf(result).includes(wanted)) ?? results.at(-1);
  return (found?.interfaces ?? []).flatMap((entry) => ((entry.sandbox ?? '') === '' ? [entry.name] : []));
}

function addressesOf({ ips = [], ip4, ip6 }: Result): string[] {
  return [...ips.map(({ address }) => address), ip4?.ip, ip6?.ip].flatMap((text) =>
    text === undefined ? [] : [canonicalAddress(text.replace(/\/\d+$/, ''))],
  );
}
