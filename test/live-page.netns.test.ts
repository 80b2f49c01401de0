/**
 * The live page in a real browser that reaches nothing but the page's server: that it follows what changes, however fast, and survives what goes away;
 * what its buttons do, and that there are none for a cluster that is not of the lab. UPDATE_FIGURES=1 writes the pictures of docs/figures.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { type TraceDocument, traceDocumentSchema } from '../src/path/trace/document.ts';
import { storyOf } from '../src/path/trace/story.ts';
import { waitFor } from '../src/sys/wait.ts';
import type { TrafficShown } from '../src/ui/protocol.ts';
import { isWiderThanScreen, violations } from './page/accessibility.ts';
import { noBrowser, TestBrowser } from './page/browser.ts';
import { HOSTILE, hostileCluster, pageCluster, recordedCluster } from './page/clusters.ts';
import { LiveServer } from './page/live.ts';

const ROOT = join(import.meta.dir, '..');
const FIGURES = join(ROOT, 'docs/figures');
const UPDATE = process.env.UPDATE_FIGURES === '1';

const HEALTHY = pageCluster(3, 1, 'healthy');
const BROKEN = pageCluster(3, 1, 'broken');
const WELL = 'All 3 hostPorts work.';
const BAD = '1 of 3 hostPorts is broken: 1 cause on 1 node; 1 is at risk.';

const why = noBrowser === undefined ? '' : ` (${noBrowser})`;

let port = 0;
/** For servers that are not the page's. */
let others: readonly number[] = [];
let browser: TestBrowser;
const servers: LiveServer[] = [];
beforeAll(async () => {
  if (noBrowser !== undefined) return;
  // Ports that are free: the browser's relays need to know them.
  const some = [0, 0, 0].map(() => new LiveServer('lab', 0));
  const [first, ...rest] = some.map((server) => server.port);
  port = first!;
  others = rest;
  for (const server of some) await server.stop();
  browser = await TestBrowser.start([port, ...others]);
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});
afterAll(() => browser?.[Symbol.asyncDispose]());

function serve(kind: 'lab' | 'cluster' = 'lab', title?: string): LiveServer {
  const server = new LiveServer(kind, port, title);
  servers.push(server);
  return server;
}

const open = (server: LiveServer, options: Parameters<TestBrowser['visit']>[2] = {}) =>
  browser.visit(server.url, server.origin, options);

/** Waits until the page says this. */
const untilSaid = (page: Page, text: string, selector = 'h1') =>
  page.locator(selector).filter({ hasText: text }).first().waitFor({ timeout: 20_000 });

/** What came of a traced probe that was recorded. */
function traceOf(name: string): TraceDocument {
  const path = join(ROOT, `test/fixtures/traces/${name}.json`);
  const { flow, sender, probe, record } = JSON.parse(readFileSync(path, 'utf8'));
  const { address, port: to, protocol, sourcePort } = flow;
  return traceDocumentSchema.parse({
    ...{
      apiVersion: 'hostport/v1',
      kind: 'Trace',
      node: 'worker-1',
      from: 'outside',
      pod: 'default/web-0-0',
    },
    ...{ address, port: to, protocol, sourcePort, probe },
    ...storyOf(flow, sender, probe, record),
  });
}

const traffic = (strips: readonly string[], leftOut = 0): TrafficShown => ({
  leftOut,
  ports: strips.map((strip, i) => ({
    ...{ node: `worker-${i + 1}`, pod: `web-${i}-0`, port: 'TCP 80', address: `172.17.0.${i + 3}:80` },
    ...{ strip, detail: strip.endsWith('a') ? 'connected' : 'ECONNREFUSED', milliseconds: 1.4 },
  })),
});

/** A lab in which something is broken and all parts of the page have something to show. */
function busyLab(): LiveServer {
  const server = serve();
  for (const cluster of [HEALTHY, pageCluster(3, 1, 'unknown'), HEALTHY, BROKEN]) server.show(cluster);
  server.topics.publish('traffic', traffic(['a'.repeat(60), `${'a'.repeat(41)}${'r'.repeat(19)}`, 'a?tua']));
  server.topics.publish('lab', {
    injected: [{ code: 'plugin-missing', node: 'worker-2', pod: 'web-1-0' }],
    last: {
      ...{ what: 'break plugin-missing on worker-2', ok: true, at: '2030-01-01T12:00:01Z' },
      text: 'plugin-missing on worker-2, for pod web-1-0: removes portmap from /opt/cni/bin',
    },
  });
  server.answer = () => {
    const trace = traceOf('mangle-drop');
    return { status: 200, ok: true, text: trace.message, trace };
  };
  return server;
}

