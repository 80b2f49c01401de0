import type { NftChain, NftElement, NftLayout, NftMap, NftType } from '../netfilter/nft/nft.ts';
import { isWhole, networkOf } from '../util/cidr.ts';
import { FAMILIES, type Family, NFT_FAMILY } from '../util/family.ts';
import { formatIp, type IpAddress, isUnspecified, parseIp } from '../util/ip.ts';
import type { HostPort } from './attachments.ts';
import { conditionsOf, type PortmapConfig } from './config.ts';
import type { Conditions } from './disjoint.ts';
import { chainOf, maskOf, NFT_TABLE, type Owner, ownerWord, parseOwner } from './layout.ts';
import { mappingsOf, type PodAddress } from './rules.ts';

/**
 * The nftables backend as data: table `inet hostport`, and what an attachment puts into it. docs/decisions/nftables-table.md says
 * why it is so.
 *
 * A packet to an address of this machine is looked up twice: by address, protocol and port (hostIP), then by protocol and port.
 * The first map of each pair says what happens before the translation, the second where it goes:
 *
 *     one4 any4                  jump SOURCES | continue | goto CONDITIONS | return
 *     one4_targets any4_targets  the pod's address and port
 *
 * SOURCES is a chain that marks what must be masqueraded, by where it comes from; it is shared by all pods of a subnet.
 * `return` in any4 keeps a port from being mapped for every address while a hostIP has it.
 */

/** Before `dstnat`, where kube-proxy and iptables are: of two chains at one priority, the one made later would come first. */
export const DNAT_PRIORITY = -101;
/** Before `srcnat`, where the masquerading of primary plugins is, as the reference puts its jump first. */
const SNAT_PRIORITY = 99;

const suffix: Record<Family, '4' | '6'> = { ipv4: '4', ipv6: '6' };

/** One element an attachment, so that who has nothing here is known at once: its key is a hash of network and container. */
export const ATTACHMENTS = 'attachments';
/** Value of {@link NftElement} in `any4` and `any6` that says: this port belongs to single addresses. */
export const ADDRESSES_ONLY = 'return';

const addressType: Record<Family, NftType> = { ipv4: 'ipv4_addr', ipv6: 'ipv6_addr' };

export const nftMaps: readonly NftMap[] = [
  { name: ATTACHMENTS, key: ['ipv6_addr'] },
  ...FAMILIES.flatMap((family): NftMap[] => {
    const [f, address] = [suffix[family], addressType[family]];
    const [any, one]: NftType[][] = [
      ['inet_proto', 'inet_service'],
      [address, 'inet_proto', 'inet_service'],
    ];
    const target: NftType[] = [address, 'inet_service'];
    return [
      { name: `one${f}`, key: one!, value: 'verdict' },
      { name: `one${f}_targets`, key: one!, value: target },
      { name: `any${f}`, key: any!, value: 'verdict' },
      { name: `any${f}_targets`, key: any!, value: target },
      // Which pod's own packets, to which of its host ports, need masquerade.
      { name: `own${f}`, key: one! },
    ];
  }),
];

/** Names of the maps in which a mapping is claimed, in the first layer. */
export const claimMaps = ['one4', 'any4', 'one6', 'any6'] as const;

/**
 * Layers beside the first. A key can be once in a map, so attachments with the same port, whose conditions no packet meets both, are in
 * different layers: each has maps and base chains of its own, made when they are needed. A packet that one layer does not translate
 * comes to the next.
 */
export const FURTHER_LAYERS: readonly number[] = [1, 2, 3];

/** The name that a map of the first layer has in another one. */
export function mapIn(map: string, layer: number): string {
  return layer === 0 ? map : map.replace(/^(any|one)/, `$1${layer}_`);
}

/** The element that says that a layer exists. */
export function layerMarker(layer: number): NftElement {
  return { map: ATTACHMENTS, key: `0:0:0:0:0:0:0:${layer}` };
}

/** The maps of a layer beside the first. */
export function layerMaps(layer: number): NftMap[] {
  return nftMaps
    .filter(({ name }) => /^(?:any|one)/.test(name))
    .map((map) => ({ ...map, name: mapIn(map.name, layer) }));
}

/** Every map that there may be. */
export const allNftMaps: readonly NftMap[] = [...nftMaps, ...FURTHER_LAYERS.flatMap(layerMaps)];

/** What a layer's name has behind it. */
function tail(layer: number): string {
  return layer === 0 ? '' : `-${layer}`;
}

