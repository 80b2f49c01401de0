import { expect, test } from 'bun:test';
import type { Runtime } from '../../cri/runtime.ts';
import { realClock } from '../../sys/clock.ts';
import { runHook } from './hooks.ts';

test('a hook by HTTP has run whatever the pod answers, and a redirect is not followed', async () => {
  const asked: string[] = [];
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      asked.push(pathname);
      if (pathname === '/away')
        return new Response(null, { status: 302, headers: { location: '/elsewhere' } });
      return new Response('no', { status: 500 });
    },
  });
  try {
    const target = { container: { name: 'c' }, containerId: 'c', podIp: '127.0.0.1' };
    for (const path of ['/away', '/wrong']) {
      const httpGet = { port: server.port!, path };
      const signal = AbortSignal.timeout(10_000);
      expect(await runHook({ httpGet }, target, {} as Runtime, realClock, signal)).toBeUndefined();
    }
    expect(asked).toEqual(['/away', '/wrong']);
  } finally {
    await server.stop(true);
  }
});
