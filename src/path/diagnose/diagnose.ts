import { messageOf } from '../../util/errors.ts';
import { possibleHeal } from '../heal/possible.ts';
import {
  type Diagnosis,
  type Finding,
  type PathVerdict,
  type StageVerdict,
  severities,
} from '../model/finding.ts';
import { textOf } from '../model/message.ts';
import { compareStages, type Stage, stages } from '../model/stages.ts';
import type { World } from '../model/world.ts';
import type { Detection, Failure } from '../stages/failure.ts';
import { catalogue } from '../stages/index.ts';
import { kernelsWord } from '../view/probe-facts.ts';
import { type PathView, Scene } from '../view/scene.ts';
import { ofBothFamilies } from './both-families.ts';
import { type Judgement, judge } from './judge.ts';
import { asLoaded, coveringAmong, keyOf, mute } from './muting.ts';
import { inOrder } from './order.ts';

/** A detection with its failure: what healing starts from. */
export interface Case {
  failure: Failure;
  detection: Detection;
  finding: Finding;
}

/** The outcome of a diagnosis, with what is needed to go on: the document, the scene it is about, and the cases behind the findings. */
export interface Diagnosed {
  diagnosis: Diagnosis;
  scene: Scene;
  cases: readonly Case[];
  /** The verdicts of the document, by the mappings of the scene. */
  verdictOf: ReadonlyMap<PathView, PathVerdict>;
}

/**
 * What is wrong with every hostPort of a world. Pure: the same world gives the same findings in the same order. A
 * finding that follows from another is left out (the rule is in muting.ts); what could not be seen is unknown, never healthy.
 */
export function diagnosisOf(world: World, failures: readonly Failure[] = catalogue): Diagnosis {
  const scene = new Scene(world);
  const findings: Finding[] = [];
  const verdicts: PlacedVerdict[] = [];
  const unknowns = examineParts(scene.parts({ kept: false }), failures, (part, cases, own) => {
    for (const { finding } of cases) findings.push(finding);
    for (const [i, { place }] of part.paths.entries()) verdicts.push({ place, verdict: own[i]! });
    part.release();
  });
  return documentOf(world, verdicts, findings.sort(byWeight), unknowns);
}

/** As {@link diagnosisOf}, with what healing starts from: of a node on which something is broken all stays in memory. */
export function diagnose(world: World, failures: readonly Failure[] = catalogue): Diagnosed {
  const scene = new Scene(world);
  const cases: Case[] = [];
  const verdictOf = new Map<PathView, PathVerdict>();
  const unknowns = examineParts(scene.parts(), failures, (part, found, own) => {
    for (const entry of found) cases.push(entry);
    for (const [i, path] of part.paths.entries()) verdictOf.set(path, own[i]!);
    // What is broken will be looked at again, for healing.
    if (found.length === 0) part.release();
  });
  cases.sort((a, b) => byWeight(a.finding, b.finding));
  const findings = cases.map(({ finding }) => finding);
  const verdicts = [...verdictOf].map(([{ place }, verdict]) => ({ place, verdict }));
  return { diagnosis: documentOf(world, verdicts, findings, unknowns), scene, cases, verdictOf };
}

/** The verdict on a mapping, and the place of its pod among those of the world. */
interface PlacedVerdict {
  place: number;
  verdict: PathVerdict;
}

function documentOf(
  world: World,
  verdicts: PlacedVerdict[],
  findings: Finding[],
  unknowns: Diagnosis['unknowns'],
): Diagnosis {
  return inOrder({
    apiVersion: 'hostport/v1',
    kind: 'Diagnosis',
    observedAt: world.observedAt,
    // Of one pod they are together, and in their order.
    paths: verdicts.sort((a, b) => a.place - b.place).map(({ verdict }) => verdict),
    findings,
    unknowns: [...(world.unread ?? []), ...unknowns],
  });
}

/**
 * Examines the parts of a scene one after the other; `found` gets the cases of each and the verdicts on its mappings, in their order. Returns what could
 * not be seen or judged.
 */
