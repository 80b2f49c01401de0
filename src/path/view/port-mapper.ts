import { formatAddress, type NatTarget } from '../../netfilter/index.ts';
import { canonicalAddress } from '../../util/ip.ts';
import { known } from '../model/observed.ts';
import { answersFromElsewhere } from '../stages/evidence.ts';
import { mappedByPortmap } from './chained-portmap.ts';
import type { NodeView } from './node-view.ts';
import { mappingFor, ownedMappings } from './owned-mappings.ts';
import type { PathView } from './scene.ts';

/**
 * Who maps the ports of a node's pods when its chain has no portmap, in words; undefined when unknown. CRI-O has its own mapper
 * (internal/hostport), and a primary plugin may have one: a port that other machines reach without a mapping of portmap shows that it has. A mapping
 * that portmap added while it was chained keeps working, and says nothing about the next pod.
 */
export function otherMapperOf(node: NodeView, paths: readonly PathView[]): string | undefined {
  if (known(node.seen?.runtime)?.name === 'cri-o') return `CRI-O maps the ports of ${node.name} itself`;
  if (mapsHostPorts(node)) return `${OF_CILIUM} maps the ports of ${node.name} itself`;
  if (hasKindnetTable(node))
    return `kindnet maps the ports of ${node.name} itself, all but those of 127.0.0.1`;
  const declaring = node.mappingChain?.find(
    ({ type, capabilities }) => type !== 'portmap' && capabilities.portMappings === true,
  );
  if (declaring !== undefined && paths.some((path) => isMappedByRules(node, path) && !isPortmaps(node, path)))
    return `rules of ${node.name} lead ports to their pods: ${declaring.type} maps them itself`;
  if (!paths.some((path) => answersFromElsewhere(path) && !isPortmaps(node, path))) return undefined;
  return `ports of ${node.name} answer other machines: ${node.chain?.[0]?.type ?? 'the network plugin'} maps them itself`;
}

const OF_CILIUM = "Cilium's kube-proxy replacement";

/**
 * Whether kindnet's plugin maps hostPorts on a node: it writes all of them into a table of its own. It neither masquerades nor sets route_localnet, so
 * what the node sends to 127.0.0.1 gets no answer. https://github.com/kubernetes-sigs/kindnet/blob/main/cmd/cni-kindnet/portmap.go
 */
export function hasKindnetTable(node: NodeView): boolean {
  return (known(node.ruleset)?.tables ?? []).some(
    ({ backend, family, name, sets }) =>
      backend === 'nft' && family === 'inet' && name === 'cni-kindnet' && sets.has('hostport-map-v4'),
  );
}

/** Whether somebody else than portmap maps the port of a path, and does not serve 127.0.0.1 or the pod itself. */
export function servesOthersAlone({ node, sandbox, attachment }: PathView): boolean {
  return (
    node !== undefined &&
    hasKindnetTable(node) &&
    (sandbox === undefined || !isPortmaps(node, { sandbox, attachment }))
  );
}

/** Whether Cilium's agent says that it maps hostPorts itself. What is put behind it to do the same is not needed. */
export function mapsHostPorts(node: NodeView): boolean {
  return known(node.seen?.cilium)?.hostPorts === true;
}

/** Who maps the port of a path past the rules of netfilter, by what its agent has in its table; undefined when nobody is known to. */
export function agentMapping({ node, port, sandbox, pod }: PathView): string | undefined {
  const agent = known(node?.seen?.cilium);
  if (agent === undefined) return undefined;
  const addresses = new Set(
    [...(sandbox?.ips ?? []), ...(pod.status?.podIPs ?? []).map(({ ip }) => ip ?? '')].map(canonicalAddress),
  );
  const found = agent.mappings.find(
    (mapping) =>
      mapping.port === port.hostPort &&
      (mapping.protocol ?? port.protocol).toUpperCase() === port.protocol &&
      mapping.backends.some(({ address }) => address !== '' && addresses.has(canonicalAddress(address))),
  );
  return found === undefined ? undefined : `${OF_CILIUM} leads it to the pod`;
}

/** Whether a rule of a node translates to the address and the port of a mapping's pod. */
function isMappedByRules(node: NodeView, { sandbox, port }: PathView): boolean {
  const addresses = new Set((sandbox?.ips ?? []).map(canonicalAddress));
  const leads = (to: NatTarget | undefined) =>
    to?.address !== undefined &&
    to.port?.from === port.containerPort &&
    addresses.has(formatAddress(to.address.from));
  return (known(node.ruleset)?.tables ?? []).some(
    ({ chains, sets }) =>
      [...chains.values()].some(({ rules }) =>
        rules.some(({ expressions }) =>
          expressions.some((each) => each.kind === 'dnat' && leads(each.to.literal)),
        ),
      ) || [...sets.values()].some(({ elements }) => elements.some(({ target }) => leads(target))),
  );
}

/** Whether portmap made a mapping, by the result of its attachment or by its rules. */
function isPortmaps(
  node: NodeView,
  { attachment, sandbox }: Pick<PathView, 'attachment' | 'sandbox'>,
): boolean {
  if (mappedByPortmap(attachment)) return true;
  const owned = ownedMappings(node);
  return (
    owned !== undefined &&
    sandbox !== undefined &&
    mappingFor(owned, sandbox, attachment?.ifName) !== undefined
  );
}
