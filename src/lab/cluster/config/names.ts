import type { NodeRole } from './types.ts';

export const DEFAULT_CLUSTER_NAME = 'kind';

/** A DNS label may have 63 characters (RFC 1123); the longest suffix a node gets is that of the control plane. */
const MAX_CLUSTER_NAME = 63 - '-control-plane'.length;

/**
 * What is wrong with a cluster name, or undefined. kind allows `^[a-z0-9.-]+$`; on top of that the name must begin
 * every node's name, which is a DNS subdomain (so no `.x`, `-x` or `a..b`), and it is a directory's name (so no `..`).
 */
export function clusterNameProblem(name: string): string | undefined {
  if (!/^[a-z0-9.-]+$/.test(name)) {
    return `${JSON.stringify(name)} is not a cluster name: want lower-case letters, digits, '.' and '-' only`;
  }
  if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(name)) {
    return `${JSON.stringify(name)} is not a cluster name: want a letter or digit at each end and around every '.'`;
  }
  if (name.length > MAX_CLUSTER_NAME) {
    return `a cluster name of ${name.length} characters makes no hostname: want at most ${MAX_CLUSTER_NAME}`;
  }
  return undefined;
}

/** Names nodes as kind does: the first of a role without a number, then from 2. */
export function nodeNamer(cluster: string): (role: NodeRole) => string {
  const counts = new Map<NodeRole, number>();
  return (role) => {
    const count = (counts.get(role) ?? 0) + 1;
    counts.set(role, count);
    return `${cluster}-${role}${count === 1 ? '' : count}`;
  };
}
