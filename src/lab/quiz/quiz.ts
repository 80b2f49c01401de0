import { findingKey } from '../../path/heal/plan.ts';
import type { Diagnosis, Finding, PathVerdict, Unknown } from '../../path/model/finding.ts';
import { formatPort } from '../../path/model/host-ports.ts';
import { stages } from '../../path/model/stages.ts';
import type { Failure } from '../../path/stages/failure.ts';
import { podName } from '../../path/view/pod-name.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import { waitFor } from '../../sys/wait.ts';
import { andMore } from '../../util/and-more.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { combinedError, UserError } from '../../util/errors.ts';
import { seeded, shuffled } from '../../util/seeded.ts';
import { NoSuitableTarget } from '../inject/book.ts';
import type { FaultTarget } from '../inject/fault.ts';
import {
  begin,
  type Checked,
  HOW_TO_NAME,
  play,
  type Round,
  readMove,
  type Score,
  type Standing,
  scoreOf,
} from './game.ts';
import { hintsOf, mappingOf } from './hints.ts';
import { candidatesFor, failuresOf, type Level } from './question.ts';

/** The lab that a quiz is played in. */
export interface QuizLab {
  /** The command that fixes what is broken in it. */
  readonly healCommand: string;
  /** What the doctor finds. */
  look(signal: AbortSignal): Promise<Diagnosis>;
  /** The same, and for what a failure can be injected: that throws where no pod with a hostPort runs. */
  survey(signal: AbortSignal): Promise<{ diagnosis: Diagnosis; targets: () => FaultTarget[] }>;
  /** Injects a failure for the first of some targets that suits it; rejects with {@link NoSuitableTarget} where none does. */
  inject(failure: Failure, targets: readonly FaultTarget[], signal: AbortSignal): Promise<FaultTarget>;
  /** Undoes what was injected, whatever the signal of the quiz says; twice in a row is fine. Rejects when something cannot be undone. */
  undo(): Promise<void>;
  /** Waits, once it is undone, until the pods are ready again; returns what is not as it was, a line each. */
  settle(signal: AbortSignal): Promise<string[]>;
}

/** Where it is played. */
export interface QuizTable {
  say(text: string): void;
  /** The next line of the player; undefined when there is no more. Rejects with the signal's reason. */
  answer(signal: AbortSignal): Promise<string | undefined>;
}

export interface QuizOptions {
  /** The same seed asks the same in the same lab. */
  seed: number;
  level: Level;
}

/** What became of a quiz: `hostport quiz -o json` prints it with the cluster. */
export interface QuizResult extends QuizOptions {
  code: string;
  node: string;
  pod: string;
  port: FaultTarget['port'];
  /** Whether the cause was named, after which wrong ones and how many hints, and whether it was repaired by hand. */
  found: boolean;
  wrong: readonly string[];
  hints: number;
  repaired: boolean;
  score: Score;
}

/** How long the doctor may take to see what was injected, in milliseconds: pods that wait for a plugin are tried again and again. */
const SEEN_MS = 60_000;
const LOOK_MS = 500;

/**
 * Breaks something in a lab, asks what it is, and has it repaired by hand. However it ends, by an answer, an error or an interruption, what was
 * injected is undone.
 */
export async function playQuiz(
  lab: QuizLab,
  table: QuizTable,
  options: QuizOptions,
  signal: AbortSignal,
  clock: Clock = realClock,
): Promise<QuizResult> {
  const before = await lab.survey(signal);
  refuseBroken(before.diagnosis, lab.healCommand);
  const working = before.targets().filter((target) => isWorking(before.diagnosis, target));
  if (working.length === 0) {
    throw new UserError(
      'cannot start the quiz: no hostPort of the cluster works, so that nothing can be broken; "hostport doctor" says why',
    );
  }
  for (const text of notWorthAsking(before.diagnosis)) table.say(text);
  let result: QuizResult;
  try {
    result = await ask(lab, table, options, { known: before.diagnosis, working, signal, clock });
  } catch (cause) {
    const left = await lab.undo().then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    throw left === undefined ? cause : combinedError([cause, left.error]);
  }
  await lab.undo();
  table.say('Undone; waiting until everything is as it was ...');
  for (const text of await lab.settle(signal)) table.say(text);
  return result;
}

