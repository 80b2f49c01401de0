import { growthText } from './growth.ts';
import type { Soak } from './tally.ts';

/** The counts as a part of docs/quality.md. */
export function soakSection({ seed, seconds, operations, faults, violations, growth }: Soak): string {
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, count]) => `${name} ${count.toLocaleString('en')}`)
      .join(', ');
  return [
    '| | |',
    '|---|---|',
    `| time, seed | ${Math.round(seconds / 60)} minutes in one run, seed ${seed} |`,
    `| operations | ${total(operations)}: ${list(operations)} |`,
    `| faults | ${total(faults)}: ${list(faults)} |`,
    `| violations | ${violations.length} |`,
    ...growth.map(
      (each) =>
        `| least of the ${each.process} in the first and in the last third of | ${growthText(each)} |`,
    ),
  ].join('\n');
}

/** The counts in one line. */
export function soakLine({ seed, seconds, operations, faults, violations }: Soak): string {
  return `${total(operations)} operations, ${total(faults)} faults in ${Math.round(seconds)} s, seed ${seed}: ${violations.length} violations`;
}

function total(counts: Readonly<Record<string, number>>): string {
  return Object.values(counts)
    .reduce((all, count) => all + count, 0)
    .toLocaleString('en');
}
