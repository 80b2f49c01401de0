import { afterEach, describe, expect, test } from 'bun:test';
import { FakeCluster, quietOptions } from '../collect/reader/cluster.fake.ts';
import { FakeApi } from '../kube/client.fake.ts';
import { ApiError } from '../kube/client.ts';
import { pods } from '../kube/resources.ts';
import type { Pod } from '../kube/types.ts';
import type { Diagnosis } from '../path/model/finding.ts';
import type { World } from '../path/model/world.ts';
import { podOn, smallWorld } from '../path/testing/small-world.ts';
import { realClock } from '../sys/clock.ts';
import { aborted } from '../sys/daemon.ts';
import { liveObjects } from '../sys/testing/live-objects.ts';
import { waitFor } from '../sys/wait.ts';
import { clusterWatched } from './cluster-watched.ts';
import { HISTORY_LIMITS, type Moment } from './history.ts';
import { labOrders } from './lab-door.ts';
import { watchHostPortObjects } from './object-watch.ts';
import { ACTION_HEADER, type TrafficShown, type UiStart, type WatchState } from './protocol.ts';
import { runUi, type UiLab, type UiOptions } from './run.ts';
import { untilEvent } from './testing/event-stream.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** The page of a cluster, opened as a browser opens it. */
async function open(options: Pick<UiOptions, 'watched' | 'finishMs'> & { lab?: UiLab }) {
  const over = new AbortController();
  const url = Promise.withResolvers<string>();
  let start: UiStart | undefined;
  const logged: string[] = [];
  const running = runUi(
    {
      port: 0,
      start: { title: 'a cluster', version: '1.2.3' },
      clock: realClock,
      pageOf: ({ diagnosis }) => diagnosis,
      documentOf(given) {
        start = given;
        return { html: '<!doctype html>', csp: "default-src 'none'" };
      },
      opened: url.resolve,
      log: (line) => logged.push(line),
      ...options,
    },
    over.signal,
  );
  const stop = async () => {
    over.abort(new Error('interrupted'));
    await running.catch(() => {});
  };
  stops.push(stop);
  const entry = new URL(await url.promise);
  const cookie = (await fetch(entry)).headers.get('set-cookie')!.split(';')[0]!;
  const at = (path: string) => `${entry.origin}${start!.base}${path}`;
  const get = (path: string) => fetch(at(path), { headers: { cookie } });
  const moments = async () => (await (await get('moments')).json()) as Moment[];
  return {
    ...{ running, stop, get, moments, at, cookie, logged, origin: entry.origin, start: start! },
    /** Waits until so many moments have been seen. */
    untilMoments: (wanted: number) =>
      waitFor(`${wanted} moments`, async () => (await moments()).length >= wanted, { timeoutMs: 10_000 }),
    shown: async (id: number) => (await (await get(`moments/${id}`)).json()) as Diagnosis,
    order: (what: string, body: object) =>
      fetch(at(`lab/${what}`), {
        method: 'POST',
        headers: { cookie, origin: entry.origin, [ACTION_HEADER]: start!.action ?? '' },
        body: JSON.stringify(body),
      }),
  };
}

async function cluster() {
  const fake = new FakeCluster();
  await fake.addNode('n1');
  const port = { containerPort: 8080, hostPort: 80 };
  const addPod = (name: string) =>
    fake.create(pods, {
      metadata: { name, namespace: 'default' },
      spec: { nodeName: 'n1', containers: [{ name: 'c', ports: [port] }] },
      status: { phase: 'Running' },
    });
  await addPod('web');
  const { signal: _, progress: __, ...settings } = quietOptions();
  return { fake, addPod, watched: clusterWatched(fake, settings, 600_000, fake.open) };
}

