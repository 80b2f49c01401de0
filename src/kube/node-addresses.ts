import type { Node } from './types.ts';

/**
 * The addresses of a type that a node has, in its own order: the kubelet of a dual-stack node reports one of each family, the cluster's first
 * family first. https://kubernetes.io/docs/concepts/services-networking/dual-stack/
 */
export function nodeAddresses(node: Node, type: 'InternalIP' | 'ExternalIP' = 'InternalIP'): string[] {
  return (node.status?.addresses ?? []).flatMap((entry) =>
    entry.type === type && entry.address ? [entry.address] : [],
  );
}
