import type { FamilyName } from '../../util/family.ts';
import type { Subject } from '../model/finding.ts';
import type { PathView } from '../view/scene.ts';

function portKey({ hostIP, hostPort, protocol }: NonNullable<Subject['port']>): string {
  return `${protocol} ${hostIP ?? ''} ${hostPort}`;
}

/**
 * The keys of all subjects that cover a subject: what is said of a node is said of its pods, what is said of a pod of its ports. By
 * them, what covers it is found without looking at everything that was said.
 */
export function coveringKeys({ node, pod, port, family }: Subject): string[] {
  const nodes = node === undefined ? [''] : ['', node];
  const pods = pod === undefined ? [''] : ['', pod.uid];
  const ports = port === undefined ? [''] : ['', portKey(port)];
  const families = family === undefined ? [''] : ['', family];
  return nodes.flatMap((n) =>
    pods.flatMap((p) => ports.flatMap((q) => families.map((f) => `${n}|${p}|${q}|${f}`))),
  );
}

/** A subject as a key: the same for the same node, pod, port and family. */
export function keyOf({ node, pod, port, family }: Subject): string {
  return `${node ?? ''}|${pod?.uid ?? ''}|${port === undefined ? '' : portKey(port)}|${family ?? ''}`;
}

/**
 * Adds to a subject without a family the family that all its mappings are reached by, so that a finding about this family covers it: a
 * mapping for an IPv4 address suffers from what the node does to IPv4. A subject whose mappings are reached by both families, or by an unknown one,
 * stays without.
 */
export function inFamilyOf(paths: readonly PathView[]): (subject: Subject) => Subject {
  const families = new Map<string, Set<FamilyName | undefined>>();
  for (const { family, subject } of paths) {
    const { family: _, port, ...pod } = subject;
    for (const key of [keyOf(pod), keyOf({ ...pod, ...(port === undefined ? {} : { port }) })]) {
      families.set(key, (families.get(key) ?? new Set()).add(family));
    }
  }
  return (subject) => {
    if (subject.family !== undefined) return subject;
    const [family, ...others] = families.get(keyOf(subject)) ?? [];
    return family === undefined || others.length > 0 ? subject : { ...subject, family };
  };
}