/** How many findings are named. */
const NAMED = 5;

/** Refuses a cluster in which something is broken: the player would look for that, or could not see what the quiz breaks because of it. */
function refuseBroken({ findings }: Diagnosis, healCommand: string): void {
  const broken = findings.filter(({ severity }) => severity === 'broken').map(placed);
  if (broken.length === 0) return;
  throw new UserError(
    `cannot start the quiz: something is broken already: ${named(broken)}; fix it with "${healCommand}", then start again`,
  );
}

/** What is no fault of the quiz, and may be taken for it. */
function notWorthAsking({ findings, unknowns }: Diagnosis): string[] {
  const risks = findings.filter(({ severity }) => severity === 'risk').map(placed);
  const unseen = unknowns.map(
    ({ node, what, why }) => `${node === undefined ? '' : `${node}: `}${what}: ${why}`,
  );
  return [
    ...(risks.length === 0 ? [] : [`There already, and not what is asked for: ${named(risks)}.`]),
    ...(unseen.length === 0 ? [] : [`Cannot be seen, and is not asked about: ${named(unseen)}.`]),
  ];
}

function placed({ code, subject: { node, pod } }: Finding): string {
  if (node !== undefined) return `${code} on ${node}`;
  return pod === undefined ? code : `${code} of pod ${podName(pod)}`;
}

function named(all: readonly string[]): string {
  return andMore([...new Set(all)], NAMED);
}

interface Surroundings {
  known: Diagnosis;
  working: readonly FaultTarget[];
  signal: AbortSignal;
  clock: Clock;
}

async function ask(
  lab: QuizLab,
  table: QuizTable,
  options: QuizOptions,
  { known, working, signal, clock }: Surroundings,
): Promise<QuizResult> {
  const random = seeded(options.seed);
  // In the order of their names, which a lab that is created again has, too.
  const targets = shuffled(
    working.toSorted((a, b) => (`${a.node} ${podName(a.pod)}` < `${b.node} ${podName(b.pod)}` ? -1 : 1)),
    random,
  );
  table.say(`Breaking something (seed ${options.seed}, level ${options.level}) ...`);
  const { failure, target } = await injectAny(
    lab,
    shuffled(failuresOf(options.level), random),
    targets,
    signal,
  );
  let diagnosis = known;
  const finding = await waitFor(
    'the doctor to find what was broken',
    async () => {
      diagnosis = await lab.look(signal);
      return newIn(diagnosis, known).find(({ code }) => code === failure.code);
    },
    { timeoutMs: SEEN_MS, intervalMs: LOOK_MS, signal, clock },
  );
  const round: Round = {
    failure,
    candidates: candidatesFor(failure, options.level, random),
    hints: hintsOf(diagnosis, finding, target),
  };
  for (const text of questionOf(round, diagnosis, target)) table.say(text);
  let standing: Standing = begin;
  while (standing.phase !== 'over') {
    const typed = await table.answer(signal);
    const move = typed === undefined ? ({ do: 'quit' } as const) : readMove(typed, round, standing);
    const checked = move.do === 'check' ? check(await lab.look(signal), known, target) : undefined;
    const played = play(round, standing, move, checked);
    standing = played.standing;
    for (const text of played.said) table.say(text);
  }
  const { isFound, wrong, hints, isRepaired } = standing;
  return {
    ...options,
    code: failure.code,
    node: target.node,
    pod: podName(target.pod),
    port: target.port,
    found: isFound,
    wrong,
    hints,
    repaired: isRepaired,
    score: scoreOf(standing),
  };
}

