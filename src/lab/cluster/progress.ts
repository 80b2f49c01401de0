/** How long work shows its progress. `step` shows one line with a tick or a cross and the time it took. */
export interface Progress {
  step<T>(title: string, work: () => Promise<T>): Promise<T>;
  /** A line that is not a step: a warning, what to do next. */
  note(text: string): void;
}
