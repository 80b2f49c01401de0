import { isConditionTrue } from '../kube/conditions.ts';
import type { ApplyResult } from '../node/apply/result.ts';
import { type Diagnosed, diagnose } from '../path/diagnose/diagnose.ts';
import { findingKey, type HealScope, type PlannedHeal, planHeal, sameFinding } from '../path/heal/plan.ts';
import type { HealStep, NodeAction } from '../path/model/action.ts';
import type { Finding } from '../path/model/finding.ts';
import { stages } from '../path/model/stages.ts';
import type { World } from '../path/model/world.ts';
import { mayBeOver } from '../path/stages/answered/container-not-running.ts';
import type { Failure } from '../path/stages/failure.ts';
import { type Clock, realClock } from '../sys/clock.ts';
import { messageOf } from '../util/errors.ts';

/** What is healed: a cluster or a node that can be observed and changed. */
export interface Patient {
  observe(signal: AbortSignal): Promise<World>;
  /** Applies actions to a node in order, up to the first that fails. One result for each that was tried. */
  apply(node: string, actions: readonly NodeAction[]): Promise<ApplyResult[]>;
  deletePod(pod: { namespace: string; name: string; uid: string }): Promise<void>;
}

/** The outcome of healing one finding. */
export interface Healed {
  finding: Finding;
  /** `healed`: gone when observed again. `failed`: it is still there, or an action failed. `left`: not tried. */
  outcome: 'healed' | 'failed' | 'left';
  steps: { step: HealStep; result: ApplyResult }[];
  /** The round in which it was last tried; the first is 1. */
  round: number;
  /** Why it failed or was left. */
  reason?: string;
}

/** The outcome of healing, and the last observation. */
export interface HealReport {
  healed: Healed[];
  after: Diagnosed;
  rounds: number;
}

/**
 * Fixing one thing may reveal another (a corrected chain shows the pods that were created without it), so healing repeats until a
 * round finds nothing new to do.
 */
export const MAX_ROUNDS = 6;
/** Fixing one thing may undo a fix just before it: what is found again is tried once more. */
const MAX_TRIES = 2;
/** Pause between looks at pods that are coming up, in milliseconds; longer where a look takes longer, which a large cluster must bear. */
const SETTLING_INTERVAL_MS = 300;

export interface HealOptions extends HealScope {
  signal: AbortSignal;
  /** How long to keep observing while pods that were blocked start, in milliseconds. Default 0. */
  settleMs?: number;
  clock?: Clock;
  /** What is looked for. Default: the whole catalogue. */
  failures?: readonly Failure[];
  /** Called before each round with what is about to be done. */
  onPlan?(plan: readonly PlannedHeal[]): void;
  /** Whether this may be done now; otherwise it is ignored. Default: everything may. */
  mayTry?(planned: PlannedHeal, current: Diagnosed): boolean;
}

/**
 * Heals what a diagnosis found, observes again, and repeats until an observation shows nothing new to do.
 * @throws what keeps it from going on; {@link healAsFar} says what was done until then.
 */
export async function heal(patient: Patient, first: Diagnosed, options: HealOptions): Promise<HealReport> {
  const report = await healAsFar(patient, first, options);
  if ('error' in report) throw report.error;
  return report;
}

/** As {@link heal}, and where something keeps it from going on, returns that as `error`, with what was done until then. */
export async function healAsFar(
  patient: Patient,
  first: Diagnosed,
  options: HealOptions,
): Promise<HealReport & { error?: unknown }> {
  const progress: HealReport = { healed: [], after: first, rounds: 0 };
  try {
    await healRounds(patient, options, progress);
  } catch (error) {
    return { ...progress, healed: lastOf(progress.healed), error };
  }
  return { ...progress, healed: lastOf(progress.healed) };
}

