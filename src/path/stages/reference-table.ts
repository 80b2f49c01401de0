import type { Rule } from '../../netfilter/index.ts';
import type { NodeView } from '../view/node-view.ts';
import { podName } from '../view/pod-name.ts';

/**
 * The table of the reference portmap's nftables backend, which exists since version 1.6 and is used when chosen by the configuration or
 * because iptables is missing. https://github.com/containernetworking/plugins/blob/main/plugins/meta/portmap/portmap_nftables.go
 */
const TABLE = 'cni_hostport';

/**
 * The owner of a rule of the reference portmap's nftables backend, in words: the comment of the rule is the container ID, without the network.
 * Undefined for any other rule.
 */
export function referenceOwner({ location, comment }: Rule, node: NodeView): string | undefined {
  if (location.backend !== 'nft' || location.table !== TABLE) return undefined;
  const backend = "the reference portmap's nftables backend (1.6 or newer)";
  if (comment === undefined) return backend;
  const sandbox = node.sandboxes?.find(({ id }) => id === comment);
  const gone = node.sandboxes === undefined ? '' : ', which the runtime does not have';
  const whose = sandbox === undefined ? `container ${comment.slice(0, 13)}${gone}` : podName(sandbox);
  return `${backend}, for ${whose}`;
}
