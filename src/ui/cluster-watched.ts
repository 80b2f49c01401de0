import { PACE } from '../agent/pace.ts';
import {
  type CollectOptions,
  type CollectProgress,
  collectCluster,
  type OpenSession,
} from '../collect/reader/collect.ts';
import type { ApiClient } from '../kube/client.ts';
import { watchHostPortObjects } from './object-watch.ts';
import type { Watched } from './watcher.ts';

/**
 * How any cluster is watched: its objects all the time, its nodes every `intervalMs` and, when objects change, as often as is a small part of the
 * cluster's work: each time by the agents, or by short-lived pods that are removed again.
 */
export function clusterWatched(
  client: ApiClient,
  settings: Omit<CollectOptions, 'signal' | 'progress'>,
  intervalMs: number,
  openSession?: OpenSession,
): Watched {
  return {
    look: (signal, progress) =>
      collectCluster(
        client,
        {
          ...settings,
          signal,
          progress: (at) => progress(textOf(at)),
          warn(line) {
            settings.warn(line);
            progress(line);
          },
        },
        openSession,
      ),
    watchObjects: (listener, signal) => watchHostPortObjects(client, listener, signal),
    pace: { ...PACE, debounceMs: 1000, maxDebounceMs: 5000, burst: 2, spacingMs: 5000, resyncMs: intervalMs },
  };
}

const WORDS: Readonly<Record<CollectProgress['phase'], string>> = {
  preflight: 'checking what the user may do',
  objects: 'reading objects',
  reports: 'examining nodes',
  probes: 'probing hostPorts',
  removal: 'removing what was created',
};

function textOf({ phase, done, total, waitingFor = [] }: CollectProgress): string {
  const count = total === undefined ? '' : ` ${done ?? 0}/${total}`;
  const [first] = waitingFor;
  return `${WORDS[phase]}${count}${first === undefined ? '' : `, waiting for ${first}`}`;
}
