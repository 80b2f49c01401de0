import type { Drop } from '../../path/model/flow-trace.ts';
import type { DropSource } from './drops.ts';

/** A {@link DropSource} with drops that a test chooses; it knows which recordings run. */
export class FakeDrops implements DropSource {
  readonly running = new Set<string>();
  drops: Drop[] = [];
  pid: number | undefined = 4711;
  /** Why there are no reasons to be had. */
  unavailable: string | undefined;

  clear(place: string): void {
    for (const name of this.running) if (name.startsWith(`${place}-`)) this.running.delete(name);
  }

  record: DropSource['record'] = (_family, place, run) => {
    if (this.unavailable !== undefined) throw new Error(this.unavailable);
    const name = `${place}-${run}`;
    this.running.add(name);
    return {
      stop: () => {
        this.running.delete(name);
        return { drops: this.drops, pid: this.pid };
      },
    };
  };
}
