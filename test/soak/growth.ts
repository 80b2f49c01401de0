import { median } from '../../bench/statistics.ts';

/** What a process has at one moment. */
export interface Sample {
  /** Milliseconds, of any clock. */
  at: number;
  /** Bytes (proportional set size), and open descriptors. */
  memory: number;
  descriptors: number;
}

/** How a process grew while nothing happened to it but its work. */
export interface Growth {
  process: string;
  /** Seconds for which that was so. */
  seconds: number;
  /** Samples of the second half of them: the first half fills what is filled once. */
  samples?: number;
  /** Medians of the first and of the last third of these; undefined where there are too few. */
  memory?: [before: number, after: number];
  descriptors?: [before: number, after: number];
  /** Seconds between the two medians. */
  apart?: number;
}

/** How much more than at the beginning a process may have at the end. */
const MOST_GROWTH = 1.1;
/** After how many seconds growth is judged: what an engine compiles, it keeps. */
const COUNTS_AFTER = 300;
/** Of fewer samples than this no medians are made. */
const LEAST_SAMPLES = 6;

/** How a process grew, by samples in their order, in `seconds` in which nothing happened to it but its work. */
export function growthOf(process: string, seconds: number, samples: readonly Sample[]): Growth {
  const counted = samples.slice(Math.floor(samples.length / 2));
  const growth = { process, seconds, samples: counted.length };
  if (counted.length < LEAST_SAMPLES) return growth;
  const third = Math.floor(counted.length / 3);
  const both = (of: keyof Sample): [number, number] => [
    median(counted.slice(0, third).map((sample) => sample[of])),
    median(counted.slice(-third).map((sample) => sample[of])),
  ];
  const [first, last] = both('at');
  return {
    ...growth,
    memory: both('memory'),
    descriptors: both('descriptors'),
    apart: Math.round((last - first) / 1000),
  };
}

/** What of a process has grown by more than it may; nothing where that is not measured ({@link unmeasured}). */
export function growthLimit(growth: Growth): string[] {
  const { process, memory, descriptors } = growth;
  if (unmeasured(growth) !== undefined || memory === undefined || descriptors === undefined) return [];
  return [
    ...(memory[1] > MOST_GROWTH * memory[0]
      ? [`${process}: memory grew from ${memory.map(megabytes).join(' to ')}`]
      : []),
    ...(descriptors[1] > MOST_GROWTH * descriptors[0]
      ? [`${process}: descriptors grew from ${descriptors.join(' to ')}`]
      : []),
  ];
}

/** Why the growth of a process is not judged; undefined where it is. */
export function unmeasured({ seconds, samples, memory }: Growth): string | undefined {
  if (memory === undefined) return `${samples} samples, ${LEAST_SAMPLES} are needed`;
  return seconds < COUNTS_AFTER ? `fewer than ${COUNTS_AFTER} seconds` : undefined;
}

/** What of a growth was seen: its medians, and how far they are apart. */
export function growthText({ memory, descriptors, apart }: Growth): string {
  if (memory === undefined || descriptors === undefined) return '';
  const seen = `${memory.map(megabytes).join(' then ')}; ${descriptors.join(' then ')} descriptors`;
  return apart === undefined ? seen : `${seen}; medians ${apart} seconds apart`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
