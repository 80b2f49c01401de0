/** docs/tour.html in a real browser, which has no network. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { PAGE } from '../scripts/tour-page.ts';
import { isWiderThanScreen, violations } from './page/accessibility.ts';
import { noBrowser, TestBrowser } from './page/browser.ts';

describe.skipIf(noBrowser !== undefined)(`the tour's page${noBrowser ? ` (${noBrowser})` : ''}`, () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await TestBrowser.start();
  });
  afterAll(() => browser[Symbol.asyncDispose]());

  test.each(['light', 'dark'] as const)(
    'in %s: axe finds nothing, nothing is asked for, and a phone shows all of it',
    async (colorScheme) => {
      const { page, watched } = await browser.open(readFileSync(PAGE, 'utf8'), { colorScheme });
      expect(await violations(page)).toEqual([]);
      await page.setViewportSize({ width: 360, height: 700 });
      expect(await isWiderThanScreen(page)).toBe(false);
      expect(watched).toEqual({ requests: [], logged: [] });
    },
  );

  test('by the keyboard alone, each step and each command is reached', async () => {
    const { page } = await browser.open(readFileSync(PAGE, 'utf8'));
    const wanted = await page.locator('a, pre').count();
    const reached = new Set<string>();
    for (let i = 0; i < wanted; i++) {
      await page.keyboard.press('Tab');
      reached.add(await page.evaluate(() => document.activeElement?.textContent ?? ''));
    }
    expect(reached).toContain('Recreate the pod');
    const texts = await page.locator('a, pre').allTextContents();
    expect(texts.filter((text) => !reached.has(text))).toEqual([]);
  });
});
