import { isDeepStrictEqual } from 'node:util';
import { keyOf } from './covering.ts';
import type { Detection } from './failure.ts';
import type { Evidence } from './finding.ts';

/**
 * Cases as they are told: what is found in both families of a mapping, equally grave, is one cause, most often, and told once, of the mapping, with
 * the evidence of both. Each case goes with one of the other family; what is left over is told of its own. Mending starts with the first; where the
 * other had another cause, it is found alone in the next look.
 */
export function ofBothFamilies<Data>(detections: readonly Detection<Data>[]): Detection<Data>[] {
  const told: Detection<Data>[] = [];
  for (const detection of detections) {
    const place = told.findIndex((earlier) => isOtherHalf(earlier, detection));
    if (place < 0) told.push(detection);
    else told[place] = joined(told[place]!, detection);
  }
  return told;
}

function isOtherHalf(one: Detection, other: Detection): boolean {
  const { family, ...subject } = one.subject;
  const { family: otherFamily, ...otherSubject } = other.subject;
  return (
    family !== undefined &&
    otherFamily !== undefined &&
    family !== otherFamily &&
    one.severity === other.severity &&
    keyOf(subject) === keyOf(otherSubject)
  );
}

function joined<Data>(first: Detection<Data>, second: Detection): Detection<Data> {
  const { family, ...subject } = first.subject;
  const isNew = (entry: Evidence) => !first.evidence.some((earlier) => isDeepStrictEqual(earlier, entry));
  return { ...first, subject, evidence: [...first.evidence, ...second.evidence.filter(isNew)] };
}
