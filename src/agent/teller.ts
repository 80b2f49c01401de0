import type { EventRecorder } from '../kube/event-recorder.ts';
import type { ObjectReference } from '../kube/types.ts';
import type { Finding } from '../path/model/finding.ts';
import { formatPort } from '../path/model/host-ports.ts';
import { podName } from '../path/view/pod-name.ts';
import type { Scene } from '../path/view/scene.ts';
import { messageOf } from '../util/errors.ts';
import type { Teller } from './loop.ts';

type PodReference = NonNullable<Finding['subject']['pod']>;

/**
 * Reports to a log, one line an event, and, where there is an API, as Events on the pods whose hostPorts are concerned:
 * `HostPortBroken`, `HostPortHealed`, `HostPortNotHealed`, `HostPortContested`. What is only at risk is logged and gets no Event.
 */
export function teller(log: (line: string) => void, events?: Pick<EventRecorder, 'event'>): Teller {
  const say = (finding: Finding, what: string) => log(`${finding.code} ${describe(finding)}: ${what}`);
  const record = (
    type: 'Normal' | 'Warning',
    reason: string,
    finding: Finding,
    scene: Scene,
    message: string,
  ) => {
    if (finding.severity !== 'broken') return;
    for (const pod of podsConcerned(finding, scene)) {
      events?.event(podReference(pod), type, reason, `${finding.code}: ${message}`);
    }
  };
  return {
    appeared(finding, scene) {
      say(finding, `${finding.severity}: ${finding.message}`);
      record('Warning', 'HostPortBroken', finding, scene, finding.message);
    },
    healed(finding, scene) {
      say(finding, 'healed');
      const how = finding.restart === 'needed' ? 'the pod is recreated' : 'the pod was not restarted';
      record('Normal', 'HostPortHealed', finding, scene, `healed, ${how}`);
    },
    gone(finding) {
      say(finding, 'gone');
    },
    failed(finding, reason, nextTry, scene) {
      say(
        finding,
        `not healed: ${reason}; next try at ${new Date(nextTry).toISOString()}, then less and less often`,
      );
      record('Warning', 'HostPortNotHealed', finding, scene, reason);
    },
    left(finding, why, scene) {
      say(finding, `needs a manual step: ${why}`);
      record('Warning', 'HostPortNotHealed', finding, scene, `needs a manual step: ${why}`);
    },
    contested(finding, times, nextTry, scene) {
      const what = `fixed ${times} times within the last minute and undone each time: something else on the node changes it`;
      say(finding, `${what}; left alone until ${new Date(nextTry).toISOString()}`);
      record('Warning', 'HostPortContested', finding, scene, what);
    },
    blind(error) {
      log(`cannot observe the node: ${messageOf(error)}`);
    },
  };
}

function describe({ subject: { node, pod, port, family } }: Finding): string {
  const parts = [pod === undefined ? node : podName(pod), port && formatPort(port), family];
  return parts.filter((part) => part !== undefined).join(' ');
}

/** The pod a finding is about; for one about a node, the pods there that ask for hostPorts. */
export function podsConcerned({ subject: { pod, node } }: Finding, scene: Scene): PodReference[] {
  if (pod !== undefined) return [pod];
  const concerned = scene.paths.filter((path) => path.subject.node === node).map((path) => path.subject.pod!);
  return [...new Map(concerned.map((entry) => [entry.uid, entry])).values()];
}

/** The reference to a pod that an Event carries. */
export function podReference({ namespace, name, uid }: PodReference): ObjectReference {
  return { apiVersion: 'v1', kind: 'Pod', namespace, name, uid };
}