function examineParts(
  parts: Iterable<Scene>,
  failures: readonly Failure[],
  found: (part: Scene, cases: Case[], verdicts: readonly PathVerdict[]) => void,
): Diagnosis['unknowns'] {
  const unseen: Diagnosis['unknowns'] = [];
  const unjudged: Diagnosis['unknowns'] = [];
  for (const part of parts) {
    for (const { name, report } of part.nodes.values()) {
      if ('unknown' in report)
        unseen.push({ kind: 'node', node: name, what: 'node report', why: report.unknown });
    }
    const { cases, verdicts } = examineOrDoubt(part, failures, unjudged);
    found(part, cases, verdicts);
  }
  return [...unseen, ...unjudged];
}

/** What was found in a part of the scene. */
interface Examined {
  cases: Case[];
  /** Those on its mappings, in their order. */
  verdicts: PathVerdict[];
}

/**
 * As {@link examine}. What raises is of this part alone: nothing is then known of any of its stages, for the reason that was raised, and all others
 * are judged.
 */
function examineOrDoubt(
  part: Scene,
  failures: readonly Failure[],
  unjudged: Diagnosis['unknowns'],
): Examined {
  try {
    return examine(part, failures);
  } catch (cause) {
    const why = `cannot be judged: ${messageOf(cause)}`;
    const [node] = part.nodes.keys();
    unjudged.push({
      ...(node === undefined ? { kind: 'pod' } : { kind: 'node', node }),
      what: 'diagnosis',
      why,
    });
    const doubt: StageVerdict = { verdict: 'unknown', codes: [], reason: why };
    const verdicts = part.paths.map((path) =>
      pathVerdict(path, Object.fromEntries(stages.map((stage) => [stage, doubt]))),
    );
    return { cases: [], verdicts };
  }
}

/** The cases of a part of the scene that are not muted, and the verdict on each of its mappings. */
function examine(part: Scene, failures: readonly Failure[]): Examined {
  const detected = failures.flatMap((failure) =>
    failure.detect(part).map((detection) => caseOf(failure, asLoaded(failure, detection, part))),
  );
  const covering = coveringAmong(part.paths);
  const { standing, muted } = mute(detected, covering);
  // Last, since a case that is muted in one family may be a cause of its own in the other.
  const cases = [...Map.groupBy(standing, ({ failure }) => failure)].flatMap(([failure, entries]) =>
    ofBothFamilies(entries.map(({ detection }) => detection)).map((detection) =>
      withCommand(caseOf(failure, detection), part),
    ),
  );
  const reported = covering(
    cases.map((entry) => ({ subject: entry.finding.subject, value: entry.finding })),
    ({ code, severity }) => `${code} ${severity}`,
  );
  const hidden = covering(
    muted.map(({ of, by }) => ({ subject: of.finding.subject, value: { finding: of.finding, by } })),
    ({ finding }) => finding.stage,
  );
  const verdicts = part.paths.map((path) =>
    verdictOf(path, part, reported(path.subject), hidden(path.subject)),
  );
  return { cases, verdicts };
}

function caseOf(failure: Failure, detection: Detection): Case {
  const { code, stage, explanation, restart, restartReason } = failure;
  const finding: Finding = {
    code,
    stage,
    severity: detection.severity ?? failure.severity,
    subject: detection.subject,
    message: textOf(detection.message),
    args: { ...detection.message.args },
    evidence: detection.evidence,
    explanation,
    remedy: detection.remedy ?? failure.remedy,
    restart,
    ...(restartReason !== undefined && { restartReason }),
    documentation: `docs/failures/${code}.md`,
  };
  return { failure, detection, finding };
}

