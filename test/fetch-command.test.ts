/** `hostport fetch kubernetes` as a process: on a full disk, and interrupted. Its mirror is on loopback. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeMirror } from '../src/lab/engine/kubernetes/fetch/mirror.fake.ts';

const MAIN = join(import.meta.dir, '../src/cli/main.ts');
const isRoot = process.getuid?.() === 0;
const mirror = new FakeMirror();
let cache: string;
beforeAll(() => {
  cache = mkdtempSync(join(tmpdir(), 'hostport-fetch-command-'));
  mirror.publishRelease('v1.36.1', () => Buffer.alloc(3_000_000));
});
afterAll(async () => {
  await mirror.stop();
  rmSync(cache, { recursive: true });
});

function start(before: string[] = []) {
  const words = [MAIN, 'fetch', 'kubernetes', 'v1.36.1', '--mirror', mirror.url];
  return Bun.spawn([...before, process.execPath, ...words], {
    env: { ...process.env, XDG_CACHE_HOME: cache },
    stdout: 'pipe',
    stderr: 'pipe',
  });
}

test.skipIf(!isRoot)('a full disk is one error that names the file', async () => {
  const small = ['unshare', '-m', 'sh', '-c', `mount -t tmpfs -o size=1m tmpfs ${cache} && exec "$@"`, 'sh'];
  const process = start(small);
  const said = await new Response(process.stderr).text();
  expect(said).toMatch(
    /^error: cannot write \S+\/\.fetching-v1\.36\.1\/kube-apiserver\.part: the disk is full; run this again to continue$/m,
  );
  expect(await process.exited).toBe(1);
});

test('an interrupted one leaves only what the next one continues', async () => {
  const asked = Promise.withResolvers<void>();
  mirror.answering = (request, file) => {
    if (file === undefined || !request.url.endsWith('/kube-apiserver')) return undefined;
    async function* slowly() {
      yield new Uint8Array(file!.subarray(0, 100_000));
      asked.resolve();
      await new Promise(() => {});
    }
    return new Response(slowly() as unknown as BodyInit);
  };
  const process = start();
  const kubernetes = join(cache, 'hostport/kubernetes');
  const part = join(kubernetes, '.fetching-v1.36.1/kube-apiserver.part');
  await asked.promise;
  while (statSync(part, { throwIfNoEntry: false })?.size !== 100_000) await Bun.sleep(5);
  process.kill('SIGINT');
  expect(await process.exited).toBe(130);
  expect(await new Response(process.stderr).text()).toContain('error: interrupted by SIGINT');
  expect(readdirSync(kubernetes)).toEqual(['.fetching-v1.36.1']);
  expect(readdirSync(join(kubernetes, '.fetching-v1.36.1'))).toEqual(['kube-apiserver.part']);
  expect(readdirSync(join(cache, 'hostport'))).toEqual(['kubernetes']);

  mirror.answering = () => undefined;
  mirror.seen.length = 0;
  await start().exited;
  expect(mirror.rangesOf('kube-apiserver')).toEqual(['bytes=100000-']);
});
