/**
 * Like Promise.all, but waits for every promise even when one has failed, then throws the first failure. For work that must
 * not continue while its caller already cleans up.
 */
export async function settleAll<T extends readonly unknown[] | []>(
  promises: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const results = await Promise.allSettled(promises);
  const values = results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
  return values as { -readonly [K in keyof T]: Awaited<T[K]> };
}

/**
 * Starts every piece of work and waits until all have ended, also when one fails: that aborts the signal the others were
 * given, so that nobody waits out a deadline for something that cannot come any more. Throws what failed first in time; the
 * caller's signal aborts all of them.
 */
export async function settleFailingFast<T>(
  signal: AbortSignal,
  works: readonly ((signal: AbortSignal) => Promise<T>)[],
): Promise<T[]> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const failed = { first: undefined as { reason: unknown } | undefined };
  const results = await Promise.allSettled(
    works.map(async (work) => {
      try {
        return await work(either);
      } catch (reason) {
        failed.first ??= { reason };
        stop.abort(reason);
        throw reason;
      }
    }),
  );
  if (failed.first !== undefined) throw failed.first.reason;
  return results.map((result) => (result as PromiseFulfilledResult<Awaited<T>>).value);
}

/**
 * Works on items in their order, on so many at a time, and returns the results in that order. When one fails no other is begun; those under way are
 * waited for, and then a failure is thrown.
 */
export async function fewAtATime<T, R>(
  items: Iterable<T>,
  most: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const waiting = Iterator.from(items);
  let begun = 0;
  let hasFailed = false;
  const worker = async () => {
    while (!hasFailed) {
      const next = waiting.next();
      if (next.done) return;
      const index = begun++;
      try {
        results[index] = await work(next.value);
      } catch (reason) {
        hasFailed = true;
        throw reason;
      }
    }
  };
  await settleAll(Array.from({ length: most }, worker));
  return results;
}
