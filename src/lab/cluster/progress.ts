/** How long work shows its progress. */
export interface Progress {
  /**
   * Shows one line with a tick or a cross and the time it took. The work may say how far it is (`12 of 58 MB`): a terminal shows the last that
   * it said while it runs.
   */
  step<T>(title: string, work: (say: (detail: string) => void) => Promise<T>): Promise<T>;
  /** A line that is not a step: a warning, what to do next. */
  note(text: string): void;
}
