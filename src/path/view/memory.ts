/**
 * Names something that is worked out, of type T. No two are the same, so that what was remembered by one is never taken for what another
 * names.
 */
export interface MemoKey<T> {
  /** Only for the compiler: keeps keys of different types apart. */
  readonly type?: (made: T) => T;
}

/** Cached computations about something, by key. */
export type Memory = Map<object, unknown>;

/** Something observed, with cached computations about it. Computing again gives the same; see `Scene.release`. */
export interface Remembering {
  readonly memory: Memory;
}

/** A new key; create it once for all things that the computation is about. */
export function memoKey<T>(): MemoKey<T> {
  return {};
}

/** What was worked out before about something; else works it out. */
export function remembered<T>({ memory }: Remembering, key: MemoKey<T>, work: () => NoInfer<T>): T {
  // Nothing but this function writes, and a key is of one type.
  if (memory.has(key)) return memory.get(key) as T;
  const made = work();
  memory.set(key, made);
  return made;
}
