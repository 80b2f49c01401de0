import { afterAll, beforeAll, expect, test } from 'bun:test';
import { Recorder } from '../../kube/testing/recorder.ts';

let recorder: Recorder;
beforeAll(async () => {
  recorder = await Recorder.start();
});
afterAll(() => recorder[Symbol.asyncDispose]());

const PROBE = `
  import { probeRunner } from ${JSON.stringify(`${import.meta.dir}/probes.ts`)};
  console.log((await probeRunner({})({ httpGet, timeoutSeconds: 10 }, target)).outcome);`;
const HOOK = `
  import { runHook } from ${JSON.stringify(`${import.meta.dir}/hooks.ts`)};
  console.log((await runHook({ httpGet }, target, {}, {}, AbortSignal.timeout(10_000))) ?? 'success');`;

test.each([
  ['probe', 'HTTP', PROBE],
  ['probe', 'HTTPS', PROBE],
  ['hook', 'HTTP', HOOK],
  ['hook', 'HTTPS', HOOK],
])('a %s by %s goes to the pod, not to the proxy of the environment', async (_, scheme, script) => {
  const proxy = `http://127.0.0.1:${recorder.port('http')}`;
  const httpGet = { scheme, port: recorder.port(scheme === 'HTTP' ? 'plain' : 'server'), path: '/x' };
  const given = `
    const httpGet = ${JSON.stringify(httpGet)};
    const target = { container: { name: 'c' }, containerId: 'c', podIp: '127.0.0.1' };`;
  // A process of its own: the environment belongs to the whole process.
  const child = Bun.spawn([process.execPath, '-e', given + script], {
    env: {
      PATH: process.env.PATH,
      HTTP_PROXY: proxy,
      http_proxy: proxy,
      HTTPS_PROXY: proxy,
      https_proxy: proxy,
    },
    stdout: 'pipe',
    stderr: 'inherit',
  });
  expect(await new Response(child.stdout).text()).toBe('success\n');
  const { arrivals, proxied } = recorder.take();
  expect(arrivals).toMatchObject([{ method: 'GET', path: '/x' }]);
  expect(proxied).toEqual([]);
});
