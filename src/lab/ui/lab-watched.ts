import { PACE } from '../../agent/pace.ts';
import { watchHostPortObjects } from '../../ui/object-watch.ts';
import type { Watched } from '../../ui/watcher.ts';
import type { LabPlaces } from '../doctor/places.ts';
import { collectLabWorld, labClient } from '../doctor/source.ts';

/** How a cluster of the lab is watched: what breaks on a node shows in no object, so it is looked at every `intervalMs`. */
export function labWatched(
  places: LabPlaces,
  { intervalMs, probes }: { intervalMs: number; probes: boolean },
): Watched {
  return {
    look: (signal) => collectLabWorld(places, { probes, signal }),
    watchObjects: async (listener, signal) =>
      watchHostPortObjects(await labClient(places.record), listener, signal),
    // A look at a lab takes the time of a few processes, most of it waiting.
    pace: { ...PACE, debounceMs: 100, maxDebounceMs: 500, spacingFactor: 1, resyncMs: intervalMs },
  };
}
