import { accessSync, chmodSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';

/** Why no browser can be started here; undefined where one can. Its network namespace needs root. */
export const noBrowser: string | undefined = !isThere(CHROMIUM)
  ? `${CHROMIUM} is not installed`
  : process.getuid?.() !== 0
    ? 'the network namespace of the browser needs root'
    : undefined;

function isThere(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What a page did besides showing itself. */
export interface Watched {
  /** Addresses that it asked for, but its own. */
  requests: string[];
  /** Errors, violations of its policy, and whatever else it logged. */
  logged: string[];
}

/**
 * A browser in a network namespace of its own, which has no device but a loopback that is down: whatever a page does, nothing is sent. The test speaks
 * to it by pipes.
 */
export class TestBrowser implements AsyncDisposable {
  readonly directory: string;
  readonly #browser: Browser;

  private constructor(directory: string, browser: Browser) {
    this.directory = directory;
    this.#browser = browser;
  }

  static async start(): Promise<TestBrowser> {
    const directory = mkdtempSync(join(tmpdir(), 'hostport-page-'));
    const wrapper = join(directory, 'chromium');
    writeFileSync(wrapper, `#!/bin/sh\nexec unshare --net ${CHROMIUM} "$@"\n`);
    chmodSync(wrapper, 0o755);
    const browser = await chromium.launch({
      executablePath: wrapper,
      args: ['--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND', '--disable-background-networking'],
    });
    return new TestBrowser(directory, browser);
  }

  /** Opens a document as a file, and waits until it is drawn. `hash`: the part of the address behind `#`. */
  async open(
    html: string,
    options: Parameters<Browser['newPage']>[0] & { hash?: string } = {},
  ): Promise<{ page: Page; watched: Watched; file: string }> {
    const { hash = '', ...rest } = options;
    const file = join(this.directory, `${crypto.randomUUID()}.html`);
    writeFileSync(file, html);
    const page = await this.#browser.newPage({ viewport: { width: 1280, height: 900 }, ...rest });
    const watched: Watched = { requests: [], logged: [] };
    page.on('request', (request) => {
      if (!request.url().startsWith(`file://${file}`)) watched.requests.push(request.url());
    });
    page.on('console', (message) => watched.logged.push(message.text()));
    page.on('pageerror', (error) => watched.logged.push(String(error)));
    page.on('dialog', (dialog) => {
      watched.logged.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    await page.goto(`file://${file}${hash}`);
    await page.waitForSelector('h1');
    return { page, watched, file };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
