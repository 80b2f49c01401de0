import type { Pod } from '../../kube/types.ts';

/** Pods that want a node, by key: those to be tried now, best first, and those that wait for the cluster to change. */
export class SchedulingQueue {
  readonly #active = new Map<string, { pod: Pod; sequence: number }>();
  readonly #waiting = new Map<string, Pod>();
  #sequence = 0;

  /** A pod to be tried (again); a newer version replaces an older one and keeps its place. */
  add(key: string, pod: Pod): void {
    this.#waiting.delete(key);
    this.#active.set(key, { pod, sequence: this.#active.get(key)?.sequence ?? this.#sequence++ });
  }

  /** A pod that no node takes at present. */
  park(key: string, pod: Pod): void {
    this.#active.delete(key);
    this.#waiting.set(key, pod);
  }

  remove(key: string): void {
    this.#active.delete(key);
    this.#waiting.delete(key);
  }

  /** Something changed that may have made room: all that wait are tried again. */
  wake(): void {
    for (const [key, pod] of this.#waiting) this.add(key, pod);
  }

  /** Takes out the next pod: highest priority, then longest created, then first come. */
  pop(): { key: string; pod: Pod } | undefined {
    let best: { key: string; pod: Pod; sequence: number } | undefined;
    for (const [key, { pod, sequence }] of this.#active) {
      if (best === undefined || precedes(pod, sequence, best.pod, best.sequence))
        best = { key, pod, sequence };
    }
    if (best === undefined) return undefined;
    this.#active.delete(best.key);
    return { key: best.key, pod: best.pod };
  }

  get waiting(): ReadonlyMap<string, Pod> {
    return this.#waiting;
  }
}

function precedes(a: Pod, aSequence: number, b: Pod, bSequence: number): boolean {
  const priority = (b.spec?.priority ?? 0) - (a.spec?.priority ?? 0);
  if (priority !== 0) return priority < 0;
  const [ours = '', theirs = ''] = [a, b].map((pod) => pod.metadata?.creationTimestamp as string | undefined);
  return ours === theirs ? aSequence < bSequence : ours < theirs;
}
