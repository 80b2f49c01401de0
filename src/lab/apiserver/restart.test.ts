import { expect, test } from 'bun:test';
import { ApiClient } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import { configMaps } from '../../kube/resources.ts';
import type { ConfigMap } from '../../kube/types.ts';
import { TestEtcd } from '../etcd/test-etcd.fake.ts';
import { EtcdStorage } from './etcd-storage.ts';
import { TestServer } from './test-server.fake.ts';

test('etcd killed in the middle of writes: every acknowledged write is seen by an informer, once', async () => {
  const etcd = await TestEtcd.start();
  const server = await TestServer.start(new EtcdStorage(etcd.client()));
  const abort = new AbortController();
  try {
    const client = new ApiClient({
      server: server.url,
      ca: server.ca.certPem,
      token: 'admin',
      userAgent: 'test',
    });
    const added: string[] = [];
    const { promise: complete, resolve } = Promise.withResolvers<void>();
    let expected = Number.POSITIVE_INFINITY;
    const check = () => {
      if (added.length >= expected) resolve();
    };
    const informer = new Informer<ConfigMap>(client, configMaps, {
      namespace: 'default',
      onError: () => {},
    }).handle({
      onAdd: (object) => {
        added.push(object.metadata?.name ?? '');
        check();
      },
    });
    const running = informer.run(abort.signal);
    await informer.synced;

    const acknowledged: string[] = [];
    const write = async (name: string) => {
      // A 503 says that it may or may not have been done: asked again until the server says which.
      for (;;) {
        const answer = await server.ask('POST', '/api/v1/namespaces/default/configmaps', {
          metadata: { name },
        });
        if (answer.status === 201 || answer.body?.reason === 'AlreadyExists') break;
      }
      acknowledged.push(name);
    };
    const names = Array.from({ length: 60 }, (_, at) => `c-${String(at).padStart(2, '0')}`);
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (const [at, name] of names.entries()) if (at % 4 === writer) await write(name);
    });
    for (let round = 0; round < 3; round++) {
      const before = acknowledged.length;
      while (acknowledged.length < Math.min(before + 10, names.length)) await Bun.sleep(1);
      await etcd.kill();
      await etcd.run();
    }
    await Promise.all(writers);
    expected = names.length;
    check();
    await complete;
    expect(added.sort()).toEqual(names);
    abort.abort();
    await running;
  } finally {
    abort.abort();
    await server.stop();
    await etcd.stop();
  }
}, 60_000);

test('a server that is stopped ends its watches, and the next one resumes them', async () => {
  const etcd = await TestEtcd.start();
  const first = await TestServer.start(new EtcdStorage(etcd.client()));
  const path = '/api/v1/namespaces/default/configmaps';
  try {
    const a = await first.must('POST', path, { metadata: { name: 'a' } });
    const watching = first.events(`${path}?watch=1&resourceVersion=${a.metadata.resourceVersion}`, 99);
    await first.must('POST', path, { metadata: { name: 'b' } });
    await first.stop();
    // What has been sent before the end is not lost with it.
    expect((await watching.catch(() => [])).length).toBeLessThan(99);
    const second = await TestServer.start(new EtcdStorage(etcd.client()));
    await second.must('POST', path, { metadata: { name: 'c' } });
    expect(await second.events(`${path}?watch=1&resourceVersion=${a.metadata.resourceVersion}`, 2)).toEqual([
      'ADDED b',
      'ADDED c',
    ]);
    await second.stop();
  } finally {
    await etcd.stop();
  }
}, 30_000);

test('without etcd: not healthy, 503 for requests; all well again afterwards', async () => {
  const etcd = await TestEtcd.start();
  const server = await TestServer.start(new EtcdStorage(etcd.client(), { retryForMs: 200 }));
  try {
    await etcd.kill();
    expect((await server.ask('GET', '/livez?exclude=etcd', undefined, { user: '' })).status).toBe(200);
    const unready = await server.ask('GET', '/readyz', undefined, { user: '' });
    expect(unready.status).toBe(500);
    expect(unready.text).toContain('[-]etcd failed: reason withheld\n');
    const refused = await server.ask('GET', '/api/v1/namespaces');
    expect(refused.body).toMatchObject({ reason: 'ServiceUnavailable', code: 503 });
    expect(refused.headers.get('retry-after')).toBe('1');
    await etcd.run();
    expect((await server.ask('GET', '/api/v1/namespaces')).status).toBe(200);
    expect((await server.ask('GET', '/readyz', undefined, { user: '' })).status).toBe(200);
  } finally {
    await server.stop();
    await etcd.stop();
  }
}, 30_000);

test('a server that is started before etcd lets requests wait, and answers them when it can decide', async () => {
  const etcd = await TestEtcd.start();
  await etcd.kill();
  const starting = TestServer.start(new EtcdStorage(etcd.client()), undefined, async (early) => {
    // Not in system:masters: what it may do is in roles that have not been read yet.
    const waiting = early.ask('GET', '/api/v1/nodes', undefined, { user: 'scheduler' });
    await etcd.run();
    expect((await waiting).status).toBe(200);
  });
  const server = await starting;
  await server.stop();
  await etcd.stop();
}, 30_000);
