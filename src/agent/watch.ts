import { ApiClient, type ApiClientOptions } from '../kube/client.ts';
import { EventRecorder } from '../kube/event-recorder.ts';
import { rememberingExec } from '../node/report/remembering-exec.ts';
import type { HealScope } from '../path/heal/plan.ts';
import { hostPortsOf } from '../path/model/host-ports.ts';
import type { NodeReport } from '../path/model/node-report.ts';
import { realClock } from '../sys/clock.ts';
import { aborted, logOnceAMinute } from '../sys/daemon.ts';
import { DirectoryWatch } from '../sys/directory-watch.ts';
import type { Exec } from '../sys/exec.ts';
import { collectingWhenGrown } from '../sys/garbage.ts';
import { watchNetfilter } from '../sys/netfilter-changes.ts';
import { messageOf } from '../util/errors.ts';
import { takeGlance } from './glance.ts';
import { Leftovers } from './leftovers.ts';
import { HealLoop } from './loop.ts';
import { watchNodeObjects } from './node-objects.ts';
import { nodePatient } from './node-patient.ts';
import { PACE, Pace } from './pace.ts';
import type { AgentRecord } from './record.ts';
import { teller } from './teller.ts';

export interface WatchOptions {
  /** Name of this node in the cluster. */
  node: string;
  /** How to reach the API; without it, pods are derived from the runtime's sandboxes, and no Events are written. */
  api?: ApiClientOptions;
  scope: HealScope;
  /** Only reports what it finds, and changes nothing on the node. */
  isObserver?: boolean;
  /** Throws for a report that must not be judged. */
  check?(report: NodeReport): void;
  /** Is shown what was found, and what was done. */
  record?: AgentRecord;
  /** Milliseconds between looks when nothing changes. */
  resyncMs: number;
  exec: Exec;
  log(line: string): void;
}

/** Where CNI results are cached: an entry comes and goes with each attachment. Source: libcni's CacheDir. */
const RESULT_CACHE = '/var/lib/cni/results';

/** By how much the process may grow before it collects its garbage, in bytes. */
const GROWTH = 8 * 1024 * 1024;

/** How long Events that are not written yet are waited for at the end, in milliseconds. */
const FLUSH_MS = 1000;

/**
 * Watches the node that this process runs on, and heals it unless it only observes, until the signal aborts. Looks when the two CNI directories,
 * the cache of results, nftables or the node's pods change. Every `resyncMs` it glances at what notifies nobody (settings, links, routes, sockets, mounts), and looks
 * when that has changed, too, and every tenth time in any case. What cannot be watched is logged: then it looks each time.
 */
export async function watchNode(options: WatchOptions, signal: AbortSignal): Promise<void> {
  const { node, api, scope, isObserver = false, check, record, resyncMs, exec, log } = options;
  const onError = logOnceAMinute(log);
  const client = api && new ApiClient({ ...api, userAgent: 'hostport-agent' });
  const events =
    client && new EventRecorder(client, { component: 'hostport-agent', host: node }, { onError });
  const objects = client && watchNodeObjects({ client, node, changed: () => loop.changed(), onError });
  const patient = nodePatient(node, rememberingExec(exec), objects);
  const directories = new DirectoryWatch(() => loop.changed());
  const leftovers = new Leftovers();
  let followed: readonly string[] = [];
  /** Of what changes are notified, or seen by a glance. */
  const watched = { netfilter: true, objects: objects !== undefined, directories: false, flows: false };
  const loop = new HealLoop({
    patient: {
      ...patient,
      async observe(stop) {
        // Until this look has seen it.
        watched.directories = watched.flows = false;
        const world = await patient.observe(stop);
        const report = world.reports.get(node);
        if (report !== undefined && 'value' in report) {
          check?.(report.value);
          const { confDir, binDirs } = report.value.cni;
          const ofCni = [confDir, ...binDirs];
          followed = [...ofCni, RESULT_CACHE];
          watched.directories = attempt(() => directories.follow(followed), onError);
          // What connection tracking remembers of a UDP client, only a look shows.
          watched.flows = !world.pods.some((pod) =>
            hostPortsOf(pod).some(({ protocol }) => protocol === 'UDP'),
          );
          if (isObserver) return world;
          attempt(() => {
            const swept = leftovers.sweep(ofCni, realClock.monotonic());
            for (const path of swept) log(`removed ${path}, an unfinished temporary file`);
          }, onError);
        }
        return world;
      },
    },
    isObserver,
    glance() {
      let state: string | undefined;
      if (Object.values(watched).every(Boolean)) {
        attempt(() => {
          state = takeGlance(followed);
        }, onError);
      }
      return state;
    },
    glanced: () => record?.unchanged(),
    looked(diagnosis, ms) {
      record?.looked(diagnosis, ms);
      rest();
    },
    // Nobody reviews its plans.
    scope: { ...scope, risks: 'leftovers' },
    podsFromApi: objects !== undefined,
    clock: realClock,
    tell: record?.counting(teller(log, events)) ?? teller(log, events),
    pace: new Pace(realClock.monotonic(), { ...PACE, resyncMs }),
  });
  // A look at a node with many pods leaves garbage behind that is many times what is kept.
  const rest = collectingWhenGrown(GROWTH);
  const watching = new AbortController();
  const stop = AbortSignal.any([signal, watching.signal]);
  const watches = [
    watchNetfilter(loop.changed, stop).catch((error) => {
      watched.netfilter = false;
      log(`${messageOf(error)}; looking every ${resyncMs} ms`);
    }),
    ...(objects === undefined ? [] : [objects.run(stop)]),
  ];
  log(`watching ${node}${client === undefined ? ' without an API' : ` with ${client.server}`}`);
  try {
    // Until the API's pods are listed, every mapping would look left over.
    if (objects !== undefined) await Promise.race([objects.synced, aborted(signal)]);
    await loop.run(signal);
  } finally {
    watching.abort();
    directories.close();
    await Promise.all(watches);
  }
  if (events !== undefined && !(await events.flush(FLUSH_MS))) log('some events could not be written');
  log('stopped');
}

/** Whether it succeeded. */
function attempt(work: () => void, onError: (error: unknown) => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    onError(error);
    return false;
  }
}
