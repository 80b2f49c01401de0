import type { Finding, HostPort } from '../model/finding.ts';
import type { Death, Story } from './story.ts';

/** Deaths by which no rule led a packet to a pod. The packet does not show why there is none. */
const WITHOUT_RULE: readonly (string | undefined)[] = ['mapping-missing', 'mapping-shadowed'];

/** The mapping that was traced. */
export interface TracedMapping {
  node: string;
  port: Pick<HostPort, 'hostPort' | 'protocol'>;
  /** `namespace/name` of the pod that asks for it; undefined when none does. */
  pod: string | undefined;
}

/** Whether the doctor may know more than the packet shows of why a connection died. */
export function wantsCause({ death }: Pick<Story, 'death'>): boolean {
  return WITHOUT_RULE.includes(death?.code);
}

/**
 * A story whose death is put down to what the doctor finds of the mapping; where no pod asks for the port, to nothing: then nothing is wrong with
 * the node.
 */
export function withCause<S extends Pick<Story, 'death' | 'notes'>>(
  story: S,
  mapping: TracedMapping,
  findings: readonly Finding[],
): S {
  const { death, notes } = story;
  if (death === undefined || !wantsCause(story)) return story;
  const { node, port, pod } = mapping;
  if (pod === undefined) {
    const note = `no pod on ${node} asks for hostPort ${port.protocol} ${port.hostPort}`;
    return { ...story, death: withoutCode(death), notes: [...notes, note] };
  }
  const cause = findings.find(({ severity, subject }) => severity === 'broken' && isAbout(subject, mapping));
  if (cause === undefined) return story;
  return { ...story, death: { ...death, code: cause.code, cause: cause.message } };
}

function withoutCode({ code, ...death }: Death): Death {
  return death;
}

function isAbout({ node, pod, port }: Finding['subject'], traced: TracedMapping): boolean {
  return (
    (node === undefined || node === traced.node) &&
    (pod === undefined || `${pod.namespace}/${pod.name}` === traced.pod) &&
    (port === undefined || (port.hostPort === traced.port.hostPort && port.protocol === traced.port.protocol))
  );
}
