import type { Event } from '../../kube/types.ts';
import type { Evidence } from '../model/finding.ts';
import type { World } from '../model/world.ts';
import { type MemoKey, remembered } from '../view/memory.ts';
import type { NodeView } from '../view/node-view.ts';
import type { Scene } from '../view/scene.ts';
import { excerpt, LONGEST } from './evidence.ts';

/** A kind of complaint about ports. */
export interface Complaint {
  readonly byPort: MemoKey<ReadonlyMap<number, readonly Event[]>>;
  /** The ports that a message complains about. */
  portsIn(message: string): Iterable<number>;
}

/**
 * Events of a node, or of pods on it, by the ports that they complain about: failed probes of the kubelet or checks of a monitor. Each event is read
 * once, however many mappings the node has.
 */
export function complaintsOn(
  node: NodeView,
  scene: Scene,
  { byPort, portsIn }: Complaint,
): ReadonlyMap<number, readonly Event[]> {
  return remembered(node, byPort, () => {
    const found = new Map<number, Event[]>();
    for (const event of eventsByNode(scene.world).get(node.name) ?? []) {
      for (const port of new Set(portsIn((event.message ?? '').slice(0, LONGEST)))) {
        const events = found.get(port);
        if (events === undefined) found.set(port, [event]);
        else events.push(event);
      }
    }
    return found;
  });
}

/** A complaint as evidence. */
export function complaintEvidence({ involvedObject, reason, message }: Event): Evidence {
  const { kind, namespace, name } = involvedObject;
  const where = `${kind?.toLowerCase()} ${namespace === undefined ? '' : `${namespace}/`}${name}: ${reason ?? ''}`;
  return { kind: 'event', where, saw: excerpt(message ?? '') };
}

/** Worked out once for a world: its nodes are looked at one by one. */
const byNode = new WeakMap<World, ReadonlyMap<string, Event[]>>();

function eventsByNode(world: World): ReadonlyMap<string, Event[]> {
  let events = byNode.get(world);
  if (events === undefined) {
    const nodes = new Map(world.pods.map(({ metadata, spec }) => [metadata?.uid, spec?.nodeName]));
    events = Map.groupBy(world.events, ({ involvedObject: { kind, name, uid } }) =>
      kind === 'Node' ? (name ?? '') : (nodes.get(uid) ?? ''),
    );
    byNode.set(world, events);
  }
  return events;
}
