/** The media type of Prometheus' text format. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export type Labels = Readonly<Record<string, string>>;

/** One metric with its series, as Prometheus' text format has it. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly series: Iterable<readonly [labels: Labels, value: number]>;
}

/** Counts by labels. Every combination of labels is kept for good: labels must be of small sets. */
export class Counts {
  readonly #series = new Map<string, [labels: Labels, value: number]>();

  add(labels: Labels, by = 1): void {
    const key = JSON.stringify(Object.entries(labels).sort());
    const known = this.#series.get(key);
    if (known === undefined) this.#series.set(key, [labels, by]);
    else known[1] += by;
  }

  /** Every series so far, in the order in which they came. */
  get series(): Iterable<readonly [labels: Labels, value: number]> {
    return this.#series.values();
  }
}

/** Metrics in the text format, version 0.0.4. */
export function renderMetrics(metrics: readonly Metric[]): string {
  return metrics
    .map(({ name, help, type, series }) => {
      const lines = [...series].map(([labels, value]) => `${name}${labelText(labels)} ${value}\n`);
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.sort().join('')}`;
    })
    .join('');
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, escaped)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(character: string): string {
  return character === '\n' ? '\\n' : `\\${character}`;
}
