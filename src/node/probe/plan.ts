import type { Vantage } from '../../path/model/probe.ts';
import type { World } from '../../path/model/world.ts';
import { type PathView, Scene } from '../../path/view/scene.ts';
import { podAddress } from '../../path/view/traces.ts';
import { isLoopbackText } from '../../util/address.ts';
import { familyOf } from '../../util/family.ts';
import { MAX_ORDERS, type ProbeOrder } from './order.ts';

/** Where a sender runs: in the namespace of a node, of a pod on a node, or outside, on the nodes' network. */
export type Stand =
  | { at: 'node'; node: string }
  | { at: 'pod'; node: string; netns: string }
  | { at: 'outside' };

/** All that is to be sent from one place, by one process. */
export interface ProbeBatch {
  stand: Stand;
  orders: ProbeOrder[];
}

/**
 * The probes of every mapping of a world, grouped by where they are sent from. A probe that cannot succeed by the mapping's own
 * definition is left out: to a loopback hostIP from elsewhere, or to loopback for another hostIP.
 * `from`: the nodes that can send; then nothing is sent from outside. Which of them probes another is spread over all.
 */
export function planProbes(world: World, from?: ReadonlySet<string>): ProbeBatch[] {
  const scene = new Scene(world);
  const nodes = world.nodes
    .map(({ metadata }) => metadata?.name ?? '')
    .filter((name) => from?.has(name) ?? true)
    .sort();
  const batches = new Map<string, ProbeBatch>();
  const others = otherNodes(nodes, scene, from === undefined);
  for (const path of scene.paths) {
    for (const { vantage, stand, target } of probesOf(path, others, from === undefined)) {
      const key = JSON.stringify(stand);
      const batch = batches.get(key) ?? { stand, orders: [] };
      batches.set(key, batch);
      const { hostPort, hostIP, protocol } = path.port;
      batch.orders.push({
        vantage,
        node: path.node!.name,
        ...(stand.at === 'outside' ? {} : { from: stand.node }),
        podUid: path.subject.pod!.uid,
        protocol,
        hostPort,
        ...(hostIP === undefined ? {} : { hostIP }),
        target,
      });
    }
  }
  // A pod with more ports than one sender takes must not keep it from probing those of others.
  return [...batches.values()].flatMap(({ stand, orders }) =>
    Array.from({ length: Math.ceil(orders.length / MAX_ORDERS) }, (_, i) => ({
      stand,
      orders: orders.slice(i * MAX_ORDERS, (i + 1) * MAX_ORDERS),
    })),
  );
}

interface PlannedProbe {
  vantage: Vantage;
  stand: Stand;
  target: { address: string; port: number };
}

function probesOf(path: PathView, otherThan: OtherNode, fromOutside: boolean): PlannedProbe[] {
  const { node, port, address, family, sandbox } = path;
  if (node === undefined) return [];
  const probes: PlannedProbe[] = [];
  const here: Stand = { at: 'node', node: node.name };
  const direct = podAddress(path);
  if (direct !== undefined) {
    const target = { address: direct, port: port.containerPort };
    probes.push({ vantage: 'direct', stand: here, target });
  }
  if (address === undefined || address === '') return probes;
  const mapped = { address, port: port.hostPort };
  probes.push({ vantage: 'node', stand: here, target: mapped });
  if (port.hostIP === undefined) {
    const loopback = { address: familyOf(address) === 'ipv6' ? '::1' : '127.0.0.1', port: port.hostPort };
    probes.push({ vantage: 'loopback', stand: here, target: loopback });
  }
  if (isLoopbackText(address)) return probes;
  const other = otherThan(node.name, family);
  if (other !== undefined) {
    probes.push({ vantage: 'other-node', stand: { at: 'node', node: other }, target: mapped });
  }
  if (sandbox?.netns !== undefined && sandbox.netnsExists) {
    const inside: Stand = { at: 'pod', node: node.name, netns: sandbox.netns };
    probes.push({ vantage: 'pod', stand: inside, target: mapped });
  }
  if (fromOutside) probes.push({ vantage: 'outside', stand: { at: 'outside' }, target: mapped });
  return probes;
}

/** The node that probes the mappings of another, of a family; undefined where there is none. */
type OtherNode = (node: string, family: PathView['family']) => string | undefined;

/** Looked for once for all mappings of a node: of thousands of nodes each would look at all. */
function otherNodes(nodes: readonly string[], scene: Scene, fromOutside: boolean): OtherNode {
  const found = new Map<string, string | undefined>();
  return (node, family) => {
    const key = `${node} ${family}`;
    if (!found.has(key)) {
      // A node without an address of the family cannot send.
      const canSend = (name: string) => name !== node && scene.addressOf(name, family) !== undefined;
      // From outside there is one more; without it, one node must not send the probes of thousands.
      found.set(key, fromOutside ? nodes.find(canSend) : after(nodes, node).find(canSend));
    }
    return found.get(key);
  };
}

/** Sorted names as a ring that begins after one of them. */
function after(names: readonly string[], name: string): string[] {
  const next = names.findIndex((each) => each > name);
  return next < 0 ? [...names] : [...names.slice(next), ...names.slice(0, next)];
}
