import type { Event } from '../kube/types.ts';
import { excerpt } from './evidence.ts';
import type { Evidence } from './finding.ts';
import type { NodeView } from './node-view.ts';
import type { Scene } from './scene.ts';
import type { World } from './world.ts';

/**
 * Events of a node, or of pods on it, whose words match: what somebody who looks at the node complains of, a probe of the kubelet or a
 * monitor. Each event once.
 */
export function complaintsOn(node: NodeView, scene: Scene, pattern: RegExp): Event[] {
  return (
    eventsByNode(scene.world)
      .get(node.name)
      ?.filter(({ message }) => pattern.test(excerpt(message ?? ''))) ?? []
  );
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