describe('the page of a cluster that is not of the lab', () => {
  test('has what the cluster looks like, and again when an object changes', async () => {
    const { watched, addPod } = await cluster();
    const page = await open({ watched });
    await page.untilMoments(1);
    expect((await page.shown(1)).paths.map(({ pod }) => pod.name)).toEqual(['web']);
    await addPod('other');
    await page.untilMoments(2);
    expect((await page.shown(2)).paths.map(({ pod }) => pod.name).sort()).toEqual(['other', 'web']);
  });

  test('stays while the API server restarts, and says so', async () => {
    const { watched, fake } = await cluster();
    const page = await open({ watched });
    await page.untilMoments(1);
    fake.intercept = () => {
      throw new Error('connection refused');
    };
    fake.disconnect();
    const trouble = await untilEvent<WatchState>(
      await page.get('events'),
      'watch',
      ({ state }) => state === 'trouble',
    );
    expect(trouble.detail).toContain('connection refused');
    expect(trouble.lookedAt).toBeDefined();
    expect(page.logged).toContain(trouble.detail!);
    expect(new Set(page.logged).size).toBe(page.logged.length);
    expect((await page.shown(1)).paths).toHaveLength(1);
  });

  test('who may only list gets looks at the interval, and one line that says so', async () => {
    const { watched, fake, addPod } = await cluster();
    fake.intercept = ({ method, path }) => {
      if (path.includes('watch=true') && !path.includes('/namespaces/'))
        throw new ApiError(method, path, 403, { reason: 'Forbidden', message: 'no watch' });
    };
    let looks = 0;
    const look: typeof watched.look = (signal, progress) => {
      looks++;
      return watched.look(signal, progress);
    };
    const page = await open({ watched: { ...watched, look } });
    await page.untilMoments(1);
    const denied = () =>
      fake.requests.filter(({ path }) => /\/(pods|nodes|services)\?.*watch=true/.test(path));
    // Each of the three kinds is tried again with back-off.
    await waitFor('tries', () => denied().length >= 12, { timeoutMs: 10_000 });
    await addPod('other');
    const { unwatched, state } = await untilEvent<WatchState>(
      await page.get('events'),
      'watch',
      (value) => value.unwatched !== undefined && value.state === 'waiting',
    );
    expect({ looks, state }).toEqual({ looks: 1, state: 'waiting' });
    expect(page.logged).toEqual([
      `cannot watch objects, so that changes are seen at the next look only: ${unwatched}`,
    ]);
  });

  test('no request, however made, changes anything in the cluster', async () => {
    const { watched, fake } = await cluster();
    const page = await open({ watched });
    await page.untilMoments(1);
    // Not even the secret of orders is given to the page.
    expect(page.start).toMatchObject({ kind: 'cluster' });
    expect(page.start.action).toBeUndefined();
    expect(page.start.faults).toBeUndefined();
    const before = fake.requests.length;
    const paths = ['', 'events', 'moments', 'moments/1', 'difference', 'lab', 'lab/'];
    const orders = [...Object.keys(labOrders), 'delete', 'heal?restart=true'].map((what) => `lab/${what}`);
    const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
    const bodies = ['{}', '{"restart":true}', '{"code":"plugin-missing"}'];
    for (const path of [...paths, ...orders]) {
      for (const method of methods) {
        for (const body of method === 'GET' || method === 'HEAD' ? [undefined] : bodies) {
          const headers = { cookie: page.cookie, origin: page.origin, [ACTION_HEADER]: 'x' };
          const answer = await fetch(page.at(path), { method, headers, ...(body && { body }) });
          if (method !== 'GET' && method !== 'HEAD') expect([403, 405]).toContain(answer.status);
          await answer.body?.cancel();
        }
      }
    }
    expect(fake.requests.slice(before)).toEqual([]);
    expect(fake.applied).toEqual([]);
  });

  test('what watching creates are pods that only read, and it removes them', async () => {
    const { watched, fake } = await cluster();
    const before = fake.requests.length;
    const page = await open({ watched });
    await page.untilMoments(1);
    await page.stop();
    const written = fake.requests
      .slice(before)
      .filter(({ method }) => method !== 'GET')
      .map(
        ({ method, path }) =>
          `${method} ${path.replace(/hostport-[\w-]+|reader-[\w-]+/g, 'NAME').split('?')[0]}`,
      )
      .filter((line) => !line.includes('selfsubjectaccessreviews'));
    expect(fake.writers).toEqual([]);
    const touched = written.filter(
      (line) => !line.includes('/namespaces/NAME') && !line.endsWith('/namespaces'),
    );
    expect({ touched, left: (await fake.list(pods)).items.map(({ metadata }) => metadata?.name) }).toEqual({
      ...{ touched: [], left: ['web'] },
    });
  });
});

const EMPTY: World = {
  ...{ observedAt: '2030-01-01T00:00:00Z', nodes: [], pods: [], services: [], events: [], policies: [] },
  ...{ reports: new Map(), probes: [] },
};

