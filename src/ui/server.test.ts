import { afterEach, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import type { Diagnosis } from '../path/model/finding.ts';
import { realClock } from '../sys/clock.ts';
import { waitFor } from '../sys/wait.ts';
import { explained } from '../util/system-error.ts';
import { History } from './history.ts';
import { newKeys } from './keys.ts';
import type { LabOrder } from './lab-door.ts';
import { ACTION_HEADER, COOKIE, type UiTopics } from './protocol.ts';
import { serveUi, type UiServer, type UiServerOptions } from './server.ts';
import { Topics } from './topics.ts';

const stops: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

const DIAGNOSIS: Diagnosis = {
  ...{ apiVersion: 'hostport/v1', kind: 'Diagnosis', observedAt: '2030-01-01T00:00:00Z' },
  ...{ paths: [], findings: [], unknowns: [] },
};
const PAGE = { html: '<!doctype html><title>page</title>', csp: "default-src 'none'" };
const WATCH = { state: 'waiting', changed: 0 } as const;

function start(options: Partial<UiServerOptions> = {}) {
  const keys = newKeys();
  const history = new History();
  history.add(DIAGNOSIS, { shown: 'all' });
  const topics = new Topics<UiTopics>('run', realClock, { spacingMs: 0, keepAliveMs: 60_000 });
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const server = serveUi({ port: 0, keys, page: PAGE, history, topics, onError, ...options });
  stops.push(() => server.stop());
  const cookie = `${COOKIE}=${keys.session}`;
  const at = (path: string) => `http://127.0.0.1:${server.port}${keys.base}${path}`;
  return {
    ...{ keys, history, topics, errors, server, cookie },
    get: (path: string, headers: Record<string, string> = {}) =>
      fetch(at(path), { headers: { cookie, ...headers }, redirect: 'manual' }),
    post: (path: string, body: unknown, headers: Record<string, string> = {}) =>
      fetch(at(path), {
        method: 'POST',
        headers: {
          cookie,
          origin: `http://127.0.0.1:${server.port}`,
          [ACTION_HEADER]: keys.action,
          ...headers,
        },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
  };
}

describe("the page's server", () => {
  test('is on loopback alone', () => {
    const { server } = start();
    expect(server.url).toStartWith(`http://127.0.0.1:${server.port}/?token=`);
    const sockets = ['tcp', 'tcp6'].flatMap((kind) =>
      readFileSync(`/proc/self/net/${kind}`, 'utf8')
        .split('\n')
        .map((line) => line.trim().split(/\s+/)),
    );
    const port = server.port.toString(16).toUpperCase().padStart(4, '0');
    const listening = sockets.filter(([, local, , state]) => state === '0A' && local?.endsWith(`:${port}`));
    expect(listening.map(([, local]) => local)).toEqual([`0100007F:${port}`]);
  });

  test('exchanges the token of the printed address for a cookie, and opens the page by itself', async () => {
    const { server, keys } = start();
    const entry = await fetch(server.url);
    expect(entry.status).toBe(200);
    expect(entry.headers.get('set-cookie')).toBe(
      `${COOKIE}=${keys.session}; Path=${keys.base}; HttpOnly; SameSite=Strict`,
    );
    const text = await entry.text();
    expect(text).toContain(`content="0; url=${keys.base}"`);
    for (const secret of [keys.token, keys.session, keys.action]) expect(text).not.toContain(secret);
  });

  test.each([
    ['without a token', '/', 401],
    ['with another token', '/?token=x', 401],
    ['without the cookie', undefined, 401],
  ])('answers nothing %s', async (_, path, status) => {
    const { server, keys } = start();
    const answer = await fetch(`http://127.0.0.1:${server.port}${path ?? keys.base}`);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('set-cookie')).toBeNull();
    expect(await answer.text()).toBe('open the address that "hostport ui" printed\n');
  });

  test('answers to no other name, which DNS may lead here', async () => {
    const { get, server } = start();
    const answer = await get('', { host: `evil.example:${server.port}` });
    expect(answer.status).toBe(403);
  });

  test.each(['', 'events', 'moments', 'moments/1', 'difference?from=1&to=1', 'nothing', 'moments/99'])(
    'keeps, frames, guesses at and shares nothing of /%s',
    async (path) => {
      const { get, topics } = start();
      topics.publish('watch', WATCH);
      const answer = await get(path);
      const { headers } = answer;
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-frame-options')).toBe('DENY');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
      expect(headers.get('access-control-allow-origin')).toBeNull();
      expect(headers.get('content-security-policy')).toStartWith("default-src 'none'");
      await answer.body?.cancel();
    },
  );

  test('serves the page, moments and differences', async () => {
    const { get, history } = start();
    expect(await (await get('')).text()).toBe(PAGE.html);
    expect(await (await get('moments')).json()).toEqual(history.moments as never);
    expect(await (await get('moments/1')).json()).toEqual({ shown: 'all' });
    expect(await (await get('difference?from=1&to=1')).json()).toMatchObject({ changed: [] });
    for (const gone of ['moments/2', 'difference?from=1&to=2', 'difference', 'moments/1/x', 'x'])
      expect((await get(gone)).status).toBe(404);
  });

  test('a port that is taken is an error, said once', async () => {
    const { server } = start();
    const error = Promise.try(() => start({ port: server.port })).catch(explained);
    expect(await error).toBe(
      `cannot serve the page on 127.0.0.1:${server.port}: the port is taken; choose another with --port`,
    );
  });
});

describe('orders', () => {
  const recording = () => {
    const orders: LabOrder[] = [];
    const carryOut = async (order: LabOrder) => {
      orders.push(order);
      return { status: 200, ok: true, text: 'done' } as const;
    };
    return { orders, carryOut };
  };

  test.each<[string, object]>([
    ['break', { code: 'plugin-missing', node: 'kind-worker' }],
    ['break', { code: 'plugin-missing' }],
    ['heal', { restart: false }],
    ['undo', {}],
    ['trace', { node: 'kind-worker', port: 80, protocol: 'tcp', from: 'outside' }],
  ])('%s %j is carried out', async (what, body) => {
    const { orders, carryOut } = recording();
    const { post } = start({ carryOut });
    const answer = await post(`lab/${what}`, body);
    expect(await answer.json()).toEqual({ ok: true, text: 'done' });
    expect(orders).toEqual([{ do: what, ...body } as LabOrder]);
  });

  test.each<[string, unknown, number]>([
    ['lab/break', {}, 400],
    ['lab/break', { code: 'x', more: 1 }, 400],
    ['lab/break', '{', 400],
    ['lab/trace', { node: 'n', port: 0, protocol: 'tcp', from: 'outside' }, 400],
    ['lab/trace', { node: 'n', port: 80, protocol: 'icmp', from: 'outside' }, 400],
    ['lab/heal', { restart: 'yes' }, 400],
    ['lab/delete', {}, 404],
    ['lab/toString', {}, 404],
    ['lab/', {}, 404],
    ['', {}, 404],
    ['moments/1', {}, 404],
  ])('%s %j is refused', async (path, body, status) => {
    const { orders, carryOut } = recording();
    const { post } = start({ carryOut });
    const answer = await post(path, body);
    expect({ status: answer.status, orders }).toEqual({ status, orders: [] });
  });

  test('a body without an end is not read', async () => {
    const { orders, carryOut } = recording();
    const { post } = start({ carryOut });
    const answer = await post('lab/break', { code: 'x'.repeat(100_000) });
    expect([400, 413]).toContain(answer.status);
    expect(orders).toEqual([]);
  });

  test.each([
    ['without the header', { [ACTION_HEADER]: 'x' }],
    ['of another origin', { origin: 'http://evil.example' }],
    ['of another site', { 'sec-fetch-site': 'cross-site' }],
    ['without the cookie', { cookie: '' }],
  ])('an order %s is not carried out', async (_, headers) => {
    const { orders, carryOut } = recording();
    const { post } = start({ carryOut });
    const answer = await post('lab/undo', {}, headers as Record<string, string>);
    expect([401, 403]).toContain(answer.status);
    expect(orders).toEqual([]);
  });

  test.each(['break', 'heal', 'undo', 'trace', 'anything'])(
    'nothing can be changed on a cluster that is not of the lab: %s',
    async (what) => {
      const { post } = start();
      const answer = await post(`lab/${what}`, {});
      expect(answer.status).toBe(403);
      expect(await answer.text()).toBe('nothing can be changed on this cluster from the page\n');
    },
  );
});

/** Follows the events, and gathers what comes. */
async function followed(answer: Response) {
  let text = '';
  const reader = answer.body!.getReader();
  const decoder = new TextDecoder();
  return {
    until: async (pattern: RegExp) => {
      while (!pattern.test(text)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`ended before ${pattern}: ${text}`);
        text += decoder.decode(value, { stream: true });
      }
      return text;
    },
    end: () => reader.cancel(),
  };
}

describe('events', () => {
  test('come as they are published, and again from where a reader was', async () => {
    const { get, topics } = start();
    topics.publish('watch', WATCH);
    topics.publish('lab', { injected: [] });
    const first = await get('events');
    expect(first.headers.get('content-type')).toBe('text/event-stream');
    const following = await followed(first);
    expect(await following.until(/event: lab\n/)).toContain('event: watch\n');
    topics.publish('watch', { state: 'looking', changed: 3 });
    await following.until(/id: run-3\nevent: watch\ndata: \{"state":"looking","changed":3\}\n\n/);
    await following.end();
    topics.publish('watch', { state: 'waiting', changed: 4 });
    const again = await followed(await get('events', { 'last-event-id': 'run-2' }));
    const missed = await again.until(/"changed":4/);
    expect(missed).not.toContain('event: lab');
    expect(missed).not.toContain('"changed":3');
    await again.end();
  });

  test('more than so many readers are refused, and one that leaves makes room', async () => {
    const { get, topics } = start();
    topics.publish('watch', WATCH);
    const readers = await Promise.all(Array.from({ length: 32 }, () => get('events')));
    expect((await get('events')).status).toBe(503);
    await readers[0]!.body!.cancel();
    await waitFor(
      'a place',
      async () => {
        const answer = await get('events');
        await answer.body!.cancel();
        return answer.status === 200;
      },
      { timeoutMs: 5000 },
    );
    for (const reader of readers.slice(1)) await reader.body!.cancel();
  });

  test('a reader that reads nothing costs what is in the kernel, and then gets the latest', async () => {
    const { topics, server, keys, cookie } = start();
    const socket = await reading(server, `GET ${keys.base}events`, cookie);
    let made = 0;
    const large = 'x'.repeat(256 * 1024);
    const publish = (i: number) =>
      topics.publish('watch', {
        ...{ state: 'looking', changed: i },
        toJSON: () => {
          made++;
          return { changed: i, large };
        },
      } as UiTopics['watch']);
    const ROUNDS = 400;
    for (let i = 0; i < ROUNDS; i++) {
      publish(i);
      await new Promise((resolve) => setImmediate(resolve));
    }
    // 100 MB were published.
    expect(made).toBeLessThan(ROUNDS / 4);
    publish(ROUNDS);
    let tail = '';
    socket.on('data', (data) => {
      tail = (tail + data.toString('latin1')).slice(-600_000);
    });
    socket.resume();
    await waitFor('the latest', () => tail.includes(`{"changed":${ROUNDS},`), { timeoutMs: 20_000 });
  });

  test('end with the server', async () => {
    const { get, topics, server } = start();
    topics.publish('watch', WATCH);
    const following = await followed(await get('events'));
    await following.until(/event: watch/);
    await server.stop();
    await expect(following.until(/never/)).rejects.toThrow();
  });
});

/** A connection that has asked and does not read. */
async function reading(server: UiServer, what: string, cookie: string): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1');
  stops.push(() => void socket.destroy());
  socket.pause();
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  socket.write(`${what} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nCookie: ${cookie}\r\n\r\n`);
  return socket;
}
