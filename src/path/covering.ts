import type { Subject } from './finding.ts';

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

/** A subject as a key: the same for the same node, pod and port. */
export function keyOf({ node, pod, port, family }: Subject): string {
  return `${node ?? ''}|${pod?.uid ?? ''}|${port === undefined ? '' : portKey(port)}|${family ?? ''}`;
}
