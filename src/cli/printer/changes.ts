import { worstOf } from '../../path/diagnose/count-mappings.ts';
import { findingKey } from '../../path/heal/plan.ts';
import type { Diagnosis, Finding, PathVerdict } from '../../path/model/finding.ts';
import { formatPort } from '../../path/model/host-ports.ts';
import { podName } from '../../path/view/pod-name.ts';
import { describeSubject } from './diagnosis.ts';

/** What is different in the later of two diagnoses: findings that are new or gone, then mappings that are better or worse, or come or go. */
export function changesBetween(before: Diagnosis, after: Diagnosis): string[] {
  const [was, is] = [before, after].map(({ findings }) => new Map(findings.map((one) => [keyOf(one), one])));
  const [had, has] = [before, after].map(({ paths }) => new Map(paths.map((one) => [mappingOf(one), one])));
  const about = ({ code, subject }: Finding) => `${code} ${describeSubject(subject)}`;
  return [
    ...only(is!, was!).map((finding) => `+ ${about(finding)}`),
    ...only(was!, is!).map((finding) => `- ${about(finding)}`),
    ...[...has!].flatMap(([mapping, path]) => {
      const earlier = had!.get(mapping);
      const now = worstOf(path);
      if (earlier === undefined) return [`+ ${mapping}: ${now}`];
      const then = worstOf(earlier);
      return then === now ? [] : [`${mapping}: ${then}, now ${now}`];
    }),
    ...[...had!.keys()].filter((mapping) => !has!.has(mapping)).map((mapping) => `- ${mapping}`),
  ];
}

/** What one map has and another has not, by their keys. */
function only(one: ReadonlyMap<string, Finding>, other: ReadonlyMap<string, Finding>): Finding[] {
  return [...one].filter(([key]) => !other.has(key)).map(([, finding]) => finding);
}

/** A finding of another severity is another one here. */
function keyOf(finding: Finding): string {
  return `${finding.severity} ${findingKey(finding)}`;
}

function mappingOf({ node, pod, port, family }: PathVerdict): string {
  return [node ?? 'no node', podName(pod), formatPort(port), family]
    .filter((part) => part !== undefined)
    .join(' ');
}
