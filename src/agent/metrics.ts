import type { Diagnosis, StageVerdict } from '../path/model/finding.ts';
import { stages } from '../path/model/stages.ts';
import { Counts, METRICS_TYPE, type Metric, renderMetrics } from '../util/prometheus.ts';
import type { AgentState } from './state.ts';

const VERDICTS: readonly StageVerdict['verdict'][] = ['ok', 'broken', 'risk', 'unknown', 'muted'];

/** What became of a fix: it held; it failed; it needs a manual step; or something undoes it again and again. */
export type ActionResult = 'healed' | 'failed' | 'manual' | 'contested';

/** The metrics of an agent: docs/agent.md lists them. */
export class AgentMetrics {
  readonly #about: Pick<AgentState, 'version' | 'mode'>;
  readonly #looks = new Counts();
  readonly #actions = new Counts();
  #last: { findings: Counts; paths: Counts; at: number; checkedAt: number; ms: number } | undefined;

  constructor({ version, mode }: Pick<AgentState, 'version' | 'mode'>) {
    this.#about = { version, mode };
    // That nothing has failed so far is a value, not a gap.
    for (const result of ['succeeded', 'failed']) this.#looks.add({ result }, 0);
  }

  /** A look has succeeded. `at`, since the epoch, and `ms`, how long it took, in milliseconds. */
  looked({ findings, paths }: Pick<Diagnosis, 'findings' | 'paths'>, at: number, ms: number): void {
    this.#looks.add({ result: 'succeeded' });
    const last = { findings: new Counts(), paths: new Counts(), at, checkedAt: at, ms };
    for (const stage of stages) {
      for (const verdict of VERDICTS) {
        const count = paths.filter((path) => path.stages[stage].verdict === verdict).length;
        last.paths.add({ stage, verdict }, count);
      }
    }
    // Those that are gone are not 0 but absent: of a hundred kinds a node has none.
    for (const { code, stage, severity } of findings) last.findings.add({ code, stage, severity });
    this.#last = last;
  }

  /** At this time, since the epoch in milliseconds, a glance has shown no change since the last look. */
  unchanged(at: number): void {
    if (this.#last !== undefined) this.#last = { ...this.#last, checkedAt: at };
  }

  /** A look has failed. */
  failed(): void {
    this.#looks.add({ result: 'failed' });
  }

  /** A fix has come to an end. */
  acted(code: string, result: ActionResult): void {
    this.#actions.add({ code, result });
  }

  get metrics(): Metric[] {
    const last = this.#last;
    return [
      {
        name: 'hostport_build_info',
        help: 'The agent: always 1.',
        type: 'gauge',
        series: [[{ ...this.#about }, 1]],
      },
      {
        name: 'hostport_paths',
        help: "HostPorts of the node's pods, by stage and what the last look says of it.",
        type: 'gauge',
        series: last?.paths.series ?? [],
      },
      {
        name: 'hostport_findings',
        help: 'What the last look found, by kind of failure.',
        type: 'gauge',
        series: last?.findings.series ?? [],
      },
      {
        name: 'hostport_last_look_timestamp_seconds',
        help: 'When the last look that succeeded ended, in Unix time.',
        type: 'gauge',
        series: last === undefined ? [] : [[{}, last.at / 1000]],
      },
      {
        name: 'hostport_last_check_timestamp_seconds',
        help: 'When that look, or a glance that showed no change since, ended, in Unix time.',
        type: 'gauge',
        series: last === undefined ? [] : [[{}, last.checkedAt / 1000]],
      },
      {
        name: 'hostport_last_look_duration_seconds',
        help: 'How long the last look that succeeded took.',
        type: 'gauge',
        series: last === undefined ? [] : [[{}, last.ms / 1000]],
      },
      {
        name: 'hostport_looks_total',
        help: 'Looks at the node, by whether they succeeded.',
        type: 'counter',
        series: this.#looks.series,
      },
      {
        name: 'hostport_actions_total',
        help: 'Fixes, by kind of failure and what became of them.',
        type: 'counter',
        series: this.#actions.series,
      },
    ];
  }

  /** All of them in Prometheus' text format, with its media type. */
  text(): { type: string; text: string } {
    return { type: METRICS_TYPE, text: renderMetrics(this.metrics) };
  }
}
