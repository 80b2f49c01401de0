import { heapStats } from 'bun:jsc';

/** How many collections in a row must leave no fewer objects. */
const STEADY = 5;

/** How many objects there are, by their types, once collections leave no fewer: some are held until the event loop has turned. */
export async function liveObjects(): Promise<Record<string, number>> {
  let least = Number.POSITIVE_INFINITY;
  for (let steady = 0; ; ) {
    Bun.gc(true);
    const { objectCount, objectTypeCounts } = heapStats();
    steady = objectCount < least ? 0 : steady + 1;
    if (steady === STEADY) return objectTypeCounts;
    least = Math.min(least, objectCount);
    await new Promise((turn) => setImmediate(turn));
  }
}