/** `progress`: what was done and seen so far, which this writes to. */
async function healRounds(patient: Patient, options: HealOptions, progress: HealReport): Promise<void> {
  const { clock = realClock } = options;
  const done = progress.healed;
  let current = progress.after;
  let settledBy = 0;
  let took = 0;
  const look = async () => {
    const began = clock.monotonic();
    const seen = diagnose(await patient.observe(options.signal), options.failures);
    took = clock.monotonic() - began;
    progress.after = seen;
    return seen;
  };
  for (let round = 1; ; round++) {
    const plan = planHeal(current, options).filter(
      (planned) => mayTryAgain(planned.finding, done) && (options.mayTry?.(planned, current) ?? true),
    );
    const actionable = plan.filter(({ steps }) => steps.length > 0);
    if (
      actionable.length === 0 &&
      done.length > 0 &&
      isUnsettled(current, options.nodes) &&
      clock.monotonic() < settledBy
    ) {
      // The fix unblocks the runtime, which retries by itself.
      await clock.sleep(Math.max(SETTLING_INTERVAL_MS, took), options.signal);
      current = await look();
      round--;
      continue;
    }
    if (actionable.length === 0 || round > MAX_ROUNDS) {
      for (const { finding, left } of plan) {
        if (left !== undefined) done.push({ finding, outcome: 'left', steps: [], round, reason: left.why });
      }
      return;
    }
    options.onPlan?.(actionable);
    progress.rounds = round;
    const tried: Healed[] = [];
    try {
      for (const planned of actionable) {
        options.signal.throwIfAborted();
        tried.push(await carryOut(patient, planned, round));
      }
      current = await look();
    } catch (cause) {
      const reason = `carried out, and not looked at again: ${messageOf(cause)}`;
      const isDone = ({ outcome }: Healed) => outcome === 'healed';
      done.push(
        ...tried.map((entry) => (isDone(entry) ? { ...entry, outcome: 'failed' as const, reason } : entry)),
      );
      throw cause;
    }
    for (const entry of tried) {
      const remains = current.diagnosis.findings.find((finding) => sameFinding(finding, entry.finding));
      if (entry.outcome === 'healed' && remains !== undefined) {
        entry.outcome = 'failed';
        entry.reason = `still found after the fix: ${remains.message}`;
      }
      done.push(entry);
    }
    settledBy = clock.monotonic() + (options.settleMs ?? 0);
  }
}

/**
 * What has failed is tried again only if something else was fixed since or together with it, and a limited number of times. What is left
 * of one address family where there were two may have another cause, and has not been tried yet.
 */
function mayTryAgain(finding: Finding, done: readonly Healed[]): boolean {
  const key = findingKey(finding);
  const failed = done.filter((entry) => entry.outcome === 'failed' && findingKey(entry.finding) === key);
  const last = failed.at(-1);
  if (last === undefined) return true;
  return (
    failed.length < MAX_TRIES &&
    done.some(({ outcome, round }) => outcome === 'healed' && round >= last.round)
  );
}

/** The last outcome of each finding, in the order in which they were last tried. */
function lastOf(entries: readonly Healed[]): Healed[] {
  return entries.filter(
    (entry, i) => !entries.slice(i + 1).some((later) => sameFinding(later.finding, entry.finding)),
  );
}

/** An application listens this long after its container has started, or does not, in milliseconds. */
const LISTENING_MS = 5000;

/** Whether a mapping, of some nodes or all, is unknown whose pod is still starting: it is not ready, or has only just started. */
function isUnsettled({ diagnosis, verdictOf }: Diagnosed, nodes: HealScope['nodes']): boolean {
  return [...verdictOf].some(([path, { stages: verdicts }]) => {
    const { pod, subject } = path;
    if (nodes?.includes(subject.node ?? '') === false) return false;
    const seen = stages.map((stage) => verdicts[stage]);
    const isBroken = seen.some(
      ({ verdict, codes }) => verdict === 'broken' && codes.some((code) => !mayBeOver(code, path)),
    );
    if (isBroken || !seen.some(({ verdict }) => verdict === 'unknown')) return false;
    if (!isConditionTrue(pod.status, 'Ready')) return true;
    const { containerStatuses = [] } = pod.status ?? {};
    const started = containerStatuses.map(({ state }) => Date.parse(state?.running?.startedAt ?? ''));
    return started.some((time) => Date.parse(diagnosis.observedAt) - time < LISTENING_MS);
  });
}

async function carryOut(patient: Patient, { finding, steps }: PlannedHeal, round: number): Promise<Healed> {
  const entry: Healed = { finding, outcome: 'healed', steps: [], round };
  for (const step of steps) {
    const result = await carryOutStep(patient, step).catch(
      (error): ApplyResult => ({ action: step.action.do, outcome: 'failed', detail: messageOf(error) }),
    );
    entry.steps.push({ step, result });
    if (result.outcome === 'failed') return { ...entry, outcome: 'failed', reason: result.detail };
  }
  return entry;
}

async function carryOutStep(patient: Patient, step: HealStep): Promise<ApplyResult> {
  if (step.on === 'node') {
    const [result] = await patient.apply(step.node, [step.action]);
    if (result === undefined) throw new Error(`node ${step.node} reported no result`);
    return result;
  }
  const { namespace, name, uid } = step.action;
  await patient.deletePod({ namespace, name, uid });
  return { action: step.action.do, outcome: 'done', detail: `deleted pod ${namespace}/${name}` };
}
