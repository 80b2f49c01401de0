import { ConnectionError, type Route } from '../../../../kube/connection-error.ts';
import { proxyFor } from '../../../../kube/proxy.ts';
import { send } from '../../../../kube/send.ts';
import { UserError } from '../../../../util/errors.ts';

/** How a mirror is reached. */
export interface MirrorAccess {
  /** For proxies: HTTPS_PROXY, HTTP_PROXY, NO_PROXY. */
  env: Readonly<Record<string, string | undefined>>;
  /** PEM of the authorities that its certificate may be from; without it the well-known ones. */
  ca?: string;
  userAgent: string;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const MOST_REDIRECTS = 5;
const SILENCE_MS = 60_000;

/** Bytes of an answer, and where they are really from. */
export interface Answer {
  response: Response;
  /** After redirects. */
  url: URL;
}

/**
 * Asks for a file as it is, uncompressed, and resolves with the answer of any status whose body has not been read. Redirects are followed, but
 * not from https to http.
 * @throws ConnectionError when there is no answer, UserError when it redirects too often or elsewhere; the signal's reason when that aborts.
 */
export async function ask(
  asked: URL,
  headers: Readonly<Record<string, string>>,
  access: MirrorAccess,
  signal: AbortSignal,
): Promise<Answer> {
  let url = asked;
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
    const proxy = proxyFor(undefined, url, access.env);
    const response = await send({
      method: 'GET',
      url,
      headers: Object.entries({ 'accept-encoding': 'identity', 'user-agent': access.userAgent, ...headers }),
      tls: { ...(access.ca !== undefined && { ca: access.ca }) },
      signal,
      ...(proxy && { proxy }),
    }).catch((thrown) => brokenOff(url, { ...(proxy && { proxy }) }, signal, thrown));
    const location = response.headers.get('location');
    if (!REDIRECTS.has(response.status) || location === null) return { response, url };
    await response.body?.cancel();
    url = target(url, location);
  }
  throw new UserError(`cannot GET ${asked}: it redirects more than ${MOST_REDIRECTS} times`);
}

/** Throws what a request or its answer ended with. */
export function brokenOff(url: URL, route: Route, signal: AbortSignal, thrown: unknown): never {
  if (signal.aborted) throw signal.reason;
  throw new ConnectionError('GET', url.href, route, thrown);
}

function target(from: URL, location: string): URL {
  const url = URL.parse(location, from);
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && from.protocol === 'http:');
  if (url !== null && isSafe) return url;
  throw new UserError(
    `cannot GET ${from}: it redirects to ${url === null ? 'what is not a URL' : `${url.protocol}//${url.host}`}, which is not followed`,
  );
}

/** A signal that aborts when nothing has come for some time (milliseconds; a minute if undefined), or with another signal. */
export class Silence {
  readonly #controller = new AbortController();
  readonly #url: URL;
  readonly #ms: number;
  readonly signal: AbortSignal;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(url: URL, ms: number | undefined, outer: AbortSignal) {
    this.#url = url;
    this.#ms = ms ?? SILENCE_MS;
    this.signal = AbortSignal.any([outer, this.#controller.signal]);
    this.broken();
  }

  /** Something has come: the time begins again. */
  broken(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () =>
        this.#controller.abort(
          new UserError(`cannot GET ${this.#url}: the server has been silent for ${this.#ms / 1000} s`),
        ),
      this.#ms,
    );
  }

  /** Nothing is awaited any more. */
  end(): void {
    clearTimeout(this.#timer);
  }
}
