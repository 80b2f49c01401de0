import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';

const AXE = join(import.meta.dir, '../../node_modules/axe-core/axe.min.js');

/** What axe finds wrong, one line each. It is run by the debugger: the page's policy allows no script but its own. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(readFileSync(AXE, 'utf8'));
  const found = await page.evaluate(async () => {
    // biome-ignore lint/suspicious/noExplicitAny: axe has put itself there.
    const results = await (window as any).axe.run(document, { resultTypes: ['violations'] });
    // biome-ignore lint/suspicious/noExplicitAny: its results are its own.
    return results.violations.flatMap((each: any) =>
      // biome-ignore lint/suspicious/noExplicitAny: its results are its own.
      each.nodes.map((node: any) => `${each.id}: ${node.target.join(' ')}: ${node.failureSummary}`),
    );
  });
  return found as string[];
}

/** Whether something of the page is beyond the right edge of the screen. */
export function isWiderThanScreen(page: Page): Promise<boolean> {
  return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}