/** Injects the first of some failures that suits any of some targets. */
async function injectAny(
  lab: QuizLab,
  failures: readonly Failure[],
  targets: readonly FaultTarget[],
  signal: AbortSignal,
): Promise<{ failure: Failure; target: FaultTarget }> {
  for (const failure of failures) {
    try {
      return { failure, target: await lab.inject(failure, targets, signal) };
    } catch (cause) {
      if (!(cause instanceof NoSuitableTarget)) throw cause;
    }
  }
  throw new UserError(
    'cannot start the quiz: no failure of this level can be injected here; choose another --level',
  );
}

function questionOf({ candidates }: Round, diagnosis: Diagnosis, target: FaultTarget): string[] {
  const { port, node, nodeAddress } = target;
  const answered = mappingOf(diagnosis, target)?.stages.answered.verdict;
  const is = answered === 'ok' ? 'it still answers' : 'it does not answer as it did';
  return [
    `Something is wrong with ${port.protocol} ${formatEndpoint({ address: nodeAddress, port: port.hostPort })}, the hostPort of pod ${podName(target.pod)} on ${node}: ${is}.`,
    'Look for the cause in another terminal, with "hostport shell", but without "hostport doctor", which knows it.',
    'Which of these is it?',
    ...candidates.map(({ stage, code, title }, i) => `${i + 1}. [${stage}] ${code}: ${title}`),
    HOW_TO_NAME,
  ];
}

/** Whether every stage of a mapping was seen to hold; of the last it may be unknown, since a port of UDP answers to nobody. */
function isWorking(diagnosis: Diagnosis, target: FaultTarget): boolean {
  const mapping = mappingOf(diagnosis, target);
  return (
    mapping !== undefined &&
    stages.every((stage) => {
      const { verdict } = mapping.stages[stage];
      return verdict === 'ok' || (verdict === 'unknown' && stage === 'answered');
    })
  );
}

/** How a repair of what was broken for a target stands. That something is not found is not enough: nothing is, where nothing can be observed. */
function check(diagnosis: Diagnosis, known: Diagnosis, target: FaultTarget): Checked {
  const { node, port } = target;
  const earlier = new Set(known.unknowns.map(keyOfUnknown));
  const unobserved = diagnosis.unknowns
    .filter((unknown) => unknown.node === undefined || unknown.node === node)
    .filter((unknown) => !earlier.has(keyOfUnknown(unknown)))
    .map(({ what, why, node: of }) => `${of === undefined ? '' : `${of}: `}${what}: ${why}`);
  // A repair may recreate the pod, under another name where a controller does it.
  const has = (path: PathVerdict) => path.node === node && isSamePort(path.port, port);
  const verdicts = known.paths.filter(has).flatMap((before) => {
    const now = diagnosis.paths.find((path) => has(path) && path.family === before.family);
    const name = `${formatPort(port)} on ${node}`;
    if (now === undefined) return [`${name}: no pod has it any more; recreate the pod`];
    return stages
      .filter((stage) => now.stages[stage].verdict !== 'ok')
      .filter((stage) => now.stages[stage].verdict !== before.stages[stage].verdict)
      .map((stage) => `${name}: ${stage}: ${now.stages[stage].verdict}`);
  });
  return { left: newIn(diagnosis, known).map(describe), unknown: [...unobserved, ...verdicts] };
}

function isSamePort(a: PathVerdict['port'], b: FaultTarget['port']): boolean {
  return a.hostPort === b.hostPort && a.protocol === b.protocol && a.hostIP === b.hostIP;
}

function keyOfUnknown({ kind, node, what }: Unknown): string {
  return JSON.stringify([kind, node, what]);
}

/** The findings of a diagnosis, but for notes, that an earlier one does not have. */
function newIn(diagnosis: Diagnosis, known: Diagnosis): Finding[] {
  const earlier = new Set(known.findings.map(findingKey));
  return diagnosis.findings.filter(
    (finding) => finding.severity !== 'note' && !earlier.has(findingKey(finding)),
  );
}

function describe({ code, message }: Finding): string {
  return `${code}: ${message}`;
}