describe('the page of a lab', () => {
  const lab = (door: Partial<UiLab['door']> = {}): { lab: UiLab; watched: UiOptions['watched'] } => ({
    lab: {
      door: {
        faults: [{ code: 'plugin-missing', stage: 'installed', title: 't', does: 'd' }],
        injected: async () => [],
        break: async () => 'broken',
        heal: async () => 'healed',
        undo: async () => 'undone',
        trace: () => Promise.reject(new Error('no')),
        ...door,
      },
      async traffic(world, show, signal) {
        await waitFor('a world', () => world() !== undefined, { timeoutMs: 5000 });
        const each = { node: 'n1', pod: 'web', port: 'TCP 80', address: '172.17.0.3:80' };
        show({ ports: [{ ...each, strip: 'a', detail: 'connected', milliseconds: 1 }], leftOut: 0 });
        await aborted(signal);
      },
    },
    watched: {
      look: async () => EMPTY,
      watchObjects: (_, signal) => aborted(signal),
      pace: {
        ...{ debounceMs: 10, maxDebounceMs: 10, resyncMs: 60_000 },
        ...{ burst: 8, spacingMs: 10, spacingFactor: 1 },
      },
    },
  });

  test('shows traffic and carries out orders, after which it looks again', async () => {
    let looks = 0;
    const { watched, ...rest } = lab();
    const look = async () => {
      looks++;
      return EMPTY;
    };
    const page = await open({ ...rest, watched: { ...watched, look } });
    const traffic = await untilEvent<TrafficShown>(await page.get('events'), 'traffic', () => true);
    expect(traffic).toMatchObject({ ports: [{ pod: 'web', strip: 'a' }], leftOut: 0 });
    const before = looks;
    expect(await (await page.order('break', { code: 'plugin-missing' })).json()).toEqual({
      ...{ ok: true, text: 'broken' },
    });
    await waitFor('another look', () => looks > before, { timeoutMs: 5000 });
  });

  test('what is under way when it is interrupted is finished', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const began = Promise.withResolvers<void>();
    let given: AbortSignal | undefined;
    const page = await open(
      lab({
        heal(_, signal) {
          given = signal;
          began.resolve();
          return promise;
        },
      }),
    );
    const order = page.order('heal', { restart: false }).catch(() => undefined);
    await began.promise;
    let isOver = false;
    const stopped = page.stop().then(() => {
      isOver = true;
    });
    await waitFor('the line', () => page.logged.includes('finishing what is under way: heal'), {
      timeoutMs: 4000,
    });
    for (let i = 0; i < 20; i++) await new Promise((turn) => setImmediate(turn));
    expect(isOver).toBe(false);
    expect(given?.aborted).toBe(false);
    resolve('healed');
    await stopped;
    await order;
    await expect(page.running).rejects.toThrow('interrupted');
  });

  test('what is under way and does not end is stopped, and awaited', async () => {
    const began = Promise.withResolvers<void>();
    const reasons: string[] = [];
    const page = await open({
      finishMs: 1,
      ...lab({
        async heal(_, signal) {
          began.resolve();
          await aborted(signal);
          reasons.push(String(signal.reason.message));
          throw signal.reason;
        },
      }),
    });
    const order = page.order('heal', { restart: false }).catch(() => undefined);
    await began.promise;
    await page.stop();
    expect(reasons).toEqual(['stopped: it did not end within 1 ms of Ctrl-C']);
    await order;
  });

  test('holds nothing of what came and went, but for its history, which is full after a while', async () => {
    const api = new FakeApi();
    let seen = (_: readonly Pod[]) => {};
    const page = await open({
      lab: lab().lab,
      watched: {
        async look() {
          const { items } = await api.list(pods);
          seen(items);
          return smallWorld(items);
        },
        watchObjects: (listener, signal) => watchHostPortObjects(api, listener, signal),
        pace: {
          ...{ debounceMs: 0, maxDebounceMs: 0, resyncMs: 60_000 },
          ...{ burst: Number.POSITIVE_INFINITY, spacingMs: 0, spacingFactor: 0 },
        },
      },
    });
    const reader = (await page.get('events')).body!.getReader();
    const following = (async () => {
      while (!(await reader.read()).done);
    })();
    let made = 0;
    /** Has so many pods come and go, one after the other, and counts the objects that are left then, by their types. */
    const heldAfter = async (rounds: number) => {
      for (let round = 0; round < rounds; round++, made++) {
        const isShown = Promise.withResolvers<void>();
        seen = (all) => {
          if (all.some(({ metadata }) => metadata?.name === `p${made}`)) isShown.resolve();
        };
        await api.create(pods, podOn('n1', `p${made}`, 1 + made));
        await isShown.promise;
        await api.delete(pods, `p${made}`, 'default', { gracePeriodSeconds: 0 });
        api.requests.length = 0;
      }
      const isFull = async () => (await page.moments()).length === HISTORY_LIMITS.moments;
      await waitFor('a full history', isFull, { timeoutMs: 5000 });
      return liveObjects();
    };
    const before = await heldAfter(HISTORY_LIMITS.moments + 200);
    const rounds = 1000;
    const after = await heldAfter(rounds);
    // What is held of each round is of some type, and at least as many as there were rounds. What the engine compiles comes and goes.
    const grown = Object.entries(after).filter(([type, count]) => count - (before[type] ?? 0) > rounds / 2);
    expect(grown).toEqual([]);
    await reader.cancel();
    await following;
  }, 60_000);
});
