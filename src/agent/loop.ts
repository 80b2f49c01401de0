import { type Diagnosed, diagnose } from '../path/diagnose/diagnose.ts';
import { type HealScope, type PlannedHeal, planHeal } from '../path/heal/plan.ts';
import type { Diagnosis, Finding } from '../path/model/finding.ts';
import type { World } from '../path/model/world.ts';
import type { Scene } from '../path/view/scene.ts';
import type { Clock } from '../sys/clock.ts';
import { Backoff } from '../util/backoff.ts';
import { type Healed, heal, type Patient } from './heal.ts';
import { Ledger } from './ledger.ts';
import { Pace } from './pace.ts';
import { readyAt } from './settling.ts';
import { isWhole } from './whole.ts';

/** What the loop reports. Every call is one line of a log, and an Event where pods are concerned. */
export interface Teller {
  /** A finding is there that was not at the look before. */
  appeared(finding: Finding, scene: Scene): void;
  healed(finding: Finding, scene: Scene): void;
  /** It is gone, and the agent did not fix it. */
  gone(finding: Finding): void;
  /** The fix failed; it is tried again. Times in milliseconds since the epoch. */
  failed(finding: Finding, reason: string, nextTry: number, scene: Scene): void;
  /** It needs a manual step. */
  left(finding: Finding, why: string, scene: Scene): void;
  /** Something undoes the fix again and again; the finding is left alone for a while. */
  contested(finding: Finding, times: number, nextTry: number, scene: Scene): void;
  /** The node could not be observed. */
  blind(error: unknown): void;
}

export interface HealLoopOptions {
  patient: Patient;
  scope: HealScope;
  /** Whether the patient's pods are those of the API. */
  podsFromApi: boolean;
  clock: Clock;
  tell: Teller;
  /** Only reports what it finds, and changes nothing. */
  isObserver?: boolean;
  /** Called at the end of each round with what the last look found, and how long the first took, in milliseconds. */
  looked?(diagnosis: Diagnosis, ms: number): void;
  /**
   * What of the patient changes without a notification, as a digest: while it is the same, regular looks are left out, but for one in ten. Undefined when
   * a look is needed. It is not asked after a look that left something unknown.
   */
  glance?(): string | undefined;
  /** Called when a regular look was left out. */
  glanced?(): void;
  pace?: Pace;
  ledger?: Ledger;
}

/** How many regular looks in a row may be left out: what neither notifies nor is glanced at is seen by those that are not. */
const MAX_GLANCES = 9;

/** Waits after looks that failed, in milliseconds. */
const BLIND_MS = 1000;
const MAX_BLIND_MS = 60_000;

/** How long the kernel may take to notify the agent of its own changes, in milliseconds. */
const OWN_CHANGES_MS = 20;

/**
 * Healing as a loop on one patient: looks when something may have changed, and at regular intervals, and fixes what it finds. It acts
 * only on what it observes (level-triggered), so a change without a notification is fixed at the next look. There is never more than
 * one round at a time.
 */
export class HealLoop {
  readonly #options: HealLoopOptions;
  readonly #pace: Pace;
  readonly #ledger: Ledger;
  readonly #backoff = new Backoff(BLIND_MS, MAX_BLIND_MS);
  #nap = new AbortController();
  /** What was glanced at before the last look, if that observed everything, and how often it has been the same since. */
  #glanced: { state: string; times: number } | undefined;
  /** Whether the last observation left nothing unknown. */
  #sawAll = false;

  constructor(options: HealLoopOptions) {
    this.#options = options;
    this.#pace = options.pace ?? new Pace(options.clock.monotonic());
    this.#ledger = options.ledger ?? new Ledger();
  }