/** The chains of a layer in which packets are looked up. */
function lookupChains(layer: number): NftChain[] {
  const end = tail(layer);
  const entry = FAMILIES.map((family) => `meta nfproto ${family} fib daddr type local jump ${family}${end}`);
  const chains = FAMILIES.flatMap((family): NftChain[] => {
    const [f, ip] = [suffix[family], NFT_FAMILY[family]];
    const any = 'meta l4proto . th dport';
    const one = `${ip} daddr . ${any}`;
    const deliver = [
      `dnat ${ip} to ${one} map @${mapIn(`one${f}_targets`, layer)}`,
      `dnat ${ip} to ${any} map @${mapIn(`any${f}_targets`, layer)}`,
    ];
    const verdicts = [`${one} vmap @${mapIn(`one${f}`, layer)}`, `${any} vmap @${mapIn(`any${f}`, layer)}`];
    return [
      {
        name: `${family}${end}`,
        rules: [verdicts[0]!, deliver[0]!, verdicts[1]!, deliver[1]!],
      },
      { name: `deliver${f}${end}`, rules: deliver },
    ];
  });
  return [
    ...chains,
    { name: `prerouting${end}`, hook: { name: 'prerouting', priority: DNAT_PRIORITY }, rules: entry },
    { name: `output${end}`, hook: { name: 'output', priority: DNAT_PRIORITY }, rules: entry },
  ];
}

function sharedChains(bit: number): NftChain[] {
  const mask = maskOf(bit);
  return [
    ...lookupChains(0),
    {
      name: 'postrouting',
      hook: { name: 'postrouting', priority: SNAT_PRIORITY },
      rules: [`meta mark and ${mask} == ${mask} masquerade`],
      // One rule a mark bit: configurations may differ.
      shared: true,
    },
  ];
}

/** The chain that marks what needs masquerade on its way to this pod: the same sources as in the iptables backend. */
function sourcesChain(config: PortmapConfig, pod: PodAddress): NftChain | undefined {
  if (!config.snat) return undefined;
  const { family } = pod.ip;
  const [f, ip, bit] = [suffix[family], NFT_FAMILY[family], config.markMasqBit];
  const mark = `meta mark set meta mark or ${maskOf(bit)}`;
  if (config.masqAll || pod.prefix === 0) return { name: `every-${bit}`, rules: [mark] };
  const localhost = family === 'ipv4' ? [`ip saddr 127.0.0.1 ${mark}`] : [];
  if (isWhole(pod)) {
    const own = `${ip} saddr . meta l4proto . th dport @own${f} ${mark}`;
    return { name: `own${f}-${bit}`, rules: [...localhost, own] };
  }
  const network = networkOf(pod);
  const hex = network.bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return {
    name: `from-${hex}-${pod.prefix}-${bit}`,
    rules: [...localhost, `${ip} saddr ${formatIp(network)}/${pod.prefix} ${mark}`],
  };
}

/** Whether a claim with this verdict may go with an element of an `own` set: all but those that lead to another chain of sources. */
export function mayNoteOwnAddress(verdict: string | undefined): boolean {
  return verdict !== 'continue' && !/^jump (?:from-|every-)/.test(verdict ?? '');
}

/** An address as a part of a key: all eight groups of an IPv6 address. */
export function addressWord({ family, bytes }: IpAddress): string {
  if (family === 'ipv4') return bytes.join('.');
  return Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! * 256 + bytes[2 * i + 1]!).toString(16)).join(
    ':',
  );
}

/** What an attachment is in the table. */
export interface NftPlan {
  owner: string;
  layout: NftLayout;
  /** Its entry in {@link ATTACHMENTS}. */
  attachment: NftElement;
  /** What only one attachment may have: the first map of each pair. */
  claims: NftElement[];
  /** What goes with the claims. */
  rest: NftElement[];
  /** {@link ADDRESSES_ONLY} entries, which attachments share. */
  reservations: NftElement[];
  /** Chains with its conditions. */
  chains: NftChain[];
  /** The conditions themselves. */
  conditions: Readonly<Record<Family, Conditions>>;
}

