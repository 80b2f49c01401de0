import { changesDocument, layoutDocument } from '../../src/netfilter/nft/document.ts';
import type { NftChange } from '../../src/netfilter/nft/nft.ts';
import { type PortmapConfig, parsePortmapConfig } from '../../src/portmap/config.ts';
import { attachmentChain, NFT_TABLE, REFERENCE_NFT_TABLE } from '../../src/portmap/layout.ts';
import { planNft } from '../../src/portmap/nftables-layout.ts';
import { attachmentRules, command, entryRules, sharedRules } from '../../src/portmap/rules.ts';
import { formatIp, type IpAddress } from '../../src/util/ip.ts';
import type { Backend } from './subjects.ts';

export const NETWORK = 'bench';
/** The host port of the first mapping of a filled node. */
const FIRST_PORT = 10_000;

/** The address of the n-th pod, of 10.88.0.0/16. */
export function podAddress(n: number): { ip: IpAddress; prefix: number } {
  return { ip: { family: 'ipv4', bytes: [10, 88, n >> 8, n & 255] }, prefix: 16 };
}

/**
 * The rules of a node with so many pods, each with one port, for `iptables-restore` or `nft -f`. On iptables both plugins write
 * the same; on nftables each has what it would have written itself.
 */
export function filling(isOurs: boolean, backend: Backend, mappings: number): string {
  if (backend === 'iptables') return iptablesFilling(mappings);
  return isOurs ? ourNftFilling(mappings) : referenceNftFilling(mappings);
}

/**
 * Chains of another program in the table that the mappings are in, each with a rule, for `iptables-restore --noflush` or `nft -f`: as kube-proxy has
 * them for Services.
 */
export function foreignChains(isOurs: boolean, backend: Backend, count: number): string {
  const names = Array.from({ length: count }, (_, i) => `OTHER-${i}`);
  if (backend === 'nftables') {
    const table = isOurs ? `inet ${NFT_TABLE}` : `ip ${REFERENCE_NFT_TABLE}`;
    const chains = names.map((name) => `add chain ${table} ${name}`);
    return [...chains, ...names.map((name) => `add rule ${table} ${name} tcp dport 443 counter`), ''].join(
      '\n',
    );
  }
  return [
    '*nat',
    ':OTHERS - [0:0]',
    ...names.map((name) => `:${name} - [0:0]`),
    ...names.flatMap((name, i) => [
      `-A OTHERS -d 10.96.${i >> 8}.${i & 255}/32 -p tcp -m tcp --dport 443 -j ${name}`,
      `-A ${name} -p tcp -m tcp -j DNAT --to-destination 10.89.${i >> 8}.${i & 255}:443`,
    ]),
    'COMMIT',
    '',
  ].join('\n');
}

function ownerOf(containerId: string) {
  return { networkName: NETWORK, containerId };
}

function iptablesFilling(mappings: number): string {
  const { chains, rules } = sharedRules(configOf(1));
  const lines = rules.map((rule) => command('-A', rule));
  for (const { config, container, pod } of pods(mappings)) {
    chains.push(attachmentChain(NETWORK, container));
    for (const rule of attachmentRules(config, ownerOf(container), pod)) lines.push(command('-A', rule));
    for (const rule of entryRules(config, ownerOf(container), pod)) lines.push(command('-A', rule));
  }
  return ['*nat', ...chains.map((chain) => `-N ${chain}`), ...lines, 'COMMIT', ''].join('\n');
}

function ourNftFilling(mappings: number): string {
  const changes: NftChange[] = [];
  let layout = '';
  for (const { config, container, pod } of pods(mappings)) {
    const plan = planNft(config, ownerOf(container), [pod]);
    if (layout === '') {
      layout = layoutDocument(NFT_TABLE, plan.layout, new Set(plan.layout.chains.map(({ name }) => name)));
    }
    const elements = [plan.attachment, ...plan.claims, ...plan.rest, ...plan.reservations];
    changes.push(...elements.map((element): NftChange => ({ verb: 'add', ...element })));
  }
  return layout + changesDocument(NFT_TABLE, changes);
}

/** What the reference's nftables backend leaves (plugins/meta/portmap/portmap_nftables.go of its release 1.9). */
function referenceNftFilling(mappings: number): string {
  const table = `ip ${REFERENCE_NFT_TABLE}`;
  const lines = [
    `add table ${table} { comment "CNI portmap plugin"; }`,
    ...['hostports', 'hostip_hostports', 'hostports_all'].map((chain) => `add chain ${table} ${chain}`),
    `add rule ${table} hostports_all jump hostip_hostports`,
    `add rule ${table} hostports_all jump hostports`,
    ...['prerouting', 'output'].flatMap((hook) => [
      `add chain ${table} ${hook} { type nat hook ${hook} priority -100; }`,
      `add rule ${table} ${hook} fib daddr type local jump hostports_all`,
    ]),
    `add chain ${table} masquerading { type nat hook postrouting priority 100; }`,
  ];
  for (const { config, container, pod } of pods(mappings)) {
    const address = formatIp(pod.ip);
    const { hostPort, containerPort } = config.portMappings[0]!;
    const comment = `comment "${container}"`;
    lines.push(
      `add rule ${table} hostports tcp dport ${hostPort} dnat to ${address}:${containerPort} ${comment}`,
      `add rule ${table} masquerading ip saddr ${address} ip daddr ${address} masquerade ${comment}`,
      `add rule ${table} masquerading ip saddr 127.0.0.1 ip daddr ${address} masquerade ${comment}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function* pods(mappings: number) {
  // The first addresses are those of the node and of the pods that are measured.
  for (let n = 0; n < mappings; n++) {
    const container = String(n).padStart(64, '0');
    yield { config: configOf(FIRST_PORT + n), container, pod: podAddress(256 + n) };
  }
}

function configOf(hostPort: number): PortmapConfig {
  return parsePortmapConfig({
    name: NETWORK,
    runtimeConfig: { portMappings: [{ hostPort, containerPort: 8080, protocol: 'tcp' }] },
  });
}
