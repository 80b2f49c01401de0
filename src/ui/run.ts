import type { Diagnosed } from '../path/diagnose/diagnose.ts';
import type { World } from '../path/model/world.ts';
import type { Clock } from '../sys/clock.ts';
import { collectingWhenGrown } from '../sys/garbage.ts';
import { messageOf, UserError } from '../util/errors.ts';
import { History } from './history.ts';
import { newKeys } from './keys.ts';
import type { LabDoor } from './lab-door.ts';
import type { TrafficShown, UiStart, UiTopics } from './protocol.ts';
import { serveUi } from './server.ts';
import { Topics } from './topics.ts';
import { type Watched, Watcher } from './watcher.ts';
import { Workshop } from './workshop.ts';

/** Healing waits half of this for pods to start. */
const FINISH_MS = 60_000;

/** By how much the process may grow before it collects its garbage, in bytes. */
const GROWTH = 8 * 1024 * 1024;

/** What can be done to a lab, and what comes from it. */
export interface UiLab {
  door: LabDoor;
  /** Shows again and again what hostPorts answer, until the signal aborts. `world`: what was last observed. */
  traffic(
    world: () => World | undefined,
    show: (traffic: TrafficShown) => void,
    signal: AbortSignal,
  ): Promise<void>;
}

export interface UiOptions {
  /** 0 for any that is free. */
  port: number;
  start: Pick<UiStart, 'title' | 'version'>;
  watched: Watched;
  /** Absent for a cluster that is not of the lab: then nothing can be changed from the page. */
  lab?: UiLab;
  /** What the page shows of a diagnosis. */
  pageOf(diagnosed: Diagnosed): object;
  /** The page itself, with the policy for its script and style. */
  documentOf(start: UiStart): { html: string; csp: string };
  clock: Clock;
  /** How long an action under way may take to finish once the signal has aborted, in milliseconds; 60 s by default. */
  finishMs?: number;
  /** Is given the address once the page can be opened. */
  opened(url: string): void;
  /** A line for the terminal. */
  log(line: string): void;
}

/**
 * Watches a cluster and serves the page of it until the signal aborts, and rejects with its reason then. An action under way is finished first: half a
 * heal is worse than none. One that takes longer than `finishMs` is stopped, and awaited.
 * @throws UserError when the port is taken.
 */
export async function runUi(options: UiOptions, signal: AbortSignal): Promise<void> {
  const { watched, lab, clock, log } = options;
  const keys = newKeys();
  const history = new History();
  const topics = new Topics<UiTopics>(clock.now().toString(36), clock);
  const onError = (error: unknown) => log(messageOf(error));
  // A look leaves garbage behind that is many times what is kept of it.
  const rest = collectingWhenGrown(GROWTH);
  let world: World | undefined;
  let trouble: string | undefined;
  let unwatched: string | undefined;
  const watcher: Watcher = new Watcher({
    watched,
    clock,
    looked(diagnosed) {
      // Traffic is sent to what was seen last.
      if (lab !== undefined) world = diagnosed.scene.world;
      const added = history.add(diagnosed.diagnosis, options.pageOf(diagnosed));
      if (added !== 'nothing') topics.publish('moment', history.last!);
      workshop?.refresh().catch(onError);
      rest();
    },
    state(state) {
      topics.publish('watch', state);
      // Once for each trouble: whoever has no page open yet sees it, too.
      if (state.state === 'trouble' && state.detail !== trouble) log(state.detail ?? '');
      if (state.state !== 'looking') trouble = state.state === 'trouble' ? state.detail : undefined;
      if (state.unwatched !== undefined && state.unwatched !== unwatched)
        log(`cannot watch objects, so that changes are seen at the next look only: ${state.unwatched}`);
      unwatched = state.unwatched;
    },
  });
  const workshop =
    lab &&
    new Workshop({
      door: lab.door,
      clock,
      publish: (state) => topics.publish('lab', state),
      changed: watcher.changed,
      onError,
    });
  const orders = new AbortController();
  workshop?.publish();
  const start: UiStart = {
    ...options.start,
    kind: lab === undefined ? 'cluster' : 'lab',
    base: keys.base,
    ...(lab && { action: keys.action, faults: lab.door.faults }),
  };
  const server = serveUi({
    port: options.port,
    keys,
    page: options.documentOf(start),
    history,
    topics,
    ...(workshop && { carryOut: (order) => workshop.carryOut(order, orders.signal) }),
    onError,
  });
  // What fails ends the rest, too.
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  try {
    options.opened(server.url);
    await Promise.all([
      watcher.run(either),
      lab?.traffic(
        () => world,
        (traffic) => topics.publish('traffic', traffic),
        either,
      ),
    ]);
    signal.throwIfAborted();
  } finally {
    over.abort(new Error('the page ends'));
    if (workshop !== undefined) {
      const { underWay } = workshop;
      if (underWay !== undefined) log(`finishing what is under way: ${underWay}`);
      await finish(workshop, orders, clock, options.finishMs);
    }
    await server.stop();
  }
}

/** Waits until nothing is under way; stops what takes too long. */
async function finish(
  workshop: Workshop,
  orders: AbortController,
  clock: Clock,
  finishMs = FINISH_MS,
): Promise<void> {
  const done = new AbortController();
  const late = clock.sleep(finishMs, done.signal);
  try {
    const isDone = await Promise.race([workshop.idle().then(() => true), late.then(() => false)]);
    if (!isDone) orders.abort(new UserError(`stopped: it did not end within ${finishMs} ms of Ctrl-C`));
    await workshop.idle();
  } finally {
    done.abort(new Error('nothing is under way'));
  }
}
