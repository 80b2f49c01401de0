import { mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { join } from 'node:path';
import type { Drop } from '../../path/model/flow-trace.ts';
import { readKernelFile, readKernelHead } from '../../sys/bounded-file.ts';
import { isErrno, unlessMissing } from '../../sys/errno.ts';
import { openTracefs, type Tracefs } from '../../sys/tracefs.ts';
import type { Family } from '../../util/family.ts';
import { dropFilter, MARK, readDrops } from './drop-text.ts';

/** What was dropped from a beginning to an end. */
export interface DropRecording {
  /** Ends it, and leaves nothing behind. */
  stop(): { drops: Drop[]; pid: number | undefined };
}

/** Where the kernel's reasons for drops come from. */
export interface DropSource {
  /** Removes what recordings that were killed left in a place. Whoever calls it knows that no other is under way there. */
  clear(place: string): void;
  /**
   * Begins to record the drops of an address family.
   * @param run name of this run, in `place`.
   * @throws saying why the kernel's reasons are not to be had.
   */
  record(family: Family, place: string, run: string): DropRecording;
}

/** Per processor: some thousands of drops. */
const BUFFER_KIB = 256;
const MAX_TEXT_BYTES = 4 * 1024 * 1024;
const MAX_DROPS = 2000;
const PREFIX = 'hostport-';
/**
 * No run lasts so long, in seconds: an instance of a network namespace that is gone is known by its age alone. Its name has since when the machine
 * has run, which nobody sets, and which ends when the instance does.
 */
const LONGEST_S = 600;
const EVENT = 'events/skb/kfree_skb';

/**
 * The event skb:kfree_skb in a tracing instance of its own, which no other user of tracing sees. tracefs belongs to the whole machine: nothing of
 * it is touched but the instance, which is removed at the end, and by the next run where the process was killed before.
 */
export const kernelDrops: DropSource = {
  clear(place) {
    const tracefs = openTracefs();
    try {
      removeLeftovers(tracefs, place);
    } finally {
      tracefs.close();
    }
  },

  record(family, place, run) {
    const tracefs = openTracefs();
    try {
      const format = readKernelFile(join(tracefs.path, EVENT, 'format'));
      const filter = dropFilter(format, family);
      if (filter === undefined)
        throw new Error('this kernel gives no reasons for drops, which Linux 5.17 and later do');
      const name = `${PREFIX}${place}-${Math.floor(uptime())}-${run}`;
      const path = join(tracefs.path, 'instances', name);
      mkdirSync(path);
      try {
        writeFileSync(join(path, 'buffer_size_kb'), String(BUFFER_KIB));
        writeFileSync(join(path, EVENT, 'filter'), filter);
        writeFileSync(join(path, EVENT, 'enable'), '1');
        writeFileSync(join(path, 'trace_marker'), MARK);
      } catch (cause) {
        remove(path);
        throw cause;
      }
      return {
        stop() {
          try {
            writeFileSync(join(path, 'tracing_on'), '0');
            return readDrops(
              readKernelHead(join(path, 'trace'), MAX_TEXT_BYTES).toString('latin1'),
              MAX_DROPS,
            );
          } finally {
            remove(path);
            tracefs.close();
          }
        },
      };
    } catch (cause) {
      tracefs.close();
      throw cause;
    }
  },
};

function remove(path: string): void {
  unlessMissing(() => writeFileSync(join(path, EVENT, 'enable'), '0'));
  unlessMissing(() => rmdirSync(path));
}

function removeLeftovers(tracefs: Tracefs, place: string): void {
  for (const name of readdirSync(join(tracefs.path, 'instances'))) {
    const parts = /^hostport-(\d+)-(\d+)-\w+$/.exec(name);
    if (parts === null) continue;
    const age = uptime() - Number(parts[2]);
    if (parts[1] !== place && age >= 0 && age < LONGEST_S) continue;
    try {
      remove(join(tracefs.path, 'instances', name));
    } catch (cause) {
      // Somebody has a file of it open.
      if (!isErrno(cause, 'EBUSY')) throw cause;
    }
  }
}
