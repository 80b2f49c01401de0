/** What is measured and done; tests have their own. */
export interface GarbageDoors {
  /** Bytes of this process in memory. */
  resident(): number;
  collect(): void;
}

const realDoors: GarbageDoors = { resident: () => process.memoryUsage.rss(), collect: () => Bun.gc(true) };

/**
 * For a process that makes much garbage at once and is then at rest: what is returned, called at the end of such work, collects it if the process
 * has grown by so many bytes over the least since the last time. Nothing else would, before the next work: the engine collects when it wants more memory.
 */
export function collectingWhenGrown(growth: number, doors: GarbageDoors = realDoors): () => void {
  let least = doors.resident();
  return () => {
    const now = doors.resident();
    // What was collected goes back to the system a little later.
    least = Math.min(least, now);
    if (now - least < growth) return;
    doors.collect();
    least = doors.resident();
  };
}

/** How many documents are parsed between two collections. */
const DOCUMENTS = 250;

/** After many documents: what was read and parsed is garbage by then, twice what is kept of it, which the engine would let lie. */
export function collectParsed(): void {
  Bun.gc(true);
}

/** For a loop that parses documents, after each: `count` is how many it has parsed. */
export function collectAfter(count: number): void {
  if (count % DOCUMENTS === 0) collectParsed();
}
