import type { Rule } from '../../netfilter/index.ts';
import { REFERENCE_NFT_TABLE } from '../../portmap/layout.ts';
import type { NodeView } from '../view/node-view.ts';
import { podName } from '../view/pod-name.ts';

/**
 * The owner of a rule of the reference portmap's nftables backend, in words: the comment of the rule is the container ID, without the network.
 * Undefined for any other rule.
 */
export function referenceOwner({ location, comment }: Rule, node: NodeView): string | undefined {
  if (location.backend !== 'nft' || location.table !== REFERENCE_NFT_TABLE) return undefined;
  const backend = "the reference portmap's nftables backend (1.6 or newer)";
  if (comment === undefined) return backend;
  const sandbox = node.sandboxes?.find(({ id }) => id === comment);
  const gone = node.sandboxes === undefined ? '' : ', which the runtime does not have';
  const whose = sandbox === undefined ? `container ${comment.slice(0, 13)}${gone}` : podName(sandbox);
  return `${backend}, for ${whose}`;
}
