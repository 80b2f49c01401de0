import { messageOf } from '../../util/errors.ts';
import { possibleHeal } from '../heal/possible.ts';
import type { Diagnosis, Finding, PathVerdict, StageVerdict } from '../model/finding.ts';
import { textOf } from '../model/message.ts';
import { compareStages, type Stage, stages } from '../model/stages.ts';
import type { World } from '../model/world.ts';
import type { Detection, Failure } from '../stages/failure.ts';
import { catalogue } from '../stages/index.ts';
import { kernelsWord } from '../view/probe-facts.ts';
import { type PathView, Scene } from '../view/scene.ts';
import { ofBothFamilies } from './both-families.ts';
import { type Judgement, judge } from './judge.ts';
import { asLoaded, coveringAmong, keyOf, mute, severities } from './muting.ts';

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
}

/**
 * What is wrong with every hostPort of a world. Pure: the same world gives the same findings in the same order. A
 * finding that follows from another is left out (the rule is in muting.ts); what could not be seen is unknown, never healthy.
 */
export function diagnose(world: World, failures: readonly Failure[] = catalogue): Diagnosed {
  const scene = new Scene(world);
  const cases: Case[] = [];
  const verdicts = new Map<PathView, PathVerdict>();
  const unjudged: Diagnosis['unknowns'] = [];
  for (const part of scene.parts()) {
    const own = examineOrDoubt(part, failures, verdicts, unjudged);
    for (const entry of own) cases.push(entry);
    // What is broken will be looked at again, for healing.
    if (own.length === 0) part.release();
  }
  cases.sort(byWeight);
  return {
    diagnosis: {
      apiVersion: 'hostport/v1',
      kind: 'Diagnosis',
      observedAt: world.observedAt,
      paths: scene.paths.map((path) => verdicts.get(path)!),
      findings: cases.map(({ finding }) => finding),
      unknowns: [
        ...(world.unread ?? []),
        ...[...scene.nodes.values()].flatMap((node) =>
          'unknown' in node.report
            ? [{ kind: 'node' as const, node: node.name, what: 'node report', why: node.report.unknown }]
            : [],
        ),
        ...unjudged,
      ],
    },
    scene,
    cases,
  };
}

/**
 * As {@link examine}. What raises is of this part alone: nothing is then known of any of its stages, for the reason that was raised, and all others
 * are judged.
 */
function examineOrDoubt(
  part: Scene,
  failures: readonly Failure[],
  verdicts: Map<PathView, PathVerdict>,
  unjudged: Diagnosis['unknowns'],
): Case[] {
  try {
    return examine(part, failures, verdicts);
  } catch (cause) {
    const why = `cannot be judged: ${messageOf(cause)}`;
    const [node] = part.nodes.keys();
    unjudged.push({
      ...(node === undefined ? { kind: 'pod' } : { kind: 'node', node }),
      what: 'diagnosis',
      why,
    });
    const doubt: StageVerdict = { verdict: 'unknown', codes: [], reason: why };
    for (const path of part.paths) {
      verdicts.set(path, pathVerdict(path, Object.fromEntries(stages.map((stage) => [stage, doubt]))));
    }
    return [];
  }
}

/** The cases of a part of the scene that are not muted; notes the verdict on each of its mappings. */
function examine(part: Scene, failures: readonly Failure[], verdicts: Map<PathView, PathVerdict>): Case[] {
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
  for (const path of part.paths) {
    verdicts.set(path, verdictOf(path, part, reported(path.subject), hidden(path.subject)));
  }
  return cases;
}

function caseOf(failure: Failure, detection: Detection): Case {
  const { code, stage, explanation, restart } = failure;
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
    documentation: `docs/failures/${code}.md`,
  };
  return { failure, detection, finding };
}

/** A case with the command that fixes it; without one where it needs a manual step. */
function withCommand(entry: Case, scene: Scene): Case {
  const { failure, detection, finding } = entry;
  const { heal, obstacle } = possibleHeal(failure, detection, scene);
  if (obstacle !== undefined) return { ...entry, finding: { ...finding, remedy: obstacle } };
  if (heal.by === 'hand') return entry;
  const command = `hostport heal --only ${finding.code}${heal.by === 'restart' ? ' --restart' : ''}`;
  return { ...entry, finding: { ...finding, command } };
}

function byWeight(a: Case, b: Case): number {
  const { finding: f } = a;
  const { finding: g } = b;
  return (
    severities.indexOf(f.severity) - severities.indexOf(g.severity) ||
    compareStages(f.stage, g.stage) ||
    keyOf(f.subject).localeCompare(keyOf(g.subject)) ||
    f.code.localeCompare(g.code)
  );
}

/** What is said most: one object for a million cells of a large cluster. */
const HOLDS = Object.freeze<StageVerdict>({ verdict: 'ok', codes: Object.freeze([]) as unknown as string[] });

/** The stages that are a packet's way, of which its kernel can be asked. */
const OF_A_PACKET: readonly Stage[] = ['translated', 'forwarded', 'answered'];

function verdictOf(
  path: PathView,
  scene: Scene,
  reported: readonly Finding[],
  hidden: readonly { finding: Finding; by: string }[],
): PathVerdict {
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
  return pathVerdict(path, Object.fromEntries(verdicts));
}

function pathVerdict(path: PathView, verdicts: Record<string, StageVerdict>): PathVerdict {
  return {
    ...(path.node === undefined ? {} : { node: path.node.name }),
    pod: path.subject.pod!,
    port: path.port,
    ...(path.subject.family === undefined ? {} : { family: path.subject.family }),
    stages: verdicts as Record<Stage, StageVerdict>,
  };
}
