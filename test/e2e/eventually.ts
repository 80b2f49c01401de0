/** Polls until `condition` holds; an error of it counts as "not yet". After the deadline the error says what was last seen. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  options: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<void> {
  const { timeoutMs = 60_000, intervalMs = 100 } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let last: unknown = 'not so';
    try {
      if (await condition()) return;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline)
      throw new Error(`waited ${timeoutMs} ms for ${what}; last seen: ${last}`);
    await Bun.sleep(intervalMs);
  }
}
