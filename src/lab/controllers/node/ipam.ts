import { nodes } from '../../../kube/resources.ts';
import type { Node } from '../../../kube/types.ts';
import { formatSubnet, parseSubnet, type Subnet, subnetSize, subnetsOverlap } from '../../../util/cidr.ts';
import { type Controller, type ControllerContext, ControllerEvents, ControllerQueue } from '../context.ts';

/** The pod subnets of a cluster: which node has which, so that none is given out twice. */
export class SubnetPool {
  readonly #cluster: Subnet;
  readonly #prefix: number;
  readonly #taken = new Map<string, Subnet>();

  /** @param prefix length of a node's subnet, not shorter than the cluster's. */
  constructor(cluster: Subnet, prefix: number) {
    this.#cluster = cluster;
    this.#prefix = prefix;
  }

  /** Notes that a node has a subnet, whoever gave it. */
  occupy(node: string, subnet: Subnet): void {
    this.#taken.set(node, subnet);
  }

  release(node: string): void {
    this.#taken.delete(node);
  }

  /** The node's subnet: the one it has, else the lowest that is free. Undefined when all are taken. */
  take(node: string): Subnet | undefined {
    const held = this.#taken.get(node);
    if (held !== undefined) return held;
    const size = 2 ** (32 - this.#prefix);
    const end = this.#cluster.network + subnetSize(this.#cluster);
    for (let network = this.#cluster.network; network < end; network += size) {
      const candidate = { network, prefix: this.#prefix };
      if ([...this.#taken.values()].some((taken) => subnetsOverlap(taken, candidate))) continue;
      this.#taken.set(node, candidate);
      return candidate;
    }
    return undefined;
  }
}

/**
 * Gives every node a subnet of the cluster's pod network (`spec.podCIDR`), which it keeps. A subnet is reserved before it
 * is written and stays so when the answer is lost: the next try writes the same one.
 */
export function nodeIpamController(
  context: ControllerContext,
  clusterCidr: Subnet,
  prefix: number,
): Controller {
  const { client, informers } = context;
  const events = new ControllerEvents(context, 'cidrAllocator');
  const pool = new SubnetPool(clusterCidr, prefix);
  const informer = informers.of(nodes);
  const queue = new ControllerQueue(context, 'node-ipam', sync);
  const note = (node: Node) => {
    const subnet = parseSubnet(node.spec?.podCIDR ?? '');
    if (subnet !== undefined) pool.occupy(node.metadata!.name!, subnet);
    else queue.add(node.metadata!.name!);
  };
  informer.handle({
    onAdd: note,
    onUpdate: note,
    onDelete: (node) => {
      pool.release(node.metadata!.name!);
      // What it had is free now: for nodes that got none.
      for (const other of informer.list()) if (!other.spec?.podCIDR) queue.add(other.metadata!.name!);
    },
  });

  async function sync(name: string): Promise<void> {
    const node = informer.get(name);
    if (node === undefined || node.spec?.podCIDR) return;
    const subnet = pool.take(name);
    if (subnet === undefined) {
      events.say(nodes, node, 'Normal', 'CIDRNotAvailable', `Node ${name} status is now: CIDRNotAvailable`);
      return;
    }
    const podCIDR = formatSubnet(subnet);
    const { uid, resourceVersion } = node.metadata!;
    const patch = { metadata: { uid, resourceVersion }, spec: { podCIDR, podCIDRs: [podCIDR] } };
    await client.patch(nodes, name, undefined, 'merge', patch);
  }

  return { start: () => queue.start(), flush: () => events.flush() };
}
