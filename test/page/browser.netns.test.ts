import { expect, test } from 'bun:test';
import { noBrowser, TestBrowser } from './browser.ts';

/** What playwright gives a browser to end by itself is 30 s. */
const AT_ONCE_MS = 5000;

test.skipIf(noBrowser !== undefined)(
  `a browser ends at once, whatever its pages follow${noBrowser === undefined ? '' : ` (${noBrowser})`}`,
  async () => {
    const isFollowed = Promise.withResolvers<void>();
    using server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      idleTimeout: 0,
      fetch({ url }) {
        if (!url.endsWith('/events'))
          return new Response('<h1>follows</h1><script>new EventSource("/events")</script>', {
            headers: { 'content-type': 'text/html' },
          });
        isFollowed.resolve();
        return new Response(new ReadableStream({ pull: () => new Promise(() => {}) }), {
          headers: { 'content-type': 'text/event-stream' },
        });
      },
    });
    const browser = await TestBrowser.start([server.port!]);
    await browser.visit(server.url.href, server.url.origin);
    await isFollowed.promise;
    const began = performance.now();
    await browser[Symbol.asyncDispose]();
    expect(performance.now() - began).toBeLessThan(AT_ONCE_MS);
  },
  60_000,
);
