import type { NodeAction } from '../model/action.ts';
import type { Sandbox } from '../model/node-report.ts';
import { type NodeView, portmapIn } from '../view/node-view.ts';

interface AttachStep {
  on: 'node';
  node: string;
  why: string;
  action: Extract<NodeAction, { do: 'attach' }>;
}

/** The step that runs portmap of the configuration in use on a running sandbox without a mapping, which is then added late. */
export function attachPortmap(node: NodeView, sandbox: Sandbox, why: string): AttachStep {
  return {
    on: 'node',
    node: node.name,
    why,
    action: { do: 'attach', sandbox: sandbox.id, config: node.active!.path, plugin: 'portmap' },
  };
}

/**
 * The step that writes all rules of a mapping, whatever exists of it: ADD of hostport's own portmap, which rewrites the sandbox's chains.
 * The node's own may be the reference plugin, whose ADD only appends the rules that are missing: a wrong rule stays first, and the appended
 * one is never reached. In iptables either one's DEL removes the other's rules; in nftables each has a table of its own, so there the
 * node's portmap is run.
 */
export function rewriteMapping(node: NodeView, sandbox: Sandbox, why: string): AttachStep {
  const step = attachPortmap(node, sandbox, why);
  const isNft = portmapIn(node.mappingChain)?.fields.backend === 'nftables';
  return isNft ? step : { ...step, action: { ...step.action, own: true } };
}
