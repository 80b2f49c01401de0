import { afterEach, beforeEach, expect, test } from 'bun:test';
import { FakeCluster } from '../../collect/reader/cluster.fake.ts';
import { ApiError } from '../../kube/client.ts';
import { namespaces } from '../../kube/resources.ts';
import { diagnose } from '../../path/diagnose/diagnose.ts';
import { smallWorld } from '../../path/testing/small-world.ts';
import { clusterHealing, type HealClusterOptions } from './heal-cluster.ts';

const signal = new AbortController().signal;

let cluster: FakeCluster;
let warnings: string[];
let server: ReturnType<typeof Bun.serve>;
beforeEach(() => {
  cluster = new FakeCluster();
  warnings = [];
  server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      const body = request.body === null ? undefined : await request.json();
      try {
        return await cluster.fetch(request.method, `${pathname}${search}`, body, {}, request.signal);
      } catch (cause) {
        if (!(cause instanceof ApiError)) throw cause;
        const { code, reason, message } = cause;
        return Response.json({ kind: 'Status', code, reason, message }, { status: code });
      }
    },
  });
});
afterEach(() => server.stop(true));

const healing = (options: HealClusterOptions = {}) =>
  clusterHealing(
    {
      access: { server: server.url.origin, userAgent: 'test', proxy: false },
      title: 'a cluster',
      lab: undefined,
    },
    options,
    (line) => warnings.push(line),
  );

test('a node to be undone that the cluster does not have is an error before anything is created', async () => {
  await cluster.addNode('n1');
  const work = healing().withUndo(['n9'], signal, async (_, nodes) => nodes);
  await expect(work).rejects.toThrow(
    'cannot examine the node: node "n9" not found in the cluster; did you mean n1? The nodes are n1',
  );
  expect(
    cluster.requests.filter(({ method, path }) => method === 'POST' && /namespaces$|pods$/.test(path)),
  ).toEqual([]);
});

const world = smallWorld([]);
const first = { world, diagnosed: diagnose(world) };

test('Events that cannot be written are a warning', async () => {
  const { fetch } = cluster;
  cluster.fetch = async (method, path, body, ...rest) => {
    const asked = JSON.stringify(body ?? '');
    if (asked.includes('"verb":"create"') && asked.includes('"resource":"events"'))
      throw new ApiError(method, path, 400, { reason: 'BadRequest', message: 'not today' });
    return fetch.call(cluster, method, path, body, ...rest);
  };
  const outcome = await healing().heal(first, { restart: false, signal });
  expect(warnings).toEqual([expect.stringMatching(/^no Events are written: .*not today/)]);
  expect(outcome.after).toBeDefined();
});

test('what was done is reported when the last observation fails', async () => {
  cluster.denied.add('list nodes');
  const outcome = await healing().heal(first, { restart: false, signal });
  expect(outcome).toMatchObject({ healed: [], rounds: 0, stopped: { undone: [] } });
  expect(String(outcome.error)).toContain('you may not list nodes');
  expect(outcome.after).toBeUndefined();
});

test('looking twice does not wait until the first namespace is gone, and the end waits for both', async () => {
  // Pods that do not start are removed as others are.
  await cluster.addNode('n1', 'cannot-pull');
  cluster.holdsNamespaces = true;
  const healed = healing({ image: 'busybox' });
  await healed.observe(signal);
  await healed.observe(signal);
  const left = async () => (await cluster.list(namespaces)).items.length;
  expect(await left()).toBe(2);
  const end = healed[Symbol.asyncDispose]().then(left);
  await cluster.releaseNamespaces();
  expect(await end).toBe(0);
  expect(warnings).toEqual([]);
});

test('a build whose image is in no registry creates nothing and says what to give', async () => {
  await cluster.addNode('n1');
  await expect(healing().observe(signal)).rejects.toThrow(
    /^cannot examine the nodes: their pods cannot start, because image hostport\.invalid\/\S+ is in no registry .*--image busybox/,
  );
  expect(
    cluster.requests.some(({ method, path }) => method === 'POST' && /namespaces$|pods$/.test(path)),
  ).toBe(false);
});
