/**
 * Which findings are muted, and which cells of the table: the whole rule, and all that it depends on.
 *
 * A case is muted when another case of the same diagnosis **covers** it and **explains** it. It is then not reported, and the cell of its stage
 * is `muted`, by the code of that other.
 *
 * Covers: what is said of a node is said of its pods, of a pod of its mappings, of a mapping of both its address families. A
 * subject without a family counts as of the family that all its mappings are reached by: a mapping for an IPv4 address suffers from what the node
 * does to IPv4. One whose mappings are reached by both families, or by an unknown one, stays without.
 *
 * Explains, by `mutedBy` of the failure ({@link Failure.mutedBy}), in one of two ways:
 * - it has `earlier`, and the other is `broken` at an earlier stage, whatever its code;
 * - it names the other's code, and the other is no less severe, at whatever stage.
 *
 * The severity is that of the case: what the detection says, or else the failure; and never more than `risk` for a configuration that the runtime
 * has not read while the one that it uses maps ports ({@link asLoaded}, for failures with `ofFirstConfig`).
 *
 * A case that is itself muted mutes others all the same: its cause is theirs. What is found in both families is muted in each by itself, and
 * joined afterwards ({@link ofBothFamilies}). Nothing else counts: not the order of failures, not the evidence, not whether healing removes
 * leftovers without asking.
 *
 * A cell without a finding of its own is `muted`, too, when its stage was not seen to hold and a stage before it is broken (`verdictOf` in
 * diagnose.ts).
 */
import type { FamilyName } from '../../util/family.ts';
import { type Finding, type Subject, severities } from '../model/finding.ts';
import { withSuffix } from '../model/message.ts';
import { compareStages } from '../model/stages.ts';
import type { Detection, Failure } from '../stages/failure.ts';
import { loadedMapsPorts } from '../view/loaded-network.ts';
import type { PathView, Scene } from '../view/scene.ts';

/** What the rule needs of a case. */
interface Found {
  failure: Pick<Failure, 'mutedBy'>;
  finding: Pick<Finding, 'code' | 'stage' | 'severity' | 'subject'>;
}

/** Separates the cases that are reported from those that are muted, each with the code that mutes it. Both keep their order. */
export function mute<Case extends Found>(
  detected: readonly Case[],
  covering: Covering,
): { standing: Case[]; muted: { of: Case; by: string }[] } {
  // Of several cases of one failure on one subject, equally severe, any mutes as much: there is a lookup for each mapping.
  const muters = covering(
    detected.map((entry) => ({ subject: entry.finding.subject, value: entry })),
    ({ finding }) => `${finding.code} ${finding.severity}`,
  );
  const standing: Case[] = [];
  const muted: { of: Case; by: string }[] = [];
  for (const entry of detected) {
    const muter = muters(entry.finding.subject).find((other) => explains(other, entry));
    if (muter === undefined) standing.push(entry);
    else muted.push({ of: entry, by: muter.finding.code });
  }
  return { standing, muted };
}

function explains({ finding: other }: Found, { failure, finding }: Found): boolean {
  if (other === finding) return false;
  const causes = failure.mutedBy === 'earlier' ? ['earlier'] : failure.mutedBy;
  const isEarlier = compareStages(other.stage, finding.stage) < 0;
  if (causes.includes('earlier') && isEarlier && other.severity === 'broken') return true;
  return (
    causes.includes(other.code) && severities.indexOf(other.severity) <= severities.indexOf(finding.severity)
  );
}

/** A case of a configuration that the runtime has not read, as long as it still uses one that maps ports: {@link Failure.ofFirstConfig}. */
export function asLoaded(
  failure: Pick<Failure, 'ofFirstConfig'>,
  detection: Detection,
  scene: Scene,
): Detection {
  const node = scene.nodes.get(detection.subject.node ?? '');
  if (failure.ofFirstConfig !== true || node === undefined || !loadedMapsPorts(node)) return detection;
  const message = withSuffix(
    detection.message,
    '; an older list, which maps ports, is in use until the runtime reads its directory again',
  );
  return { ...detection, message, severity: 'risk' };
}

/** Finds, of what is said of subjects, all that covers one of them; of each kind on one subject the first. */
export type Covering = <T>(
  entries: readonly { subject: Subject; value: T }[],
  kindOf: (value: T) => string,
) => (subject: Subject) => T[];

/** {@link Covering} among the subjects of these mappings. */
export function coveringAmong(paths: readonly PathView[]): Covering {
  let narrow: ((subject: Subject) => Subject) | undefined;
  return <T>(
    entries: readonly { subject: Subject; value: T }[],
    kindOf: (value: T) => string,
  ): ((subject: Subject) => T[]) => {
    // Most nodes have no findings, and their mappings need no keys.
    if (entries.length === 0) return () => [];
    narrow ??= inFamilyOf(paths);
    const inFamily = narrow;
    const groups = new Map<string, Map<string, T>>();
    for (const { subject, value } of entries) {
      const key = keyOf(subject);
      const group = groups.get(key) ?? new Map<string, T>();
      groups.set(key, group);
      const kind = kindOf(value);
      if (!group.has(kind)) group.set(kind, value);
    }
    return (subject) =>
      coveringKeys(inFamily(subject)).flatMap((key) => [...(groups.get(key)?.values() ?? [])]);
  };
}

function portKey({ hostIP, hostPort, protocol }: NonNullable<Subject['port']>): string {
  return `${protocol} ${hostIP ?? ''} ${hostPort}`;
}

/**
 * The keys of all subjects that cover a subject: what is said of a node is said of its pods, what is said of a pod of its ports. By
 * them, what covers it is found without looking at everything that was said.
 */
function coveringKeys({ node, pod, port, family }: Subject): string[] {
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

/** Gives a subject the family of its mappings: the second half of "covers" above. */
function inFamilyOf(paths: readonly PathView[]): (subject: Subject) => Subject {
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
