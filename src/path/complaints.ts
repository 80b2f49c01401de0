import type { Event } from '../kube/types.ts';
import type { Evidence } from './finding.ts';
import type { NodeView } from './node-view.ts';
import type { Scene } from './scene.ts';

/**
 * Events of a node, or of pods on it, whose words match: what somebody who looks at the node complains of, a probe of the kubelet or a
 * monitor. Each event once.
 */
export function complaintsOn(node: NodeView, scene: Scene, pattern: RegExp): Event[] {
  return (
    eventsByNode(scene)
      .get(node.name)
      ?.filter(({ message }) => pattern.test(message ?? '')) ?? []
  );
}

/** A complaint as evidence. */
export function complaintEvidence({ involvedObject, reason, message }: Event): Evidence {
  const { kind, namespace, name } = involvedObject;
  const where = `${kind?.toLowerCase()} ${namespace === undefined ? '' : `${namespace}/`}${name}: ${reason ?? ''}`;
  return { kind: 'event', where, saw: message ?? '' };
}

const byNode = new WeakMap<Scene, ReadonlyMap<string, Event[]>>();

function eventsByNode(scene: Scene): ReadonlyMap<string, Event[]> {
  let events = byNode.get(scene);
  if (events === undefined) {
    const nodes = new Map(scene.world.pods.map(({ metadata, spec }) => [metadata?.uid, spec?.nodeName]));
    events = Map.groupBy(scene.world.events, ({ involvedObject: { kind, name, uid } }) =>
      kind === 'Node' ? (name ?? '') : (nodes.get(uid) ?? ''),
    );
    byNode.set(scene, events);
  }
  return events;
}
