import { isDeepStrictEqual } from 'node:util';
import { keyOf } from './covering.ts';
import type { Detection } from './failure.ts';

/**
 * Cases as they are told: what is found in both families of a mapping is one cause, most often, and told once, of the mapping, with the evidence of
 * both. Mending starts with the first; where the other had another cause, it is found alone in the next look.
 */
export function ofBothFamilies<Data>(detections: readonly Detection<Data>[]): Detection<Data>[] {
  const groups = Map.groupBy(detections, ({ subject: { family, ...subject } }) => keyOf(subject));
  const told = new Set<string>();
  return detections.flatMap((detection): Detection<Data>[] => {
    const { family, ...subject } = detection.subject;
    const key = keyOf(subject);
    const group = groups.get(key)!;
    const families = new Set(group.map((other) => other.subject.family));
    if (family === undefined || !families.has('IPv4') || !families.has('IPv6')) return [detection];
    if (told.has(key)) return [];
    told.add(key);
    const evidence = group.flatMap((other) => other.evidence);
    return [
      {
        ...detection,
        subject,
        evidence: evidence.filter(
          (entry, i) => !evidence.slice(0, i).some((earlier) => isDeepStrictEqual(earlier, entry)),
        ),
      },
    ];
  });
}
