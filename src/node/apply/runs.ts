import { join } from 'node:path';
import { z } from 'zod';
import { namesIn } from '../../sys/directories.ts';
import { unlessMissing } from '../../sys/errno.ts';
import { readRegularFileChunks } from '../../sys/regular-file.ts';

/** Name of the journal in the directory of a heal's copies. */
export const JOURNAL = 'journal.jsonl';

/** More than the first line of a journal has: it names at most two files, with what they were. Bytes. */
const FIRST_LINE_BYTES = 64 * 1024;

/**
 * The place of a heal among those of its node: its own time, unless the clock was set back and an earlier heal has a later one; then that time, and
 * how many there have been since.
 */
export const placeSchema = z.object({ time: z.string(), turn: z.number().int() });

export type Place = z.infer<typeof placeSchema>;

/** Names of runs: times. Nothing else is removed. */
const RUN = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z$/;

/** The directory of the run that began at a time. */
export function directoryOfRun(root: string, at: Date): string {
  return join(root, at.toISOString().replaceAll(':', '-'));
}

/** When a run began, by the name of its directory, RFC 3339; undefined for a name of something else. */
function timeOfRun(name: string): string | undefined {
  return RUN.test(name) ? name.replace(/T(\d\d)-(\d\d)-/, 'T$1:$2:') : undefined;
}

/** A run of actions whose copies or journal are kept. */
interface Run {
  directory: string;
  /** When it began, RFC 3339. */
  time: string;
  place: Place;
  /** Whether it has a journal: a heal that a person has started. An agent keeps copies only. */
  hasJournal: boolean;
}

/** The runs whose directories are there, the first one first. */
export function runsIn(root: string): Run[] {
  const runs = namesIn(root).flatMap((name) => {
    const time = timeOfRun(name);
    if (time === undefined) return [];
    const directory = join(root, name);
    const first = firstLineOf(join(directory, JOURNAL));
    return [{ directory, time, place: first?.place ?? { time, turn: 0 }, hasJournal: first !== undefined }];
  });
  return runs.toSorted((a, b) => byPlace(a.place, b.place));
}

/** The order of heals; for sorting. */
export function byPlace(a: Place, b: Place): number {
  if (a.time !== b.time) return a.time < b.time ? -1 : 1;
  return a.turn - b.turn;
}

const firstLineSchema = z.object({ place: placeSchema.optional() });

/** What the first line of a journal notes; undefined when there is no journal. */
function firstLineOf(journal: string): z.infer<typeof firstLineSchema> | undefined {
  try {
    const start = unlessMissing(() => startOf(journal), ['ENOTDIR']);
    if (start === undefined) return undefined;
    return firstLineSchema.parse(JSON.parse(start.split('\n', 1)[0]!));
  } catch {
    // An old journal that cannot be read must not stop a new heal. Who needs what is in it reads it whole, and gets the error.
    return {};
  }
}

function startOf(path: string): string {
  for (const chunk of readRegularFileChunks(path, Number.MAX_SAFE_INTEGER, FIRST_LINE_BYTES))
    return chunk.toString('utf8');
  return '';
}
