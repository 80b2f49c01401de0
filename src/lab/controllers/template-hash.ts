import type { PodTemplateSpec } from '../../kube/types.ts';
import { fnv1a } from '../../util/fnv1a.ts';

/** Kubernetes' alphabet for generated names: no vowels and nothing that looks like one, so that no words arise. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** JSON with the keys of every object in order, and without what is empty: equal for equal templates. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (item === null || typeof item !== 'object' || Array.isArray(item))
      return item === null ? undefined : item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/**
 * A short name for a pod template: FNV-1a over its canonical JSON and the number of collisions so far, in Kubernetes'
 * alphabet. The value differs from Kubernetes' own (which hashes Go's print of the struct); only its stability matters.
 */
export function templateHash(template: PodTemplateSpec, collisionCount = 0): string {
  // Of its bytes, one character each.
  const bytes = Buffer.from(canonical(template) + (collisionCount || '')).toString('latin1');
  const hash = fnv1a(bytes);
  return [...String(hash)].map((digit) => ALPHABET[digit.charCodeAt(0) % ALPHABET.length]).join('');
}

/** Whether two templates make the same pods, the label that a controller adds aside. */
export function sameTemplate(
  a: PodTemplateSpec | undefined,
  b: PodTemplateSpec | undefined,
  hashLabel: string,
): boolean {
  return canonical(withoutLabel(a, hashLabel)) === canonical(withoutLabel(b, hashLabel));
}

function withoutLabel(template: PodTemplateSpec | undefined, label: string): PodTemplateSpec | undefined {
  if (template === undefined) return undefined;
  const { [label]: _, ...labels } = template.metadata?.labels ?? {};
  const { creationTimestamp: __, ...metadata } = template.metadata ?? {};
  return { ...template, metadata: { ...metadata, labels } };
}
