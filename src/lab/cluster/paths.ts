import { join } from 'node:path';

/** Where clusters live. One directory a cluster, so that removing a cluster is removing its directory. */
export const STATE_ROOT = '/var/lib/hostport/clusters';

/** Locks, and what only a running command has. A node's plugins keep theirs there, too: every kind in a directory of its own. */
export const RUN_ROOT = '/run/hostport';

/** Everything of one cluster that is on the machine's disk. */
export interface ClusterPaths {
  readonly root: string;
  /** The cluster's description: {@link ClusterRecord} as JSON. Written first, removed last. */
  readonly record: string;
  readonly pki: string;
  /** Kubeconfig whose server address is that of the node network, for use inside the lab's namespace. */
  readonly innerKubeconfig: string;
  /** runc's state directory. */
  readonly runc: string;
  /** runit service directory of the process that publishes ports and serves images. */
  readonly gatewayService: string;
  readonly log: string;
  /** Programs of the cluster's own for `hostport shell` and `run`. */
  readonly bin: string;
  node(name: string): NodePaths;
}

/** Everything of one node. */
export interface NodePaths {
  readonly root: string;
  readonly bundle: string;
  readonly rootfs: string;
  readonly pidFile: string;
  /** Upper and work directory of the overlay mounted over one top directory of the node. */
  overlay(name: 'usr' | 'opt'): { upper: string; work: string };
}

export function clusterPaths(cluster: string, stateRoot = STATE_ROOT): ClusterPaths {
  const root = join(stateRoot, cluster);
  return {
    root,
    record: join(root, 'cluster.json'),
    pki: join(root, 'pki'),
    innerKubeconfig: join(root, 'kubeconfig'),
    runc: join(root, 'runc'),
    gatewayService: join(root, 'gateway'),
    log: join(root, 'log'),
    bin: join(root, 'bin'),
    node(name) {
      const node = join(root, 'nodes', name);
      return {
        root: node,
        bundle: join(node, 'bundle'),
        rootfs: join(node, 'rootfs'),
        pidFile: join(node, 'pid'),
        overlay: (top) => ({ upper: join(node, `${top}-upper`), work: join(node, `${top}-work`) }),
      };
    },
  };
}

/** Name of the lab's network namespace, as `ip netns` lists it. */
export function labNetns(cluster: string): string {
  return `hostport-${cluster}`;
}

export function netnsPath(name: string): string {
  return join('/run/netns', name);
}
