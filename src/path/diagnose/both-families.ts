import type { FamilyName } from '../../util/family.ts';
import type { Evidence } from '../model/finding.ts';
import type { Detection } from '../stages/failure.ts';
import { keyOf } from './muting.ts';

/**
 * Cases as they are reported: what is found in both families of a mapping with the same severity usually has one cause, and is reported
 * once, for the mapping, with the evidence of both. Each case is joined with one of the other family; the rest is reported separately.
 * Healing starts with the first; if the other had a different cause, the next diagnosis finds it alone.
 */
export function ofBothFamilies<Data>(detections: readonly Detection<Data>[]): Detection<Data>[] {
  const reported: Detection<Data>[] = [];
  /** Where those are that wait for one of the other family, by what that has to be like. */
  const waiting = new Map<string, number[]>();
  for (const detection of detections) {
    const { family } = detection.subject;
    const place = family === undefined ? undefined : waiting.get(halfKey(detection, family))?.shift();
    if (place !== undefined) {
      reported[place] = joined(reported[place]!, detection);
      continue;
    }
    if (family !== undefined) {
      const key = halfKey(detection, family === 'IPv4' ? 'IPv6' : 'IPv4');
      const places = waiting.get(key);
      if (places === undefined) waiting.set(key, [reported.length]);
      else places.push(reported.length);
    }
    reported.push(detection);
  }
  return reported;
}

/** The same for all cases that are equally grave, of one mapping and of this family. */
function halfKey({ subject, severity }: Detection, family: FamilyName): string {
  const { family: _, ...rest } = subject;
  return `${severity ?? ''} ${family} ${keyOf(rest)}`;
}

function joined<Data>(first: Detection<Data>, second: Detection): Detection<Data> {
  const { family, ...subject } = first.subject;
  const seen = new Set(first.evidence.map((entry) => JSON.stringify(entry)));
  const isNew = (entry: Evidence) => !seen.has(JSON.stringify(entry));
  return { ...first, subject, evidence: [...first.evidence, ...second.evidence.filter(isNew)] };
}
