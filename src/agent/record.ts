import type { Diagnosis, Finding } from '../path/model/finding.ts';
import type { Clock } from '../sys/clock.ts';
import { messageOf } from '../util/errors.ts';
import type { Teller } from './loop.ts';
import type { AgentMetrics } from './metrics.ts';
import type { AgentState } from './state.ts';

/** How much of an error is kept. */
const MAX_FAILURE = 500;
/** A check is late after so many times the longest time between two, and at least after this, in milliseconds. */
const LATE_FACTOR = 3;
const LATE_MS = 120_000;
/** After so long without any check the agent does nothing any more, in milliseconds: a round's fixes may take minutes. */
const STUCK_MS = 900_000;

/** Whether something is so, and if not, why. */
export type Condition = { holds: true } | { holds: false; why: string };

export interface AgentRecordOptions {
  about: Pick<AgentState, 'version' | 'mode' | 'node'>;
  metrics: AgentMetrics;
  /** Longest time between two checks, each a look or a glance, in milliseconds. */
  resyncMs: number;
  clock: Pick<Clock, 'now' | 'monotonic'>;
  /** Called with each new state. */
  publish(state: AgentState): void;
}

/** How many findings have which code; undefined when there are none. */
function codesOf(findings: readonly Pick<Finding, 'code'>[]): AgentState['codes'] {
  const counts = [...Map.groupBy(findings, ({ code }) => code)].map(
    ([code, of]) => [code, of.length] as const,
  );
  return counts.length === 0
    ? undefined
    : Object.fromEntries(counts.toSorted(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)));
}

/** What an agent has seen and done: for its metrics, its probes and `hostport agent status`. */
export class AgentRecord {
  readonly #options: AgentRecordOptions;
  #state: AgentState;
  /** When something last happened: the start, and the end of each check ({@link Clock.monotonic}). */
  #stirredAt: number;
  /** When the last check ended that showed how the node is. */
  #checkedAt = Number.NEGATIVE_INFINITY;

  constructor(options: AgentRecordOptions) {
    this.#options = options;
    this.#state = options.about;
    this.#stirredAt = options.clock.monotonic();
    options.publish(this.#state);
  }

  /** A look has succeeded; `ms`: how long it took. */
  looked({ findings, paths }: Pick<Diagnosis, 'findings' | 'paths'>, ms: number): void {
    const { about, metrics, publish } = this.#options;
    const now = this.#checked();
    const count = (wanted: string) => findings.filter(({ severity }) => severity === wanted).length;
    const lookedAt = new Date(now).toISOString();
    const codes = codesOf(findings.filter(({ severity }) => severity !== 'note'));
    this.#state = {
      ...about,
      lookedAt,
      checkedAt: lookedAt,
      broken: count('broken'),
      risks: count('risk'),
      ...(codes && { codes }),
    };
    metrics.looked({ findings, paths }, now, ms);
    publish(this.#state);
  }

  /** A glance has shown no change since the last look. */
  unchanged(): void {
    const now = this.#checked();
    this.#state = { ...this.#state, checkedAt: new Date(now).toISOString() };
    this.#options.metrics.unchanged(now);
    this.#options.publish(this.#state);
  }

  /** A look has failed. */
  failed(cause: unknown): void {
    this.#stirredAt = this.#options.clock.monotonic();
    this.#state = { ...this.#state, failure: messageOf(cause).slice(0, MAX_FAILURE) };
    this.#options.metrics.failed();
    this.#options.publish(this.#state);
  }

  /** A check has ended. Returns when, by the clock of the machine. */
  #checked(): number {
    const { clock } = this.#options;
    this.#stirredAt = this.#checkedAt = clock.monotonic();
    return clock.now();
  }

  /** Reports to another teller, and counts what was done and what came of it. */
  counting(tell: Teller): Teller {
    const { metrics } = this.#options;
    return {
      ...tell,
      healed: (finding, scene) => {
        metrics.acted(finding.code, 'healed');
        tell.healed(finding, scene);
      },
      failed: (finding, ...rest) => {
        metrics.acted(finding.code, 'failed');
        tell.failed(finding, ...rest);
      },
      left: (finding, ...rest) => {
        metrics.acted(finding.code, 'manual');
        tell.left(finding, ...rest);
      },
      contested: (finding, ...rest) => {
        metrics.acted(finding.code, 'contested');
        tell.contested(finding, ...rest);
      },
      blind: (cause) => {
        this.failed(cause);
        tell.blind(cause);
      },
    };
  }

  /** Whether the agent knows how its node is now. */
  get ready(): Condition {
    const { checkedAt, failure } = this.#state;
    if (failure !== undefined) return { holds: false, why: `the last look failed: ${failure}` };
    if (checkedAt === undefined) return { holds: false, why: 'it has not looked yet' };
    const age = this.#options.clock.monotonic() - this.#checkedAt;
    const late = Math.max(LATE_FACTOR * this.#options.resyncMs, LATE_MS);
    return age <= late
      ? { holds: true }
      : { holds: false, why: `the last check is ${Math.round(age / 1000)} s old` };
  }

  /** Whether the agent still does something. One that waits for the API does not: a restart would not help. */
  get alive(): Condition {
    const { lookedAt, failure } = this.#state;
    const age = this.#options.clock.monotonic() - this.#stirredAt;
    const isWaiting = lookedAt === undefined && failure === undefined;
    if (isWaiting || age <= Math.max(LATE_FACTOR * this.#options.resyncMs, STUCK_MS)) return { holds: true };
    return { holds: false, why: `it has done nothing for ${Math.round(age / 1000)} s` };
  }
}
