/** Something observed, with what was worked out about it, by whoever did. What is worked out again is the same; see `Scene.release`. */
export interface Remembering {
  readonly memory: Map<string, unknown>;
}

/** What was worked out before about something; else works it out. `what` names it: the same name means the same type everywhere. */
export function remembered<T>({ memory }: Remembering, what: string, work: () => T): T {
  const before = memory.get(what);
  if (before !== undefined || memory.has(what)) return before as T;
  const made = work();
  memory.set(what, made);
  return made;
}
