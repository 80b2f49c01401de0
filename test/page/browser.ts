import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { unlessMissing } from '../../src/sys/errno.ts';
import { waitFor } from '../../src/sys/wait.ts';
import { type Carried, relayEnd } from './relay.ts';

const CHROMIUM = '/usr/bin/chromium';
const RELAY = join(import.meta.dir, 'relay.ts');

/** How long a browser may take to end by itself, in milliseconds. */
const END_MS = 500;

/** By port. */
type Relays = ReadonlyMap<number, { end: Server; carried: Carried[] }>;
type PageOptions = NonNullable<Parameters<Browser['newPage']>[0]>;

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

/** A request that the browser sent to a server of the test, and the status of its answer. */
export interface Exchange {
  method: string;
  path: string;
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>;
  /** Absent while it is not answered. */
  status?: number;
}

/**
 * A browser in a network namespace of its own, which has no device but a loopback: whatever a page does, nothing is sent. The test speaks to it by
 * pipes, and a server of the test is reached by a Unix socket.
 */
export class TestBrowser implements AsyncDisposable {
  readonly directory: string;
  readonly #browser: Browser;
  /** The process group of the browser and its relays. */
  readonly #group: number;
  readonly #relays: Relays;

  private constructor(directory: string, browser: Browser, group: number, relays: Relays) {
    this.directory = directory;
    this.#browser = browser;
    this.#group = group;
    this.#relays = relays;
  }

  /** @param ports of this process on 127.0.0.1, which the browser reaches under the same addresses. */
  static async start(ports: readonly number[] = []): Promise<TestBrowser> {
    const directory = mkdtempSync(join(tmpdir(), 'hostport-page-'));
    const wrapper = join(directory, 'chromium');
    const leader = join(directory, 'leader');
    const socketOf = (port: number) => join(directory, `relay-${port}`);
    // In the process group of the browser, which is killed as a whole.
    const begun = ports.map((port) => `{ '${process.execPath}' '${RELAY}' ${port} '${socketOf(port)}' & }`);
    const reach = begun.length === 0 ? '' : `ip link set lo up && ${begun.join(' && ')} && `;
    writeFileSync(
      wrapper,
      `#!/bin/sh\necho $$ >'${leader}'\nexec unshare --net sh -c '${reach.replaceAll("'", `'\\''`)}exec ${CHROMIUM} "$@"' sh "$@"\n`,
    );
    chmodSync(wrapper, 0o755);
    const relays = new Map(
      ports.map((port) => {
        const carried: Carried[] = [];
        return [port, { end: relayEnd(socketOf(port), port, carried), carried }];
      }),
    );
    const browser = await chromium.launch({
      executablePath: wrapper,
      env: { ...process.env, TMPDIR: directory },
      args: [
        '--no-sandbox',
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
        '--disable-background-networking',
      ],
    });
    await waitFor('the relays', () => ports.every((port) => existsSync(`${socketOf(port)}.ready`)), {
      timeoutMs: 20_000,
    });
    return new TestBrowser(directory, browser, Number(readFileSync(leader, 'utf8')), relays);
  }

  /** What the browser sent to one of its ports so far, and how that was answered: seen on the way, not as a page sees it. */
  exchanges(port: number): Exchange[] {
    return (this.#relays.get(port)?.carried ?? []).flatMap(({ sent, answered }) => {
      // One after another on each connection.
      const statuses = [...answered.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
      const heads = sent.matchAll(/([A-Z]+) (\S+) HTTP\/1\.1\r\n([\s\S]*?)\r\n\r\n/g);
      return [...heads].map(([, method, path, lines], i): Exchange => {
        const pairs = lines!.split('\r\n').map((line) => line.split(/: (.*)/, 2));
        const headers = Object.fromEntries(pairs.map(([name, value]) => [name!.toLowerCase(), value ?? '']));
        const status = statuses[i];
        return { method: method!, path: path!, headers, ...(status !== undefined && { status }) };
      });
    });
  }

  /** Opens a document as a file, and waits until it is drawn. `hash`: the part of the address behind `#`. */
  async open(
    html: string,
    options: PageOptions & { hash?: string } = {},
  ): Promise<{ page: Page; watched: Watched; file: string }> {
    const { hash = '', ...rest } = options;
    const file = join(this.directory, `${crypto.randomUUID()}.html`);
    writeFileSync(file, html);
    return { ...(await this.visit(`file://${file}${hash}`, `file://${file}`, rest)), file };
  }

  /** Opens an address, and waits until it is drawn. `own`: how the addresses begin that it may ask for. */
  async visit(
    address: string,
    own: string,
    options: PageOptions = {},
  ): Promise<{ page: Page; watched: Watched }> {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    const watched: Watched = { requests: [], logged: [] };
    page.on('request', (request) => {
      if (!request.url().startsWith(own)) watched.requests.push(request.url());
    });
    page.on('console', (message) => watched.logged.push(message.text()));
    page.on('pageerror', (error) => watched.logged.push(String(error)));
    page.on('dialog', (dialog) => {
      watched.logged.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    await page.goto(address);
    await page.waitForSelector('h1');
    return { page, watched };
  }

  /** Whether it still runs: the test runner ends it with a test that takes too long. */
  get isRunning(): boolean {
    return this.#browser.isConnected();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // On a busy machine it sometimes does not end by itself. It has nothing to save.
    const late = setTimeout(
      () => unlessMissing(() => process.kill(-this.#group, 'SIGKILL'), ['ESRCH']),
      END_MS,
    );
    await this.#browser.close().finally(() => clearTimeout(late));
    for (const { end } of this.#relays.values()) end.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