/** Sends a packet, and waits until its way is shown. */
async function sendPacket(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Send a packet' }).click();
  await page.locator('.journey').waitFor();
}

describe.skipIf(noBrowser !== undefined)('the live page in a browser', () => {
  test(`opens by the printed address, keeps no token in it, and no script reads its cookie${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    const { page, watched } = await open(server);
    expect(await page.textContent('h1')).toBe(WELL);
    const { pathname, search } = new URL(page.url());
    expect(pathname).toMatch(/^\/[0-9a-f]{16}\/$/);
    expect(search).toBe('');
    expect(await page.evaluate(() => document.cookie)).toBe('');
    await page.reload();
    await untilSaid(page, WELL);
    expect(watched).toEqual({ requests: [], logged: [] });
    await page.close();
  });

  test.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 360],
    ['dark', 360],
  ] as const)(
    `%s, %i pixels wide: accessible, and asks its own server alone${why}`,
    async (colorScheme, width) => {
      const server = busyLab();
      const { page, watched } = await open(server, { colorScheme, viewport: { width, height: 800 } });
      await untilSaid(page, BAD);
      await sendPacket(page);
      await page.getByRole('button', { name: 'Pause' }).click();
      expect(await violations(page)).toEqual([]);
      expect(await isWiderThanScreen(page)).toBe(false);
      expect(watched).toEqual({ requests: [], logged: [] });
      await page.close();
    },
  );

  test.each(['healthy', 'broken', 'unknown'] as const)(
    `a cluster that only is watched, %s: accessible${why}`,
    async (condition) => {
      const server = serve('cluster', 'Cluster https://10.0.0.1:6443');
      server.show(pageCluster(3, 2, condition));
      const { page } = await open(server);
      expect(await violations(page)).toEqual([]);
      await page.close();
    },
  );

  test(`follows what changes without being loaded again, and says what changed${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    const { page } = await open(server);
    await page.evaluate(() => {
      document.body.dataset.mark = 'same';
    });
    server.show(BROKEN);
    await untilSaid(page, BAD);
    await untilSaid(page, 'plugin-missing', '.difference');
    expect(await page.locator('.moments li').count()).toBe(2);
    expect(await page.locator('.difference').textContent()).toContain('web-1-0 TCP 80 on worker-2');
    server.show(HEALTHY);
    await untilSaid(page, WELL);
    await untilSaid(page, 'Fixed or gone', '.difference');
    expect(await page.evaluate(() => document.body.dataset.mark)).toBe('same');
    await page.close();
  });

  test(`shows an earlier moment, which stays, and comes back to now${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    server.show(BROKEN);
    const { page } = await open(server);
    await untilSaid(page, BAD);
    await page.locator('.moments button').last().click();
    await untilSaid(page, WELL);
    expect(await page.locator('.past').textContent()).toContain('as it was at ');
    server.show(pageCluster(3, 1, 'unknown'));
    await page.locator('.moments li').nth(2).waitFor();
    expect(await page.textContent('h1')).toBe(WELL);
    await page.getByRole('button', { name: 'Back to now' }).click();
    await untilSaid(page, '3 of 3 hostPorts are unknown');
    await page.close();
  });

  test(`any two moments can be compared${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    server.show(BROKEN);
    server.show(pageCluster(3, 1, 'unknown'));
    const { page } = await open(server);
    await untilSaid(page, 'Cannot be observed any more', '.difference');
    await page.getByLabel('To').last().selectOption({ index: 1 });
    await page.getByLabel('From').last().selectOption({ index: 0 });
    await untilSaid(page, 'Found', '.difference');
    expect(await page.locator('.difference').textContent()).not.toContain('Cannot be observed');
    await page.close();
  });

  test(`what the reader chose to compare stays, with the focus, until it is not kept any more${why}`, async () => {
    const server = serve();
    for (const cluster of [HEALTHY, BROKEN, HEALTHY]) server.show(cluster);
    const { page } = await open(server);
    await page.locator('.moments li').nth(2).waitFor();
    const [from, to] = [page.getByLabel('From').last(), page.getByLabel('To').last()];
    const chosen = async () => [await from.inputValue(), await to.inputValue()];
    expect(await chosen()).toEqual(['2', '3']);
    server.show(pageCluster(3, 1, 'unknown'));
    await page.locator('.moments li').nth(3).waitFor();
    expect(await chosen()).toEqual(['3', '4']);
    await from.selectOption('1');
    await from.focus();
    expect(await chosen()).toEqual(['1', '4']);
    server.show(BROKEN);
    await page.locator('.moments li').nth(4).waitFor();
    expect(await chosen()).toEqual(['1', '4']);
    expect(await from.evaluate((it) => it === document.activeElement)).toBe(true);
    // More than an hour later, of the cluster's own time, only the last is left.
    server.pass(3_700_000);
    server.show(HEALTHY);
    server.show(BROKEN);
    await waitFor('the last two', async () => (await chosen()).join() === '6,7', { timeoutMs: 10_000 });
    await page.close();
  });

  test(`what could not be read is said until something could be${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    const { page } = await open(server);
    server.topics.publish('moment', { ...server.history.last!, id: 99 });
    await untilSaid(page, 'that moment is not kept any more', '[role=alert]');
    server.show(BROKEN);
    await untilSaid(page, BAD);
    await page.locator('[role=alert]').waitFor({ state: 'detached' });
    await page.close();
  });

  test(`the line of the last hour continues to the last look, though that saw nothing new${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    server.show(BROKEN);
    const { page } = await open(server);
    await untilSaid(page, BAD);
    const last = async () => {
      const [x, width] = await page
        .locator('.hour rect')
        .last()
        .evaluate((it) => ['x', 'width'].map((name) => Number(it.getAttribute(name))));
      return { x: x!, width: width! };
    };
    const before = await last();
    server.topics.publish('watch', { state: 'waiting', lookedAt: '2030-01-01T12:30:00Z', changed: 0 });
    await waitFor('the line', async () => (await last()).width > before.width, { timeoutMs: 10_000 });
    const { x, width } = await last();
    expect(x + width).toBe(1000);
    await page.close();
  });

  test(`a hundred changes a second cost few requests, and the last is shown${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    const { page } = await open(server);
    let read = 0;
    page.on('request', () => read++);
    const ROUNDS = 300;
    for (let i = 0; i < ROUNDS; i++) {
      server.show(i % 2 === 0 ? BROKEN : HEALTHY);
      server.topics.publish('watch', { state: 'waiting', lookedAt: '2030-01-01T12:00:00Z', changed: i });
      await Bun.sleep(10);
    }
    server.show(BROKEN);
    await untilSaid(page, BAD);
    expect(read).toBeLessThan(ROUNDS / 2);
    await page.close();
  });

  test(`says when the API server cannot be reached, and when it can be again; what was seen stays${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    const { page } = await open(server);
    const lookedAt = new Date().toISOString();
    server.topics.publish('watch', { state: 'trouble', detail: 'connection refused', lookedAt, changed: 0 });
    await untilSaid(page, 'Cannot look at the cluster; trying again. connection refused', '[role=status]');
    expect(await page.textContent('h1')).toBe(WELL);
    expect(await violations(page)).toEqual([]);
    server.topics.publish('watch', { state: 'waiting', lookedAt, changed: 0 });
    await untilSaid(page, 'Live.', '[role=status]');
    await page.close();
  });

  test(`says when its own server is gone, and gets what it has missed when that is back${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    const { page } = await open(server);
    await server.stop();
    await untilSaid(page, 'No connection to hostport ui', '[role=status]');
    server.show(BROKEN);
    server.restart();
    await untilSaid(page, BAD);
    await untilSaid(page, 'Live.', '[role=status]');
    await page.close();
  });

  test(`a server with other keys is another: the page says that its own has ended${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    const { page } = await open(server);
    await server.stop();
    const other = serve();
    other.show(BROKEN);
    await untilSaid(page, 'hostport ui has ended', '[role=status]');
    expect(await page.textContent('h1')).toBe(WELL);
    await page.close();
  });

  test(`without a mouse: breaks, heals and undoes; one thing at a time${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    const { page } = await open(server);
    const press = async (name: string) => {
      const button = page.getByRole('button', { name, exact: true });
      for (let i = 0; i < 60 && !(await button.evaluate((it) => it === document.activeElement)); i++)
        await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
    };
    await page.getByLabel('Failure').focus();
    // By its first letters, as lists of choices are used without a mouse.
    await page.keyboard.type('mapping-m');
    await press('Break');
    await waitForOrders(server, 1);
    server.topics.publish('lab', {
      injected: [{ code: 'mapping-missing', node: 'worker-1', pod: 'web-0-0' }],
      running: { what: 'heal', since: '2030-01-01T12:00:00Z' },
    });
    await untilSaid(page, 'heal …', '.result');
    expect(await page.getByRole('button', { name: 'Break', exact: true }).isDisabled()).toBe(true);
    expect(await page.getByRole('button', { name: 'Heal', exact: true }).isDisabled()).toBe(true);
    server.topics.publish('lab', {
      injected: [{ code: 'mapping-missing', node: 'worker-1', pod: 'web-0-0' }],
      last: { what: 'heal', ok: false, text: 'cannot heal', at: '2030-01-01T12:00:00Z' },
    });
    await untilSaid(page, 'failed: cannot heal', '.result');
    await press('Heal');
    await waitForOrders(server, 2);
    await press('Undo mapping-missing on worker-1');
    await waitForOrders(server, 3);
    await press('Undo all');
    await waitForOrders(server, 4);
    expect(server.orders).toEqual([
      { do: 'break', code: 'mapping-missing' },
      { do: 'heal', restart: false },
      { do: 'undo', code: 'mapping-missing', node: 'worker-1' },
      { do: 'undo' },
    ]);
    await page.close();
  });

  test(`a packet goes its way stop by stop, with its addresses as they are there, and back${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    server.answer = () => {
      const trace = traceOf('healthy');
      return { status: 200, ok: true, text: trace.message, trace };
    };
    const { page } = await open(server);
    await sendPacket(page);
    const last = page.locator('.journey li.here').filter({ hasText: 'by' });
    // By itself to the end.
    await page.getByRole('button', { name: 'Play again' }).waitFor({ timeout: 30_000 });
    expect(await last.count()).toBe(1);
    const stops = await page.locator('.journey li').count();
    expect(stops).toBeGreaterThan(4);
    expect(await page.locator('.journey mark').allTextContents()).toEqual(['10.92.0.2:80', '10.91.0.2:8080']);
    expect(await page.locator('.journey .way-title').allTextContents()).toEqual([
      'The request',
      'The answer',
    ]);
    const where = () => page.locator('.packet').evaluate((it) => (it as HTMLElement).style.transform);
    const atEnd = await where();
    await page.getByRole('button', { name: 'Back', exact: true }).click();
    expect(await where()).not.toBe(atEnd);
    expect(await page.locator('[aria-current=step]').count()).toBe(1);
    await page.close();
  });

  test(`who wants no motion sees the end at once, and steps by hand${why}`, async () => {
    const server = busyLab();
    const { page } = await open(server, { reducedMotion: 'reduce' });
    await sendPacket(page);
    await page.getByRole('button', { name: 'Play again' }).waitFor();
    expect(await page.locator('.journey li.here.end').textContent()).toContain('✗');
    expect(await page.locator('.journey .outcome').textContent()).toContain('✗ died');
    expect(await page.locator('#trace [role=status]').textContent()).toContain('✗ died');
    await page.close();
  });

  test(`says how many hostPorts are not probed${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    server.topics.publish('traffic', traffic(['a', 'a']));
    const { page } = await open(server);
    await page.locator('.traffic li').first().waitFor();
    expect(await page.textContent('#traffic')).not.toContain('left out');
    server.topics.publish('traffic', traffic(['a', 'a'], 3));
    await untilSaid(page, 'Only the first 2 are probed; 3 more are left out.', '#traffic');
    await page.close();
  });

  test(`an order that is refused is said${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    server.answer = () => ({ status: 409, ok: false, text: 'cannot trace now: heal is under way' });
    const { page } = await open(server);
    await page.getByRole('button', { name: 'Send a packet' }).click();
    await untilSaid(page, 'cannot trace now: heal is under way', '#trace .bad');
    await page.close();
  });

  test(`an order that the server refuses, or that does not reach it, is said beside its button${why}`, async () => {
    const server = serve();
    server.show(HEALTHY);
    server.answer = () => ({ status: 409, ok: false, text: 'cannot heal now: trace is under way' });
    const { page } = await open(server);
    const heal = page.getByRole('button', { name: 'Heal', exact: true });
    await heal.click();
    await untilSaid(page, 'cannot heal now: trace is under way', '#lab [role=status].bad');
    server.answer = () => ({ status: 200, ok: true, text: 'nothing to fix' });
    await heal.click();
    await page.locator('#lab [role=status].bad').waitFor({ state: 'detached' });
    await server.stop();
    await heal.click();
    await untilSaid(page, 'cannot reach hostport ui', '#lab [role=status].bad');
    server.restart();
    await page.close();
  });

  test(`on a cluster that is not of the lab, there is nothing to change, and nothing can be${why}`, async () => {
    const server = serve('cluster', 'Cluster https://10.0.0.1:6443');
    server.show(BROKEN);
    const { page } = await open(server);
    const buttons = await page.getByRole('button').allTextContents();
    expect(buttons.filter((text) => /break|heal|undo|send/i.test(text))).toEqual([]);
    expect(await page.locator('footer').textContent()).toContain('This page only reads');
    const statuses = await page.evaluate(async () => {
      const what = ['lab/break', 'lab/heal', 'lab/undo', 'lab/trace', '', 'moments/1'];
      const sent = what.flatMap((path) =>
        ['POST', 'PUT', 'PATCH', 'DELETE'].map((method) =>
          fetch(path, { method, headers: { 'x-hostport-action': '' }, body: '{}' }).then(
            ({ status }) => status,
          ),
        ),
      );
      return Promise.all(sent);
    });
    expect(statuses.filter((status) => status !== 403 && status !== 405)).toEqual([]);
    expect(server.orders).toEqual([]);
    await page.close();
  });

  test.each([
    ['of the same site, whose requests carry the cookie', '127.0.0.1', 'same-site'],
    ['of another site', 'localhost', 'cross-site'],
  ])(
    `a page of another origin reads nothing, sends nothing and frames nothing: %s${why}`,
    async (_, host, site) => {
      const server = serve();
      server.show(HEALTHY);
      const { page } = await open(server);
      const own = page.url();
      // The same browser, with its cookie. Nothing of these two servers forbids anything.
      const free = (body: string) => () =>
        new Response(body, { headers: { 'content-type': 'text/html', 'access-control-allow-origin': '*' } });
      using attacker = Bun.serve({
        hostname: '127.0.0.1',
        port: others[0]!,
        fetch: free('<h1>attacker</h1>'),
      });
      using control = Bun.serve({ hostname: '127.0.0.1', port: others[1]!, fetch: free('<h1>control</h1>') });
      const evil = await page.context().newPage();
      await evil.goto(`http://${host}:${attacker.port}/`);
      const attempt = (url: string, init: Attempt = {}) =>
        evil.evaluate(
          ([to, how]) =>
            fetch(to, how).then(
              async (answer) => `${answer.type} ${answer.status} ${await answer.text()}`,
              () => 'refused',
            ),
          [url, init] as const,
        );
      const framed = async (url: string) => {
        const before = evil.frames().length;
        await evil.evaluate((src) => {
          const frame = document.createElement('iframe');
          frame.src = src;
          document.body.append(frame);
          return new Promise((resolve) => {
            frame.onload = resolve;
          });
        }, url);
        const frame = evil.frames()[before]!;
        const said = await frame.evaluate(() => document.querySelector('h1, a')?.textContent?.trim() ?? '');
        return `${frame.url()} ${said}`;
      };
      const there = `http://127.0.0.1:${control.port}/`;
      expect(await attempt(there)).toBe('cors 200 <h1>control</h1>');
      expect(await framed(there)).toBe(`${there} control`);

      const cookie = { credentials: 'include' } as const;
      const post = { ...cookie, method: 'POST', body: '{}' } as const;
      const secret = { 'x-hostport-action': 'guessed' };
      expect(await attempt(`${own}moments`, cookie)).toBe('refused');
      expect(await attempt(`${own}moments`, { ...cookie, mode: 'no-cors' })).toMatch(/^(refused|opaque 0 )$/);
      expect(await attempt(`${own}lab/undo`, post)).toBe('refused');
      expect(await attempt(`${own}lab/undo`, { ...post, mode: 'no-cors' })).toMatch(/^(refused|opaque 0 )$/);
      expect(await attempt(`${own}lab/undo`, { ...post, headers: secret })).toBe('refused');
      const blocked = 'chrome-error://chromewebdata/ 127.0.0.1 is blocked';
      expect(await framed(own)).toBe(blocked);
      // Even by the printed address, which anybody may follow who has it.
      expect(await framed(server.url)).toBe(blocked);
      expect(server.orders).toEqual([]);

      const foreign = browser.exchanges(port).filter(({ headers }) => headers['sec-fetch-site'] === site);
      const base = new URL(own).pathname;
      const exchanged = foreign.map(({ method, path, status }) => `${method} ${path} ${status}`);
      // In any order: there are several connections.
      const expected = [
        `GET ${base}moments 403`,
        `GET ${base}moments 403`,
        `POST ${base}lab/undo 403`,
        `POST ${base}lab/undo 403`,
        `OPTIONS ${base}lab/undo 403`,
        `GET ${base} 403`,
        `GET ${new URL(server.url).pathname}${new URL(server.url).search} 200`,
      ];
      expect(exchanged.toSorted()).toEqual(expected.toSorted());
      expect(foreign.some(({ headers }) => headers.cookie?.includes('hostport-ui='))).toBe(
        site === 'same-site',
      );
      await page.close();
    },
  );

  test(`a hostile cluster is text, in each part of the page${why}`, async () => {
    const server = serve('lab', HOSTILE.markup);
    const { diagnosis, ways } = hostileCluster();
    server.show(HEALTHY);
    server.show({ diagnosis, ways });
    const all = Object.values(HOSTILE);
    server.topics.publish('traffic', {
      leftOut: 0,
      ports: all.map((text) => ({
        ...{ node: text, pod: text, port: text, address: text, strip: 'ar', detail: text, milliseconds: 1 },
      })),
    });
    server.topics.publish('lab', {
      injected: all.map((text) => ({ code: text, node: text, pod: text })),
      last: { what: HOSTILE.markup, ok: false, text: all.join('\n'), at: HOSTILE.markup },
    });
    server.topics.publish('watch', { state: 'trouble', detail: all.join(' '), changed: 0 });
    const { page, watched } = await open(server);
    await untilSaid(page, 'Found', '.difference');
    for (const summary of await page.locator('summary').all()) await summary.click();
    expect(await page.locator('#page img, #page script').count()).toBe(0);
    const text = (await page.textContent('#page'))!;
    for (const said of [HOSTILE.markup, HOSTILE.entity, HOSTILE.long]) expect(text).toContain(said);
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    expect(await isWiderThanScreen(page)).toBe(false);
    expect(watched).toEqual({ requests: [], logged: [] });
    await page.close();
  });

  if (UPDATE) {
    test('picture of a lab', async () => {
      const server = serve();
      for (const bundle of ['all-fixed', 'begin'] as const) server.show(await recordedCluster(bundle));
      const strips = ['a'.repeat(60), 'r'.repeat(60), 'r'.repeat(60)];
      const ofHowTo = traffic(strips).ports.map((one, i) => {
        const node = `kind-worker${i === 0 ? '' : i + 1}`;
        return { ...one, node, pod: `echo-${node}` };
      });
      server.topics.publish('traffic', { ports: ofHowTo, leftOut: 0 });
      server.topics.publish('lab', { injected: [] });
      const viewport = { width: 1280, height: 1250 };
      const { page } = await open(server, { colorScheme: 'light', viewport });
      await untilSaid(page, 'portmap-not-chained', '.difference');
      await page.locator('#traffic').evaluate((section) => section.scrollIntoView());
      await page.screenshot({ path: join(FIGURES, 'ui-lab.png') });
      await page.close();
    });

    test('picture of the way of a packet', async () => {
      const server = busyLab();
      // The port that the packet of the recorded trace was for.
      const port = { hostPort: 8080, containerPort: 80, protocol: 'TCP' as const };
      const paths = BROKEN.diagnosis.paths.map((path) => ({ ...path, port }));
      server.show({ ...BROKEN, diagnosis: { ...BROKEN.diagnosis, paths } });
      server.answer = () => {
        const trace = traceOf('filter-drop');
        return { status: 200, ok: true, text: trace.message, trace };
      };
      const { page } = await open(server, { colorScheme: 'dark', reducedMotion: 'reduce' });
      await sendPacket(page);
      await page.locator('#trace').screenshot({ path: join(FIGURES, 'ui-trace-dark.png') });
      await page.close();
    });
  }
});

/** How a page of another origin tries to send a request. */
type Attempt = Pick<RequestInit, 'credentials' | 'method' | 'mode'> & {
  body?: string;
  headers?: Record<string, string>;
};

/** Waits until so many orders came. */
async function waitForOrders(server: LiveServer, number: number): Promise<void> {
  await waitFor(`order ${number}`, () => server.orders.length >= number, { timeoutMs: 10_000 });
}
