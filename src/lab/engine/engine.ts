import type { ClusterConfig, ExtraMount } from '../cluster/config/types.ts';
import type { NodeFile, PlacedNode } from '../cluster/node-files.ts';
import type { EngineRecord } from '../cluster/record.ts';
import type { DaemonUser } from '../cluster/secrets.ts';

/** A node that is being created, and the cluster that it is of. */
export interface EngineNode {
  config: ClusterConfig;
  node: PlacedNode;
  /** What the node with its pods may take of the machine. */
  memoryBytes: number;
}

/**
 * What makes a lab's containers a cluster: the programs of the control plane and of the kubelets. Nodes, their network, runtime,
 * credentials and etcd are the same with every engine. A service is started with its node and restarted whenever it ends, so an engine
 * only says what is to be in a node, and how long its cluster may take.
 */
export interface Engine {
  /**
   * Refuses what its programs cannot do, before anything is created: what the configuration asks of them, or to run in the memory that each
   * node is to have, if that was chosen. @throws InputError
   */
  check?(config: ClusterConfig, nodeMemoryBytes: number | undefined): Promise<void>;
  /** How the cluster's record names it. */
  readonly record: EngineRecord;
  /** As whom its daemons use the API, besides the users of every cluster. */
  readonly users: readonly DaemonUser[];
  /** What of the machine every node has mounted for it. */
  readonly mounts: readonly ExtraMount[];
  /**
   * Settings of the kernel that are the whole machine's, by name, and to which value the engine's programs would set them. In a node a file
   * with that value takes the place of each: the programs find what they want, and the machine stays as it is.
   */
  readonly machineSysctls: Readonly<Record<string, string>>;
  /** The services of a node with their command lines, and what their programs read, besides what every node has. */
  filesOf(node: EngineNode): NodeFile[];
  readonly deadlines: {
    /** Until the API server serves and takes pods, in milliseconds. */
    apiServerMs: number;
    /** Until the nodes are registered, and until they are Ready once they have a CNI, in milliseconds. */
    nodesMs: number;
  };
}