/** A case with the command that fixes it; without one where it needs a manual step. */
function withCommand(entry: Case, scene: Scene): Case {
  const { failure, detection, finding } = entry;
  const { heal, obstacle } = possibleHeal(failure, detection, scene);
  if (obstacle !== undefined) {
    const { why: remedy, restartReason } = obstacle;
    const restart = restartReason === undefined ? {} : { restart: 'needed' as const, restartReason };
    return { ...entry, finding: { ...finding, remedy, ...restart } };
  }
  if (heal.by === 'hand') return entry;
  const command = `hostport heal --only ${finding.code}${heal.by === 'restart' ? ' --restart' : ''}`;
  return { ...entry, finding: { ...finding, command } };
}

function byWeight(f: Finding, g: Finding): number {
  return (
    severities.indexOf(f.severity) - severities.indexOf(g.severity) ||
    compareStages(f.stage, g.stage) ||
    keyOf(f.subject).localeCompare(keyOf(g.subject)) ||
    f.code.localeCompare(g.code)
  );
}

/** What is said most: one object for a million cells of a large cluster. */
const HOLDS = Object.freeze<StageVerdict>({ verdict: 'ok', codes: Object.freeze([]) as unknown as string[] });

/** The verdicts on a mapping without any fault, as most are. */
const ALL_HOLD = Object.freeze(Object.fromEntries(stages.map((stage) => [stage, HOLDS]))) as Record<
  Stage,
  StageVerdict
>;

/** The stages that are a packet's way, of which its kernel can be asked. */
const OF_A_PACKET: readonly Stage[] = ['translated', 'forwarded', 'answered'];

function verdictOf(
  path: PathView,
  scene: Scene,
  reported: readonly Finding[],
  hidden: readonly { finding: Finding; by: string }[],
): PathVerdict {
  // Most mappings are healthy: of these, nothing is made.
  if (
    reported.length === 0 &&
    hidden.length === 0 &&
    stages.every((stage) => isPlain(judge(stage, path, scene)))
  )
    return pathVerdict(path, ALL_HOLD);
  let brokenBy: string | undefined;
  const verdicts = stages.map((stage): [Stage, StageVerdict] => {
    const own = reported.filter((finding) => finding.stage === stage && finding.severity !== 'note');
    const broken = own.filter(({ severity }) => severity === 'broken');
    if (broken.length > 0) {
      brokenBy ??= broken[0]!.code;
      return [stage, { verdict: 'broken', codes: broken.map(({ code }) => code) }];
    }
    const muted = hidden.find(({ finding }) => finding.stage === stage);
    if (muted !== undefined) return [stage, { verdict: 'muted', codes: [], reason: muted.by }];
    const judgement: Judgement = judge(stage, path, scene);
    if (judgement.holds !== true && brokenBy !== undefined) {
      return [stage, { verdict: 'muted', codes: [], reason: brokenBy }];
    }
    if (judgement.holds === 'unknown') {
      const word = OF_A_PACKET.includes(stage) ? kernelsWord(path) : undefined;
      const reason = word === undefined ? judgement.why : `${judgement.why}; ${word}`;
      return [stage, { verdict: 'unknown', codes: [], reason }];
    }
    if (own.length === 0 && judgement.why === undefined) return [stage, HOLDS];
    const reason = judgement.why === undefined ? {} : { reason: judgement.why };
    return [
      stage,
      { verdict: own.length > 0 ? 'risk' : 'ok', codes: own.map(({ code }) => code), ...reason },
    ];
  });
  const isSound = verdicts.every(([, verdict]) => verdict === HOLDS);
  return pathVerdict(path, isSound ? ALL_HOLD : Object.fromEntries(verdicts));
}

/** Whether a stage holds, as it usually does. */
function isPlain({ holds, why }: Judgement): boolean {
  return holds === true && why === undefined;
}

function pathVerdict(path: PathView, verdicts: Readonly<Record<string, StageVerdict>>): PathVerdict {
  return {
    ...(path.node === undefined ? {} : { node: path.node.name }),
    pod: path.subject.pod!,
    port: path.port,
    ...(path.subject.family === undefined ? {} : { family: path.subject.family }),
    stages: verdicts as Record<Stage, StageVerdict>,
  };
}
