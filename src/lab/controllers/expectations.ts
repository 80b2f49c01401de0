import type { Clock } from '../../sys/clock.ts';

/** As Kubernetes': what was not seen after this long will not be. */
const TIMEOUT_MS = 300_000;

/**
 * What a controller has done and not yet seen in its cache. Between creating a pod and its informer showing it, the cache
 * shows one pod too few; acting on that would create a second one. So a key is not worked on while its expectations are
 * open. Source: ControllerExpectations in Kubernetes.
 */
export class Expectations {
  readonly #clock: Clock;
  readonly #open = new Map<string, { creations: number; deletions: Set<string>; at: number }>();
  readonly #uncertain = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  satisfied(key: string): boolean {
    const open = this.#open.get(key);
    if (open === undefined) return true;
    const done = open.creations <= 0 && open.deletions.size === 0;
    if (!done && this.#clock.monotonic() - open.at < TIMEOUT_MS) return false;
    this.#open.delete(key);
    return true;
  }

  expectCreations(key: string, count: number): void {
    this.#of(key).creations += count;
  }

  expectDeletion(key: string, uid: string): void {
    this.#of(key).deletions.add(uid);
  }

  /** A creation was seen, or will never be: it failed. */
  creationObserved(key: string): void {
    const open = this.#open.get(key);
    if (open !== undefined) open.creations--;
  }

  deletionObserved(key: string, uid: string): void {
    this.#open.get(key)?.deletions.delete(uid);
  }

  /**
   * A creation ended without an answer (the connection broke): it may have happened. The next sync of `key` must look at
   * the API and not at the cache.
   */
  markUncertain(key: string): void {
    this.#uncertain.add(key);
  }

  isUncertain(key: string): boolean {
    return this.#uncertain.has(key);
  }

  clearUncertain(key: string): void {
    this.#uncertain.delete(key);
  }

  forget(key: string): void {
    this.#open.delete(key);
    this.#uncertain.delete(key);
  }

  #of(key: string) {
    let open = this.#open.get(key);
    if (open === undefined) {
      open = { creations: 0, deletions: new Set(), at: 0 };
      this.#open.set(key, open);
    }
    open.at = this.#clock.monotonic();
    return open;
  }
}
