/** What a process has at one moment. */
export interface Sample {
  /** Milliseconds, of a clock that nobody sets. */
  at: number;
  /** Bytes that are its own, and open descriptors. */
  memory: number;
  descriptors: number;
}

/** How a process grew while nothing happened to it but its work, once it was warm. */
export interface Growth {
  process: string;
  /** Seconds from the first sample to the last. */
  seconds: number;
  /** The least in the first and in the last third of the samples; undefined where there are too few. */
  memory?: [before: number, after: number];
  descriptors?: [before: number, after: number];
}

/** How much more than at the beginning a process may have at the end. */
const MOST_GROWTH = 1.1;
/** For how many seconds growth must be measured. */
export const COUNTS_AFTER = 300;
/** The samples of fewer than this say nothing. */
const LEAST_SAMPLES = 30;

/**
 * How a process grew, by samples in their order. What it has between two collections of its garbage is chance; what a collection leaves is not, and
 * each third is long enough for several. So the least of each is compared: what leaks is in it, what is only garbage is not.
 */
export function growthOf(process: string, samples: readonly Sample[]): Growth {
  const seconds = Math.round(((samples.at(-1)?.at ?? 0) - (samples[0]?.at ?? 0)) / 1000);
  if (samples.length < LEAST_SAMPLES) return { process, seconds };
  const third = Math.floor(samples.length / 3);
  const both = (of: 'memory' | 'descriptors'): [number, number] => [
    Math.min(...samples.slice(0, third).map((sample) => sample[of])),
    Math.min(...samples.slice(-third).map((sample) => sample[of])),
  ];
  return { process, seconds, memory: both('memory'), descriptors: both('descriptors') };
}

/** What of a process has grown by more than it may; and that it was not measured for long enough, where it was not. */
export function growthProblems({ process, seconds, memory, descriptors }: Growth): string[] {
  if (seconds < COUNTS_AFTER || memory === undefined || descriptors === undefined)
    return [`${process}: its growth was measured for ${seconds} seconds, ${COUNTS_AFTER} are needed`];
  return [
    ...(memory[1] > MOST_GROWTH * memory[0]
      ? [`${process}: memory grew from ${memory.map(megabytes).join(' to ')}`]
      : []),
    ...(descriptors[1] > MOST_GROWTH * descriptors[0]
      ? [`${process}: descriptors grew from ${descriptors.join(' to ')}`]
      : []),
  ];
}

/** What of a growth was seen. */
export function growthText({ seconds, memory, descriptors }: Growth): string {
  if (memory === undefined || descriptors === undefined) return `${seconds} s: too few samples`;
  return `${seconds} s: ${memory.map(megabytes).join(', then ')}; ${descriptors.join(', then ')} descriptors`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
