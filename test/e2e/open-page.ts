import { waitFor } from '../../src/sys/wait.ts';
import type { Moment } from '../../src/ui/history.ts';
import { ACTION_HEADER, type UiStart } from '../../src/ui/protocol.ts';
import { untilEvent } from '../../src/ui/testing/event-stream.ts';

/** The page as a browser has it. */
export class OpenPage {
  readonly #origin: string;
  readonly #cookie: string;
  readonly start: UiStart;

  private constructor(origin: string, cookie: string, start: UiStart) {
    this.#origin = origin;
    this.#cookie = cookie;
    this.start = start;
  }

  static async open(url: string): Promise<OpenPage> {
    const { origin } = new URL(url);
    const entry = await fetch(url);
    const cookie = entry.headers.get('set-cookie')!.split(';')[0]!;
    const base = /url=(\/\w+\/)"/.exec(await entry.text())![1]!;
    const html = await (await fetch(`${origin}${base}`, { headers: { cookie } })).text();
    const data = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html)![1]!;
    return new OpenPage(origin, cookie, JSON.parse(data) as UiStart);
  }

  get(path: string): Promise<Response> {
    return fetch(`${this.#origin}${this.start.base}${path}`, { headers: { cookie: this.#cookie } });
  }

  async order(
    what: string,
    body: object,
  ): Promise<{ status: number; ok?: boolean; text: string; trace?: unknown }> {
    const answer = await fetch(`${this.#origin}${this.start.base}lab/${what}`, {
      method: 'POST',
      headers: {
        cookie: this.#cookie,
        origin: this.#origin,
        [ACTION_HEADER]: this.start.action ?? '',
      },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    const json = answer.headers.get('content-type') === 'application/json' ? JSON.parse(text) : { text };
    return { status: answer.status, ...json };
  }

  async moments(): Promise<Moment[]> {
    return (await this.get('moments')).json() as Promise<Moment[]>;
  }

  /** Follows all topics and drops what comes, as an open page that nobody looks at, until the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    const reader = (await this.get('events')).body!.getReader();
    signal.addEventListener('abort', () => void reader.cancel(), { once: true });
    while (!signal.aborted) {
      const { done } = await reader.read();
      if (done && !signal.aborted) throw new Error('the live page ended a connection');
    }
  }

  /** Waits for a newest moment that fits. */
  untilNow(what: string, fits: (moment: Moment) => boolean): Promise<Moment> {
    return waitFor(
      what,
      async () => {
        const last = (await this.moments()).at(-1);
        return last !== undefined && fits(last) ? last : undefined;
      },
      { timeoutMs: 60_000, intervalMs: 100 },
    );
  }

  /** Follows a topic until a value of it fits. */
  async until<T>(topic: string, fits: (value: T) => boolean): Promise<T> {
    return untilEvent(await this.get('events'), topic, fits);
  }
}
