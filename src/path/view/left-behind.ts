import { z } from 'zod';
import { canonicalAddress } from '../../util/ip.ts';
import type { CachedAttachment } from '../model/node-report.ts';
import { known } from '../model/observed.ts';
import type { NodeView } from './node-view.ts';
import { ownedMappings, ownerKey } from './owned-mappings.ts';

const resultSchema = z.object({
  interfaces: z.array(z.object({ name: z.string(), sandbox: z.string().optional() })).catch([]),
  ips: z.array(z.object({ address: z.string() })).catch([]),
});

/**
 * What a node still has of an attachment whose sandbox is gone, in words: links and routes that its result names, mappings that bear its name.
 * What an IPAM plugin keeps (its address) shows in no report.
 */
export function leftOf(node: NodeView, { containerId, ifName, result }: CachedAttachment): string[] {
  const { interfaces, ips } = resultSchema.catch({ interfaces: [], ips: [] }).parse(result);
  const links = new Set(known(node.seen?.network.links)?.map(({ name }) => name));
  const own = interfaces.filter(({ name, sandbox }) => (sandbox ?? '') === '' && links.has(name));
  const addresses = new Set(ips.map(({ address }) => canonicalAddress(address.replace(/\/\d+$/, ''))));
  const routes = (known(node.seen?.network.routes) ?? []).filter(({ destination }) => {
    const [address, prefix] = destination.split('/');
    return (prefix === '32' || prefix === '128') && addresses.has(canonicalAddress(address!));
  });
  const owned = ownedMappings(node);
  const mapping = owned?.get(containerId) ?? owned?.get(ownerKey({ containerId, ifName }));
  return [
    ...own.map(({ name }) => `link ${name}`),
    ...routes.map(({ destination }) => `route to ${destination}`),
    ...(mapping === undefined ? [] : ['mappings of its ports']),
  ];
}
