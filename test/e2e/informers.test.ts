import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { CoreV1Api, KubeConfig, makeInformer, type V1ConfigMap, Watch } from '@kubernetes/client-node';
import { ApiClient, ApiError, hasReason } from '../../src/kube/client.ts';
import { Informer } from '../../src/kube/informer.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { configMaps } from '../../src/kube/resources.ts';
import { eventually } from './eventually.ts';
import { Lab, labMissing } from './lab.ts';
import { pidIn, pidsIn } from './node-view.ts';

const missing = labMissing();
const COUNT = 200;
/** How many are written at the same time: each kill finds some of them under way. */
const WRITERS = 4;
/** After how many creations, and deletions, the API server is killed. */
const KILLS = { create: [30, 80, 130, 180], delete: [50, 150] };
const PATH = '/api/v1/namespaces/default/configmaps';
const SELECTOR = 'test=informers';

/** What one observer saw of each name, in order. */
class Diary {
  readonly #seen = new Map<string, string[]>();

  tell(name: string | undefined, what: string): void {
    const list = this.#seen.get(name ?? '') ?? [];
    list.push(what);
    this.#seen.set(name ?? '', list);
  }

  count(what: string): number {
    return [...this.#seen.values()].flat().filter((each) => each === what).length;
  }

  toJSON(): Record<string, string[]> {
    return Object.fromEntries([...this.#seen].sort());
  }
}

describe.skipIf(missing !== undefined)(`informers${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('informers');
  const node = 'informers-control-plane';
  const killed = new Set<number>();
  const names = Array.from({ length: COUNT }, (_, index) => `seen-${index}`);
  beforeAll(async () => {
    await lab.must('create', 'cluster', '--name', lab.name);
  });
  afterAll(() => lab.delete());

  test('nothing is missed and nothing reported twice while the API server is killed again and again', async () => {
    const client = new ApiClient({
      ...(await loadKubeconfig(lab.env.KUBECONFIG!)),
      userAgent: 'informers-test',
    });
    const stop = new AbortController();
    const diaries = { informer: new Diary(), watch: new Diary(), own: new Diary() };
    const config = new KubeConfig();
    config.loadFromFile(lab.env.KUBECONFIG!);
    const informer = observe(config, diaries.informer, stop.signal);
    await informer.start();
    const watching = follow(config, diaries.watch, stop.signal);
    const own = new Informer(client, configMaps, {
      namespace: 'default',
      labelSelector: SELECTOR,
      onError: () => undefined,
    }).handle({
      onAdd: ({ metadata }) => diaries.own.tell(metadata?.name, 'add'),
      onUpdate: ({ metadata }) => diaries.own.tell(metadata?.name, 'update'),
      onDelete: ({ metadata }) => diaries.own.tell(metadata?.name, 'delete'),
    });
    const running = own.run(stop.signal);
    await own.synced;

    try {
      await inTurn(KILLS.create, (name) =>
        persist('AlreadyExists', () =>
          client.create(configMaps, {
            metadata: { name, namespace: 'default', labels: { test: 'informers' } },
          }),
        ),
      );
      for (const [who, diary] of Object.entries(diaries)) {
        await eventually(`the ${who} to have heard of all`, () => diary.count('add') >= COUNT);
      }
      await inTurn(KILLS.delete, (name) =>
        persist('NotFound', () => client.delete(configMaps, name, 'default')),
      );
      for (const [who, diary] of Object.entries(diaries)) {
        await eventually(`the ${who} to have heard of every end`, () => diary.count('delete') >= COUNT);
      }
    } finally {
      stop.abort();
      await informer.stop();
      await Promise.all([watching, running]);
    }
    expect(killed.size).toBe(KILLS.create.length + KILLS.delete.length);
    const wanted = Object.fromEntries([...names].sort().map((name) => [name, ['add', 'delete']]));
    for (const diary of Object.values(diaries)) expect(diary.toJSON()).toEqual(wanted);
    expect(informer.list()).toEqual([]);
    expect(own.list()).toEqual([]);
  });

  /** Does `write` for every name, several at a time, and kills the API server when so many have begun. */
  async function inTurn(kills: readonly number[], write: (name: string) => Promise<void>): Promise<void> {
    let next = 0;
    const writer = async () => {
      while (next < names.length) {
        const index = next++;
        if (kills.includes(index)) {
          await eventually('an API server to kill', () => pidsIn(lab, node, 'kube-apiserver').length === 1);
          const pid = pidIn(lab, node, 'kube-apiserver');
          process.kill(pid, 'SIGKILL');
          killed.add(pid);
        }
        await write(names[index]!);
      }
    };
    await Promise.all(Array.from({ length: WRITERS }, writer));
  }
});

/** Repeats a write until it is done. A write whose answer got lost may be done already: the API then answers with reason `done`. */
async function persist(done: string, write: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      await write();
      return;
    } catch (error) {
      if (hasReason(error, done)) return;
      // A server that is there must not refuse what it accepts otherwise.
      const refused = error instanceof ApiError && error.code < 500;
      if (refused || Date.now() > deadline) throw error;
      await Bun.sleep(20);
    }
  }
}

/** The client library's informer, started again after errors as its documentation shows. */
function observe(config: KubeConfig, diary: Diary, signal: AbortSignal) {
  const api = config.makeApiClient(CoreV1Api);
  const list = () => api.listNamespacedConfigMap({ namespace: 'default', labelSelector: SELECTOR });
  const informer = makeInformer<V1ConfigMap>(config, PATH, list, SELECTOR);
  informer.on('add', ({ metadata }) => diary.tell(metadata?.name, 'add'));
  informer.on('update', ({ metadata }) => diary.tell(metadata?.name, 'update'));
  informer.on('delete', ({ metadata }) => diary.tell(metadata?.name, 'delete'));
  informer.on('error', () => {
    setTimeout(() => {
      if (!signal.aborted) void informer.start();
    }, 50);
  });
  return informer;
}

/** The client library's bare watch, resumed after the last event: whatever the server repeats would be in the diary twice. */
async function follow(config: KubeConfig, diary: Diary, signal: AbortSignal): Promise<void> {
  const watch = new Watch(config);
  const reported = { ADDED: 'add', MODIFIED: 'update', DELETED: 'delete' } as Record<string, string>;
  const list = await config
    .makeApiClient(CoreV1Api)
    .listNamespacedConfigMap({ namespace: 'default', labelSelector: SELECTOR });
  let resourceVersion = list.metadata?.resourceVersion;
  while (!signal.aborted) {
    const ended = Promise.withResolvers<void>();
    const request = await watch.watch(
      PATH,
      { resourceVersion, labelSelector: SELECTOR },
      (type: string, object: V1ConfigMap) => {
        diary.tell(object.metadata?.name, reported[type] ?? `${type} ${JSON.stringify(object)}`);
        resourceVersion = object.metadata?.resourceVersion ?? resourceVersion;
      },
      () => ended.resolve(),
    );
    const abort = () => request.abort();
    signal.addEventListener('abort', abort, { once: true });
    await ended.promise;
    signal.removeEventListener('abort', abort);
    if (!signal.aborted) await Bun.sleep(50);
  }
}
