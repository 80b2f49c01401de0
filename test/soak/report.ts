import type { Growth, Soak } from './tally.ts';

/** How much more than at the beginning a process may have at the end, and after how many seconds it counts. */
const MOST_GROWTH = 1.1;
const COUNTS_AFTER = 300;

/** What of a process has grown by more than it may. */
export function growthLimit({ process, seconds, memory, descriptors }: Growth): string[] {
  if (seconds < COUNTS_AFTER) return [];
  return [
    ...(memory[1] > MOST_GROWTH * memory[0]
      ? [`${process}: memory grew from ${megabytes(memory[0])} to ${megabytes(memory[1])}`]
      : []),
    ...(descriptors[1] > MOST_GROWTH * descriptors[0]
      ? [`${process}: descriptors grew from ${descriptors.join(' to ')}`]
      : []),
  ];
}

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
    ...[...longest.values()].map(
      ({ process, seconds: over, memory, descriptors }) =>
        `| ${process}, over ${over} seconds of pods that come and go | ${memory.map(megabytes).join(' then ')}; ${descriptors.join(' then ')} descriptors |`,
    ),
  ].join('\n');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