/** Plans an attachment; mappings of a family that the pod lacks are left out. */
export function planNft(
  config: PortmapConfig,
  attached: Owner,
  pods: readonly PodAddress[],
  layer = 0,
): NftPlan {
  const owner = ownerWord(attached);
  const plan: NftPlan = {
    owner,
    layout: { maps: nftMaps, chains: sharedChains(config.markMasqBit) },
    attachment: attachmentElement(owner),
    claims: [],
    rest: [],
    reservations: layer === 0 ? [] : [layerMarker(layer)],
    chains: [],
    conditions: { ipv4: conditionsOf(config, 'ipv4'), ipv6: conditionsOf(config, 'ipv6') },
  };
  const sources: NftChain[] = [];
  for (const pod of pods) {
    const { family } = pod.ip;
    const f = suffix[family];
    const source = sourcesChain(config, pod);
    if (source !== undefined) sources.push(source);
    const conditions = family === 'ipv4' ? config.conditionsV4 : config.conditionsV6;
    let verdict = source === undefined ? 'continue' : `jump ${source.name}`;
    const mappings = mappingsOf(config, family);
    if (conditions.length > 0 && mappings.length > 0) {
      const name = `${chainOf(attached)}-${f}`;
      const when = conditions.join(' ');
      const steps = source === undefined ? [] : [`jump ${source.name}`];
      plan.chains.push({
        name,
        rules: [...steps, `jump deliver${f}${tail(layer)}`].map((step) => `${when} ${step}`),
      });
      verdict = `goto ${name}`;
    }
    const seen = new Set<string>();
    for (const mapping of mappings) {
      const { hostPort, containerPort, protocol } = mapping;
      const port = `${protocol} . ${hostPort}`;
      const { map: first, key } = claimKey(mapping, family);
      const map = mapIn(first, layer);
      const specific = first === `one${f}`;
      // Said twice, the first counts, as with rules in order.
      if (seen.has(`${map} ${key}`)) continue;
      seen.add(`${map} ${key}`);
      const address = addressWord(pod.ip);
      plan.claims.push({ map, key, value: verdict, comment: owner });
      plan.rest.push({
        map: `${map}_targets`,
        key,
        value: `${address} . ${containerPort}`,
        comment: owner,
      });
      if (source?.name.startsWith('own') && !seen.has(`own ${port}`)) {
        seen.add(`own ${port}`);
        plan.rest.push({ map: `own${f}`, key: `${address} . ${port}`, comment: owner });
      }
      if (specific && !seen.has(`reserved ${port}`)) {
        seen.add(`reserved ${port}`);
        plan.reservations.push({ map: mapIn(`any${f}`, layer), key: port, value: ADDRESSES_ONLY });
      }
    }
  }
  // A port of ours on every address needs no reservation against others.
  plan.reservations = plan.reservations.filter(
    ({ map, key }) => !plan.claims.some((claim) => claim.map === map && claim.key === key),
  );
  const names = new Set<string>();
  const distinct = sources.filter(({ name }) => !names.has(name) && names.add(name));
  const [maps, chains] =
    layer === 0 ? [nftMaps, []] : [[...nftMaps, ...layerMaps(layer)], lookupChains(layer)];
  plan.layout = { maps, chains: [...distinct, ...plan.layout.chains, ...chains] };
  return plan;
}

/** Where a host port is claimed for one address family. */
function claimKey({ protocol, hostPort, hostIP }: HostPort, family: Family): { map: string; key: string } {
  const port = `${protocol} . ${hostPort}`;
  const host = hostIP === undefined ? undefined : parseIp(hostIP);
  return host === undefined || isUnspecified(host)
    ? { map: `any${suffix[family]}`, key: port }
    : { map: `one${suffix[family]}`, key: `${addressWord(host)} . ${port}` };
}

/** Everywhere that a host port may be claimed, whatever addresses the pod had. */
export function claimKeys(port: HostPort): { map: string; key: string }[] {
  const host = port.hostIP === undefined ? undefined : parseIp(port.hostIP);
  const single = host !== undefined && !isUnspecified(host);
  return FAMILIES.filter((family) => !single || host.family === family).map((family) =>
    claimKey(port, family),
  );
}

/** Every layout has this; what a STATUS tries. */
export const basicLayout: NftLayout = { maps: nftMaps, chains: sharedChains(13) };

/** The entry of an attachment in {@link ATTACHMENTS}, whoever it is by its comment. */
export function attachmentElement(owner: string): NftElement {
  const hash = new Bun.CryptoHasher('sha256').update(owner).digest();
  const key = addressWord({ family: 'ipv6', bytes: [...hash.subarray(0, 16)] });
  return { map: ATTACHMENTS, key, comment: owner };
}

/** The owner that the comment of an element names, and its chain; undefined for a comment that is not one of ours. */
export function ownerOfElement(comment: string | undefined): (Owner & { chain: string }) | undefined {
  const owner = parseOwner(comment, { family: 'inet', name: NFT_TABLE });
  if (owner === undefined) return undefined;
  const { containerId } = owner;
  return { ...owner, chain: containerId.endsWith('~') ? containerId.slice(0, -1) : chainOf(owner) };
}
