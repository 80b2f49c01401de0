import type { EventRecorder } from '../kube/event-recorder.ts';
import { referenceTo } from '../kube/event-recorder.ts';
import { nodes, type Resource } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import type { Scene } from '../path/view/scene.ts';
import type { Healed } from './heal.ts';
import { podReference, podsConcerned } from './teller.ts';

/** Who the Events of a heal by hand are from. */
export const HEAL_COMPONENT = 'hostport-heal';

/** As long as the message of an Event may be. Source: k8s.io/kubernetes/pkg/apis/core/validation (NoteLengthLimit). */
const MAX_MESSAGE = 1024;

/**
 * Says what was done about each finding, as Events on its node and on the pods whose hostPorts it concerns: `HostPortHealed`, or
 * `HostPortNotHealed` where it was tried. What nothing was done about gets none.
 */
export function recordHealed(
  events: Pick<EventRecorder, 'event'>,
  healed: readonly Healed[],
  scene: Scene,
): void {
  for (const { finding, outcome, steps, reason } of healed) {
    if (outcome === 'left') continue;
    const done = steps.filter(({ result }) => result.outcome === 'done').map(({ result }) => result.detail);
    const isHealed = outcome === 'healed';
    const [type, title] = isHealed
      ? (['Normal', 'HostPortHealed'] as const)
      : (['Warning', 'HostPortNotHealed'] as const);
    const what = isHealed ? done.join('; ') || 'fixed together with another' : (reason ?? 'not fixed');
    const message = `${finding.code}: ${what}`.slice(0, MAX_MESSAGE);
    const node = scene.world.nodes.find(({ metadata }) => metadata?.name === finding.subject.node);
    if (node !== undefined)
      events.event(referenceTo(nodes as Resource<KubeObject>, node), type, title, message);
    for (const pod of podsConcerned(finding, scene)) events.event(podReference(pod), type, title, message);
  }
}
