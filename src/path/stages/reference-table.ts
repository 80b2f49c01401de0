import type { Rule } from '../../netfilter/index.ts';
import type { NodeView } from '../view/node-view.ts';
import { podName } from '../view/pod-name.ts';

/**
 * The table of the reference portmap's nftables backend, which is there from version 1.6 on and where nftables is chosen, by the configuration or
 * for want of iptables. https://github.com/containernetworking/plugins/blob/main/plugins/meta/portmap/portmap_nftables.go
 */
const TABLE = 'cni_hostport';

/**
 * Whose a rule of the reference portmap's nftables backend is, in words: its comment is the container ID, and names no network. Undefined for any
 * other rule.
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