  /** Something about the patient may have changed. */
  readonly changed = (): void => {
    if (this.#pace.changed(this.#options.clock.monotonic())) this.#nap.abort();
  };

  /** Runs until the signal aborts; an action under way is finished first. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const now = clock.monotonic();
      const next = this.#pace.nextAt(now);
      if (next > now) await this.#sleep(next - now, signal);
      else if (this.#pace.isRegular(now) && this.#isUnchanged()) {
        this.#pace.skipped(now);
        this.#options.glanced?.();
      } else await this.#round(signal);
    }
  }

  /** Ends early when something has changed; the caller then computes the next time again. */
  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    this.#nap = new AbortController();
    try {
      await this.#options.clock.sleep(ms, AbortSignal.any([signal, this.#nap.signal]));
    } catch (error) {
      if (!signal.aborted && !this.#nap.signal.aborted) throw error;
    }
  }

  /** Whether everything is as it was before the last look, as far as a glance shows, and that is not long ago. */
  #isUnchanged(): boolean {
    const { glance } = this.#options;
    const before = this.#glanced;
    if (glance === undefined || before === undefined || before.times === MAX_GLANCES) return false;
    before.times++;
    return glance() === before.state;
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { clock, tell, glance } = this.#options;
    const began = clock.monotonic();
    this.#glanced = undefined;
    const state = glance?.();
    this.#pace.began(began);
    let lookMs = 0;
    try {
      const first = diagnose(await this.#observe(signal));
      lookMs = clock.monotonic() - began;
      this.#backoff.forget('');
      this.#takeDown(first);
      const last = this.#options.isObserver === true ? first : await this.#fix(first, signal);
      this.#postpone(last);
      this.#options.looked?.(last.diagnosis, lookMs);
      if (state !== undefined && this.#sawAll) this.#glanced = { state, times: 0 };
    } catch (error) {
      if (signal.aborted) return;
      tell.blind(error);
      this.#pace.due(clock.monotonic() + this.#backoff.next(''));
    } finally {
      this.#pace.ended(clock.monotonic(), lookMs);
    }
  }

  /** Observes the result of a fix, after the kernel has notified the agent of it, so that it does not count as a change. */
  async #lookAgain(signal: AbortSignal): Promise<World> {
    await this.#options.clock.sleep(OWN_CHANGES_MS, signal);
    this.#pace.looksAgain();
    return this.#observe(signal);
  }

  /** An observation ends when the signal aborts, whatever it is waiting for: observing changes nothing. */
  async #observe(signal: AbortSignal): Promise<World> {
    const stop = Promise.withResolvers<never>();
    const onAbort = () => stop.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      const world = await Promise.race([this.#options.patient.observe(signal), stop.promise]);
      this.#sawAll = [...world.reports.values()].every(isWhole);
      return world;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Fixes what may be fixed now. Returns the last look. */
  async #fix(first: Diagnosed, signal: AbortSignal): Promise<Diagnosed> {
    const { patient, scope } = this.#options;
    let current = first;
    const { healed, after } = await heal(
      {
        observe: (stop) => this.#lookAgain(stop),
        apply: (node, actions) => patient.apply(node, actions),
        deletePod: (pod) => patient.deletePod(pod),
      },
      first,
      {
        ...scope,
        signal,
        mayTry: (planned, diagnosed) => {
          current = diagnosed;
          return this.#readyAt(planned, diagnosed.scene) <= this.#now();
        },
        // What only a fix has revealed is reported before it is fixed, too.
        onPlan: (plan) => {
          for (const { finding } of plan) this.#announce(finding, current.scene);
        },
      },
    );
    for (const entry of healed) this.#conclude(entry, after.scene);
    if (after !== first) this.#takeDown(after);
    return after;
  }

  /** Looks again when something is due that is not settled, or that is held back. */
  #postpone(last: Diagnosed): void {
    for (const planned of planHeal(last, this.#options.scope)) {
      if (planned.steps.length === 0) continue;
      const at = this.#readyAt(planned, last.scene);
      // An observer has nothing to do then that it has not done.
      if (this.#options.isObserver !== true || at > this.#now()) this.#pace.due(at);
    }
  }

  #announce(finding: Finding, scene: Scene): void {
    if (this.#ledger.announce(finding, this.#now())) this.#options.tell.appeared(finding, scene);
  }

  /** What is not settled may be the runtime at work, and is not reported yet. */
  #takeDown({ diagnosis, scene, cases }: Diagnosed): void {
    const { tell, scope } = this.#options;
    const now = this.#now();
    const findings = diagnosis.findings.filter(({ severity }) => severity !== 'note');
    for (const finding of findings) this.#ledger.add(finding, now);
    for (const finding of this.#ledger.retain(findings, now)) tell.gone(finding);
    for (const planned of planHeal({ scene, cases }, scope)) {
      // Without steps of its own and without a manual step, it is fixed and reported together with another finding.
      const isOwn = planned.steps.length > 0 || planned.left !== undefined;
      if (isOwn && this.#settledAt(planned, scene) <= now) this.#announce(planned.finding, scene);
    }
  }

  #conclude({ finding, outcome, reason = '' }: Healed, scene: Scene): void {
    const { tell } = this.#options;
    const ledger = this.#ledger;
    switch (outcome) {
      case 'healed': {
        const verdict = ledger.healed(finding, this.#now());
        tell.healed(finding, scene);
        if (verdict.contested)
          tell.contested(finding, verdict.times, this.#timeOfDay(verdict.heldUntil), scene);
        return;
      }
      case 'failed': {
        const next = ledger.failed(finding, this.#now());
        if (ledger.isNews(finding, reason)) tell.failed(finding, reason, this.#timeOfDay(next), scene);
        return;
      }
      case 'left':
        if (ledger.isNews(finding, reason)) tell.left(finding, reason, scene);
    }
  }

  /** The earliest time at which a plan may be carried out: it is settled, and not held back. */
  #readyAt(planned: PlannedHeal, scene: Scene): number {
    return Math.max(this.#settledAt(planned, scene), this.#ledger.heldUntil(planned.finding));
  }

  #settledAt(planned: PlannedHeal, scene: Scene): number {
    const now = this.#now();
    const since = this.#ledger.since(planned.finding, now);
    const { clock, podsFromApi } = this.#options;
    return readyAt(planned, scene, { since, now, timeOfDay: clock.now(), podsFromApi });
  }

  /** What the loop's own times are: {@link Clock.monotonic}. */
  #now(): number {
    return this.#options.clock.monotonic();
  }

  /** Such a time as it is written down, in milliseconds since the epoch. */
  #timeOfDay(at: number): number {
    return this.#options.clock.now() + at - this.#now();
  }
}
