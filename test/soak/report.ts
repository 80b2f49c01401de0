import { type Growth, growthText, unmeasured } from './growth.ts';
import type { Soak } from './tally.ts';

/** The counts as a part of docs/quality.md. */
export function soakSection({ seed, seconds, runs, operations, faults, violations, growth }: Soak): string {
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, count]) => `${name} ${count.toLocaleString('en')}`)
      .join(', ');
  const sum = (counts: Readonly<Record<string, number>>) =>
    Object.values(counts).reduce((all, count) => all + count, 0);
  const longest = new Map<string, Growth>();
  for (const each of growth)
    if (each.seconds >= (longest.get(each.process)?.seconds ?? 0)) longest.set(each.process, each);
  return [
    '| | |',
    '|---|---|',
    `| time, seed | ${Math.round(seconds / 60)} minutes in ${runs} ${runs === 1 ? 'run' : 'runs'}, seed ${seed} |`,
    `| operations | ${sum(operations).toLocaleString('en')}: ${list(operations)} |`,
    `| faults | ${sum(faults).toLocaleString('en')}: ${list(faults)} |`,
    `| violations | ${violations.length} |`,
    ...[...longest.values()].map((growth) => {
      const why = unmeasured(growth);
      const result = [...(why === undefined ? [] : [`not measured: ${why}`]), growthText(growth)];
      const head = `${growth.process}, over ${growth.seconds} seconds of pods that come and go`;
      return `| ${head} | ${result.filter((text) => text !== '').join('; ')} |`;
    }),
  ].join('\n');
}
