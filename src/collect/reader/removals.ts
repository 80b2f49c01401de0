import { abortable } from './reader-pods.ts';

/** What a run has created, while it is being removed. Neither promise rejects: who removes it reports what is left. */
export interface Removal {
  /** Resolves when its pods are gone, or nothing more can be done about them. */
  pods: Promise<void>;
  /** Resolves when the namespace is gone, too, or what is left has been reported. */
  all: Promise<void>;
}

/** Removals that continue while further runs are under way. Disposing of it waits for all of them. */
export class Removals implements AsyncDisposable {
  readonly #underWay = new Set<Removal>();
  readonly #pods = new Set<Promise<void>>();

  /** Whether something is still being removed. */
  get isUnderWay(): boolean {
    return this.#underWay.size > 0;
  }

  add(removal: Removal): void {
    this.#underWay.add(removal);
    this.#pods.add(removal.pods);
    void removal.all.then(() => this.#underWay.delete(removal));
    void removal.pods.then(() => this.#pods.delete(removal.pods));
  }

  /** Whether pods of a run are still there. */
  get hasPods(): boolean {
    return this.#pods.size > 0;
  }

  /** Waits until the pods of all runs so far are gone: a node may have no room for those of two. */
  async podsGone(signal: AbortSignal): Promise<void> {
    await abortable(Promise.all(this.#pods), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#underWay].map(({ all }) => all));
  }
}
