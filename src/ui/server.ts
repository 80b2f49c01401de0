import { schemaProblem } from '../collect/schema-problem.ts';
import { UserError } from '../util/errors.ts';
import { PROBLEMS } from '../util/system-error.ts';
import { refusalOf } from './guard.ts';
import type { History } from './history.ts';
import type { Keys } from './keys.ts';
import { type LabOrder, labOrders } from './lab-door.ts';
import { COOKIE, type UiTopics } from './protocol.ts';
import type { Topics } from './topics.ts';
import type { Outcome } from './workshop.ts';

/** Only this machine reaches it. */
const ADDRESS = '127.0.0.1';
/** How many pages may follow at once. */
const MAX_FOLLOWERS = 32;
/** How long a connection may be silent, in seconds: longer than the pause between two comments of an event stream. */
const IDLE_S = 60;
/** No order is longer, in bytes. */
const MAX_BODY = 16 * 1024;

const CLOSED_CSP = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export interface UiServerOptions {
  /** 0 for any that is free. */
  port: number;
  keys: Keys;
  /** The page, and the policy that allows its own script and style alone. */
  page: { html: string; csp: string };
  history: History;
  topics: Topics<UiTopics>;
  /** Carries out what the page asks of a lab. Without it there is nothing that a request could change. */
  carryOut?: (order: LabOrder) => Promise<Outcome>;
  onError(error: unknown): void;
}

/** The page's server. */
export interface UiServer {
  port: number;
  /** The address to open, with its token. */
  url: string;
  stop(): Promise<void>;
}

/**
 * Serves the page on this machine's loopback to who has the token, and to no page of another origin.
 * @throws UserError when the port is taken.
 */
export function serveUi(options: UiServerOptions): UiServer {
  try {
    return serve(options);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    throw new UserError(
      `cannot serve the page on ${ADDRESS}:${options.port}: ${PROBLEMS.EADDRINUSE}; choose another with --port`,
      { cause },
    );
  }
}

function serve(options: UiServerOptions): UiServer {
  const { port, keys, onError } = options;
  const over = new AbortController();
  const routes = new Routes(options, over.signal);
  const server = Bun.serve({
    hostname: ADDRESS,
    port,
    idleTimeout: IDLE_S,
    maxRequestBodySize: MAX_BODY,
    async fetch(request, bun) {
      // Healing takes as long as it takes.
      if (request.method === 'POST') bun.timeout(request, 0);
      const url = new URL(request.url);
      const { method, headers } = request;
      const asked = { method, path: url.pathname, token: url.searchParams.get('token'), headers };
      const refusal = refusalOf(asked, keys, bun.port!);
      if (refusal !== undefined) return plain(refusal.status, refusal.why);
      return routes.answer(request, url);
    },
    error(error) {
      onError(error);
      return plain(500, 'failed; the terminal of "hostport ui" has the reason');
    },
  });
  return {
    port: server.port!,
    url: `http://${ADDRESS}:${server.port}/?token=${keys.token}`,
    async stop() {
      over.abort(new Error('the server ends'));
      await server.stop(true);
    },
  };
}

class Routes {
  readonly #options: UiServerOptions;
  readonly #over: AbortSignal;
  #followers = 0;

  constructor(options: UiServerOptions, over: AbortSignal) {
    this.#options = options;
    this.#over = over;
  }

  answer(request: Request, { pathname, searchParams }: URL): Response | Promise<Response> {
    const { keys, page, history } = this.#options;
    if (pathname === '/') return this.#entry();
    const path = pathname.slice(keys.base.length);
    if (request.method === 'POST') return this.#order(request, path);
    if (path === '')
      return new Response(page.html, { headers: headersOf('text/html; charset=utf-8', page.csp) });
    if (path === 'events') return this.#events(request);
    if (path === 'moments') return json(history.moments);
    if (path === 'difference') {
      const [from, to] = ['from', 'to'].map((name) => Number(searchParams.get(name)));
      const difference = history.difference(from!, to!);
      return difference === undefined ? plain(404, 'that moment is not kept any more') : json(difference);
    }
    const [, moment] = /^moments\/(\d{1,9})$/.exec(path) ?? [];
    if (moment === undefined) return plain(404, 'not found');
    const shown = history.page(Number(moment));
    if (shown === undefined) return plain(404, 'that moment is not kept any more');
    return new Response(shown, { headers: { ...headersOf('application/json'), 'content-encoding': 'gzip' } });
  }

  /**
   * Exchanges the token for the cookie. The page is opened by this one, and not by a redirection: a browser that was led here from elsewhere would
   * not send a strict cookie along with that.
   */
  #entry(): Response {
    const { base, session } = this.#options.keys;
    const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>hostport</title><meta http-equiv="refresh" content="0; url=${base}"></head>
<body><p><a href="${base}">Open the page</a></p></body></html>
`;
    const cookie = `${COOKIE}=${session}; Path=${base}; HttpOnly; SameSite=Strict`;
    return new Response(html, {
      headers: { ...headersOf('text/html; charset=utf-8'), 'set-cookie': cookie },
    });
  }

  #events(request: Request): Response {
    const headers = headersOf('text/event-stream');
    if (request.method === 'HEAD') return new Response(null, { headers });
    if (this.#followers >= MAX_FOLLOWERS)
      return plain(503, `${MAX_FOLLOWERS} pages are open already; close some`);
    this.#followers++;
    const follower = this.#options.topics.follow(request.headers.get('last-event-id'));
    const gone = new AbortController();
    const signal = AbortSignal.any([this.#over, gone.signal]);
    const leave = () => {
      if (gone.signal.aborted) return;
      this.#followers--;
      gone.abort(new Error('the reader is gone'));
    };
    request.signal.addEventListener('abort', leave, { once: true });
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>(
      {
        // Nothing is made before the reader has taken what was made before.
        async pull(controller) {
          try {
            controller.enqueue(encoder.encode(await follower.next(signal)));
          } catch (error) {
            if (!signal.aborted) throw error;
            controller.close();
          }
        },
        cancel: leave,
      },
      { highWaterMark: 0 },
    );
    return new Response(body, { headers });
  }

  async #order(request: Request, path: string): Promise<Response> {
    const { carryOut } = this.#options;
    if (carryOut === undefined) return plain(403, 'nothing can be changed on this cluster from the page');
    const kind = path.replace(/^lab\//, '');
    if (!path.startsWith('lab/') || !Object.hasOwn(labOrders, kind)) return plain(404, 'not found');
    const what = kind as keyof typeof labOrders;
    let order: LabOrder;
    try {
      order = { do: what, ...labOrders[what].parse(await request.json()) } as LabOrder;
    } catch (error) {
      return plain(400, `cannot read what to ${what}: ${schemaProblem(error)}`);
    }
    const { status, ...outcome } = await carryOut(order);
    return json(outcome, status);
  }
}

/** The headers of every answer: nothing of it is kept, framed, guessed at, or shown to others. */
function headersOf(type: string, csp = CLOSED_CSP): Record<string, string> {
  return {
    'content-type': type,
    'content-security-policy': csp,
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    vary: 'cookie, origin, sec-fetch-site',
  };
}

function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), { status, headers: headersOf('application/json') });
}

function plain(status: number, text: string): Response {
  return new Response(`${text}\n`, { status, headers: headersOf('text/plain; charset=utf-8') });
}
