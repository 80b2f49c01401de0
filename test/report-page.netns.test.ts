/**
 * The report page in a real browser, which has no network: what it shows, that it can be used without a mouse, on a small screen and by a screen
 * reader, that nothing in it is taken for more than text, and that it asks for nothing. UPDATE_FIGURES=1 writes the pictures of docs/figures.
 */
import { afterAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { pageHtml } from '../src/page/html.ts';
import { isWiderThanScreen, violations } from './page/accessibility.ts';
import { noBrowser, TestBrowser } from './page/browser.ts';
import { HOSTILE, hostileCluster, type PageCluster, pageCluster, recordedCluster } from './page/clusters.ts';

const ROOT = join(import.meta.dir, '..');
const FIGURES = join(ROOT, 'docs/figures');
const UPDATE = process.env.UPDATE_FIGURES === '1';

let browser: TestBrowser | undefined;
/** The browser of all tests; another where the runner has ended it with a test that took too long. */
async function started(): Promise<TestBrowser> {
  if (browser?.isRunning === false) await browser[Symbol.asyncDispose]();
  if (browser?.isRunning !== true) browser = await TestBrowser.start();
  return browser;
}
afterAll(() => browser?.[Symbol.asyncDispose]());

const why = noBrowser === undefined ? '' : ` (${noBrowser})`;

const html = ({ diagnosis, ways }: PageCluster, title = 'Cluster "prod"') =>
  pageHtml({ diagnosis, ways, title, version: '1.2.3' });

async function howTo(): Promise<string> {
  return html(await recordedCluster('begin'), 'Cluster "kind"');
}

describe.skipIf(noBrowser !== undefined)('the report page in a browser', () => {
  const CASES: [name: string, make: () => PageCluster, verdict: string][] = [
    [
      '3 nodes, broken',
      () => pageCluster(3, 2, 'broken'),
      '2 of 6 hostPorts are broken: 1 cause on 1 node; 1 is at risk.',
    ],
    ['3 nodes, healthy', () => pageCluster(3, 2, 'healthy'), 'All 6 hostPorts work.'],
    [
      '3 nodes, unknown',
      () => pageCluster(3, 2, 'unknown'),
      '6 of 6 hostPorts are unknown; no broken hostPort was found.',
    ],
    [
      '1,000 nodes, broken',
      () => pageCluster(1000, 3, 'broken'),
      '750 of 3,000 hostPorts are broken: 1 cause on 250 nodes; 75 are unknown, 250 are at risk.',
    ],
    ['no hostPort', () => pageCluster(3, 0, 'healthy'), 'No pod asks for a hostPort.'],
  ];

  test.each(CASES)(
    `%s: verdict, no violation of accessibility, no request, nothing logged${why}`,
    async (_, make, verdict) => {
      const { page, watched } = await (await started()).open(html(make()));
      expect(await page.textContent('h1 [role=status]')).toBe(verdict);
      for (const summary of await page.locator('summary').all()) await summary.click();
      expect(await violations(page)).toEqual([]);
      expect(watched).toEqual({ requests: [], logged: [] });
      await page.close();
    },
  );

  test.each([3, 1000])(
    `%i nodes, dark, 360 pixels wide: no violation, nothing wider than the screen${why}`,
    async (nodes) => {
      const viewport = { width: 360, height: 740 };
      const { page } = await (await started()).open(html(pageCluster(nodes, 2, 'broken')), {
        colorScheme: 'dark',
        viewport,
      });
      expect(await isWiderThanScreen(page)).toBe(false);
      expect(await violations(page)).toEqual([]);
      await page.close();
    },
  );

  test(`names every link of the way, and its break, in words and in the drawing${why}`, async () => {
    const { page } = await (await started()).open(await howTo());
    const broken = page.locator('article.mapping', { hasText: 'default/echo-kind-worker3' });
    expect(await broken.locator('svg.way').getAttribute('aria-label')).toContain('configured broken');
    expect(await broken.locator('svg .link.broken').count()).toBe(1);
    // Nothing came through after that: neither the drawing nor the list, which is the way where there is little room, says so.
    const before = broken.locator('svg .link.ok');
    expect([await before.count(), await broken.locator('.stages .by-ok').count()]).toEqual([1, 1]);
    // In the drawing itself every outcome can be read.
    const outcomes = await broken.locator('svg.way .station').last().locator('.real').allTextContents();
    expect(outcomes.join('\n')).not.toContain('…');
    const good = page.locator('article.mapping', { hasText: 'default/echo-kind-worker on' });
    const text = (await good.locator('.stages').textContent())!;
    for (const name of [
      '172.17.0.3:80',
      '--to-destination 192.168.1.2:8080',
      'lxc',
      'eth0',
      '192.168.1.2:8080',
    ])
      expect(text).toContain(name);
    await page.close();
  });

  test.each([
    ['copies the fix where the browser lets it', ['clipboard-read', 'clipboard-write'], /^copied$/],
    ['selects the fix where the browser does not', [], /^selected/],
  ])(`%s${why}`, async (_, permissions, says) => {
    const { page } = await (await started()).open(await howTo(), { permissions });
    const first = page.locator('article.cause').first();
    await first.getByRole('button', { name: /^copy / }).click();
    await first.locator('[role=status]').filter({ hasText: says }).waitFor();
    const taken =
      permissions.length > 0 ? () => navigator.clipboard.readText() : () => String(getSelection());
    expect(await page.evaluate(taken)).toBe((await first.locator('.command code').textContent())!);
    await page.close();
  });

  test(`without a mouse: the map by arrows, a mapping by Enter, its evidence by Enter${why}`, async () => {
    const { page } = await (await started()).open(html(pageCluster(1000, 3, 'broken')));
    const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '');
    // To the first cell of the map, whose rows are one step of the way.
    const first = page.locator('.map [tabindex="0"]');
    for (let i = 0; i < 60 && !(await first.evaluate((cell) => cell === document.activeElement)); i++)
      await page.keyboard.press('Tab');
    expect(await focused()).toContain('worker-2');
    await page.keyboard.press('Control+End');
    await page.keyboard.press('Home');
    // The last row was not drawn before.
    expect(await focused()).toContain('worker-997');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Enter');
    expect(await page.textContent('.filters [role=status]')).toContain('3 of 3,000 mappings');
    expect(new URL(page.url()).hash).toBe('#node=worker-996');
    const mapping = page.locator('article.mapping').first();
    await mapping.locator('h3 button').focus();
    await page.keyboard.press('Enter');
    expect(await mapping.locator('svg.way').count()).toBe(0);
    await page.keyboard.press('Enter');
    expect(await mapping.locator('svg.way').count()).toBe(1);
    const evidence = page.locator('.cause details').first();
    await evidence.locator('summary').focus();
    await page.keyboard.press('Enter');
    await evidence.getByText('bridge flannel loopback').first().waitFor();
    await page.close();
  });

  test(`a click on a node of the overview chooses it${why}`, async () => {
    const { page } = await (await started()).open(html(pageCluster(60, 1, 'broken')));
    // The worst is the first.
    await page.locator('.overview svg').click({ position: { x: 16, y: 16 } });
    expect(new URL(page.url()).hash).toBe('#node=worker-2');
    await page.close();
  });

  test(`by arrows, what is focused can be seen, and Tab leads into the map wherever it was scrolled to${why}`, async () => {
    for (const [nodes, width] of [
      [50, 1280],
      [200, 360],
    ] as const) {
      const viewport = { width, height: 740 };
      const { page } = await (await started()).open(html(pageCluster(nodes, 8, 'broken')), { viewport });
      const isSeen = () =>
        page.evaluate(() => {
          const { left, top, width, height } = document.activeElement!.getBoundingClientRect();
          const over = document.elementFromPoint(left + width / 2, top + height / 2);
          return document.activeElement!.contains(over);
        });
      await page.locator('.map [tabindex="0"]').focus();
      for (const key of [
        'Control+End',
        'ArrowUp',
        'ArrowLeft',
        'PageUp',
        'ArrowLeft',
        'Control+Home',
        'PageDown',
      ]) {
        await page.keyboard.press(key);
        expect([key, await isSeen()]).toEqual([key, true]);
      }
      await page.locator('.map').evaluate((map) => map.scrollTo(0, map.scrollHeight / 2));
      await page.waitForFunction(() => document.querySelectorAll('.map [tabindex="0"]').length === 1);
      await page.close();
    }
  });

  test(`by arrows, a cell without a hostPort shows that it is focused${why}`, async () => {
    const { diagnosis, ways } = pageCluster(4, 3, 'broken');
    // Every second mapping.
    const paths = diagnosis.paths.filter((_, i) => i % 2 === 0);
    const { page } = await (await started()).open(html({ diagnosis: { ...diagnosis, paths }, ways }));
    await page.locator('.map [tabindex="0"]').focus();
    const seen: string[] = [];
    for (const key of [
      'Control+Home',
      ...Array(3).fill('ArrowRight'),
      'ArrowDown',
      'ArrowLeft',
      'ArrowLeft',
    ]) {
      await page.keyboard.press(key);
      const focused = await page.evaluate(() => {
        const { offsetWidth, offsetHeight, textContent } = document.activeElement as HTMLElement;
        const { outlineStyle, outlineWidth, clipPath } = getComputedStyle(document.activeElement!);
        const isLarge = Math.min(offsetWidth, offsetHeight) >= 24;
        return { textContent, isLarge, ring: `${outlineWidth} ${outlineStyle}`, clipPath };
      });
      seen.push(focused.textContent);
      expect(focused).toMatchObject({ isLarge: true, ring: '3px solid', clipPath: 'none' });
    }
    expect(seen.filter((text) => text === 'none')).toHaveLength(3);
    expect(await violations(page)).toEqual([]);
    await page.close();
  });

  test(`search and lists choose what the map and the ways show, and a link leads there again${why}`, async () => {
    const report = html(pageCluster(100, 3, 'broken'));
    const { page } = await (await started()).open(report);
    await page.getByLabel('Search').fill('SHOP web-21-');
    expect(await page.textContent('.filters [role=status]')).toContain('1 of 300 mappings');
    expect(await page.locator('article.mapping').count()).toBe(1);
    await page.getByRole('button', { name: 'Show all' }).click();
    await page.getByLabel('Fails at stage').selectOption('attached');
    expect(await page.textContent('.filters [role=status]')).toContain('31 of 300 mappings');
    const { hash } = new URL(page.url());
    await page.close();
    const other = await (await started()).open(report, { hash });
    expect(await other.page.textContent('.filters [role=status]')).toContain('31 of 300 mappings');
    await other.page.close();
  });

  test(`the link of a cause and of a mapping shows it${why}`, async () => {
    const report = html(pageCluster(100, 3, 'broken'));
    const { page } = await (await started()).open(report, { hash: '#cause=plugin-missing' });
    expect(await page.locator('article.cause.broken details').getAttribute('open')).not.toBeNull();
    await page.evaluate(() => {
      location.hash = new URLSearchParams({ mapping: 'worker-100 shop/web-99-2 TCP 8002' }).toString();
    });
    const chosen = page.locator('article.mapping', { hasText: 'shop/web-99-2' });
    await chosen.locator('svg.way').waitFor();
    expect(await chosen.evaluate((article) => article.contains(document.activeElement))).toBe(true);
    await page.close();
  });

  test(`a hostile cluster is text${why}`, async () => {
    const { page, watched } = await (await started()).open(html(hostileCluster()));
    for (const summary of await page.locator('summary').all()) await summary.click();
    expect(watched).toEqual({ requests: [], logged: [] });
    expect(await page.locator('#page img, #page script, #page b:not(.stage b)').count()).toBe(0);
    const text = (await page.textContent('#page'))!;
    expect(text).toContain(HOSTILE.markup);
    expect(text).toContain(HOSTILE.entity);
    expect(text).toContain(HOSTILE.long);
    expect(text).toContain('\\x1b[31mred');
    expect(text).toContain('safe\\u202egnp.exe');
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    expect(await page.title()).toContain('broken');
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await isWiderThanScreen(page)).toBe(false);
    expect(await violations(page)).toEqual([]);
    await page.close();
  });

  test(`its policy lets no other script run${why}`, async () => {
    const { page, watched } = await (await started()).open(await howTo());
    await page
      .evaluate(() => {
        const script = document.createElement('script');
        script.append('document.title = "run"');
        document.body.append(script);
      })
      .catch((error) => watched.logged.push(String(error)));
    expect(await page.title()).not.toBe('run');
    expect(watched.logged.join('\n')).toMatch(/Content Security Policy|TrustedScript|Trusted Type/);
    await page.close();
  });

  test(`its policy lets nothing be loaded${why}`, async () => {
    const { page } = await (await started()).open(await howTo());
    const address = 'http://127.0.0.1:9/x';
    const refused = page.evaluate(
      () =>
        new Promise<string[]>((resolve) => {
          const seen: string[] = [];
          document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => {
            if (seen.push(`${effectiveDirective} ${blockedURI}`) === 4) resolve(seen.sort());
          });
        }),
    );
    const came = await page.evaluate(async (source) => {
      const load = (tag: 'img' | 'link' | 'iframe', how: Record<string, string>) =>
        new Promise<string>((resolve) => {
          const element = Object.assign(document.createElement(tag), how);
          element.onload = () => resolve(`${tag} loaded`);
          element.onerror = () => resolve(`${tag} refused`);
          document.body.append(element);
        });
      return Promise.all([
        load('img', { src: source }),
        load('link', { rel: 'stylesheet', href: source }),
        fetch(source).then(
          () => 'fetch loaded',
          () => 'fetch refused',
        ),
        // A frame that is refused has loaded an error in its place.
        load('iframe', { src: source }).then(() => 'iframe'),
      ]);
    }, address);
    expect(came).toEqual(['img refused', 'link refused', 'fetch refused', 'iframe']);
    // Of a frame, which is another document, only the origin is reported.
    const { origin } = new URL(address);
    expect(await refused).toEqual([
      `connect-src ${address}`,
      `frame-src ${origin}`,
      `img-src ${address}`,
      `style-src-elem ${address}`,
    ]);
    await page.close();
  });

  test(`without scripts: the verdict, the causes and the fixes${why}`, async () => {
    const { page } = await (await started()).open(await howTo(), { javaScriptEnabled: false });
    expect(await page.textContent('h1')).toStartWith('2 of 3 hostPorts are broken');
    expect(await page.textContent('body')).toContain('hostport heal --only plugin-missing');
    await page.close();
  });

  test(`the colours are the system's until the reader chooses${why}`, async () => {
    const { page } = await (await started()).open(await howTo(), { colorScheme: 'dark' });
    const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await back();
    const choose = async (theme: string) => {
      await page.getByLabel(theme).check();
      await page.waitForFunction((chosen) => document.documentElement.dataset.theme === chosen, theme);
    };
    await choose('light');
    const light = await back();
    expect(light).not.toBe(dark);
    await page.emulateMedia({ colorScheme: 'light' });
    await choose('system');
    expect(await back()).toBe(light);
    await page.close();
  });

  test(`prints every row and cause, light, without what only a screen has${why}`, async () => {
    const { page } = await (await started()).open(html(pageCluster(100, 3, 'broken')), {
      colorScheme: 'dark',
    });
    await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
    expect(await page.locator('.map tbody th').count()).toBe(100);
    expect(await page.locator('.cause details:not([open])').count()).toBe(0);
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe(
      'rgb(247, 248, 250)',
    );
    expect(await page.locator('.filters').isVisible()).toBe(false);
    await page.evaluate(() => dispatchEvent(new Event('afterprint')));
    expect(await page.locator('.map tbody th').count()).toBeLessThan(100);
    await page.close();
  });

  const FIGURE_CASES: [
    file: string,
    make: () => string | Promise<string>,
    scheme: 'light' | 'dark',
    width: number,
    height: number,
  ][] = [
    ['report-broken-light', howTo, 'light', 1200, 800],
    ['report-1000-nodes-light', () => html(pageCluster(1000, 3, 'broken')), 'light', 1000, 1550],
  ];
  if (UPDATE) {
    test.each(FIGURE_CASES)('picture %s', async (file, make, colorScheme, width, height) => {
      const { page } = await (await started()).open(await make(), {
        colorScheme,
        viewport: { width, height },
      });
      await page.screenshot({ path: join(FIGURES, `${file}.png`) });
      await page.close();
    });
  }
});
