import { beforeEach, expect, test } from 'bun:test';
import { ApiError } from '../../kube/client.ts';
import { namespaces, pods } from '../../kube/resources.ts';
import { FakeCluster, quietOptions } from './cluster.fake.ts';
import { type Readers, withReaders } from './collect.ts';
import { Removals } from './removals.ts';

let cluster: FakeCluster;
let removals: Removals;
let warnings: string[];
beforeEach(async () => {
  cluster = new FakeCluster();
  removals = new Removals();
  warnings = [];
  await cluster.addNode('n1');
});

function run<T>(
  use: (readers: Readers) => Promise<T>,
  signal = new AbortController().signal,
  workNamespace?: string,
): Promise<T> {
  const options = quietOptions({
    changes: { lastMs: 0 },
    warn: (line) => warnings.push(line),
    removals,
    signal,
    ...(workNamespace !== undefined && { workNamespace }),
  });
  return withReaders(cluster, options, (_, readers) => use(readers!), cluster.open);
}

async function names(): Promise<string[]> {
  return (await cluster.list(namespaces)).items.map(({ metadata }) => metadata?.name ?? '');
}

async function left(): Promise<string[]> {
  const found = (await cluster.list(pods)).items.map(({ metadata }) => metadata?.name ?? '');
  return [...(await names()), ...found];
}

/** Whether a promise is settled once everything that does not wait for time has happened. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  void promise.then(settle, settle);
  await new Promise((resolve) => setTimeout(resolve, 20));
  return settled;
}

test('the next run begins while the namespace of the last is still there, and at the end all are gone', async () => {
  cluster.holdsNamespaces = true;
  const [first] = await run(names);
  const during = await run(names);
  expect(during).toHaveLength(2);
  expect(during).toContain(first!);
  const end = removals[Symbol.asyncDispose]();
  expect(await isSettled(end)).toBe(false);
  await cluster.releaseNamespaces();
  await end;
  expect(await left()).toEqual([]);
  expect({ warnings, isUnderWay: removals.isUnderWay }).toEqual({ warnings: [], isUnderWay: false });
});

test.each([
  { where: 'a namespace of its own', workNamespace: undefined },
  { where: 'an existing namespace', workNamespace: 'work' },
])(
  'no node gets a pod of the next run before that of the last is gone: $where',
  async ({ workNamespace }) => {
    if (workNamespace !== undefined) await cluster.create(namespaces, { metadata: { name: workNamespace } });
    cluster.unreachable.add('n1');
    const signal = new AbortController().signal;
    await run(async () => {}, signal, workNamespace);
    const before = await left();
    const next = run(left, signal, workNamespace);
    expect(await isSettled(next)).toBe(false);
    expect(await left()).toEqual(before);
    await cluster.reach('n1');
    const during = await next;
    expect(during.filter((name) => name.startsWith('doctor-'))).toHaveLength(1);
    await removals[Symbol.asyncDispose]();
    expect(await left()).toEqual(workNamespace === undefined ? [] : [workNamespace]);
  },
);

test('an interruption while the next run waits for those pods creates nothing more, and all is removed', async () => {
  cluster.unreachable.add('n1');
  await run(async () => {});
  const before = await left();
  const stop = new AbortController();
  const next = run(async () => {}, stop.signal);
  expect(await isSettled(next)).toBe(false);
  stop.abort(new Error('interrupted'));
  await expect(next).rejects.toThrow('interrupted');
  expect(await left()).toEqual(before);
  await cluster.reach('n1');
  await removals[Symbol.asyncDispose]();
  expect(await left()).toEqual([]);
});

test('what fails or is interrupted is removed as well, while its error is thrown at once', async () => {
  cluster.holdsNamespaces = true;
  const failing = run(async () => {
    throw new Error('it broke');
  });
  await expect(failing).rejects.toThrow('it broke');
  expect(await names()).toHaveLength(1);
  await cluster.releaseNamespaces();
  await removals[Symbol.asyncDispose]();
  expect(await left()).toEqual([]);
});

test('what cannot be removed is reported, and does not keep the rest', async () => {
  const { fetch } = cluster;
  let kept: string | undefined;
  cluster.fetch = async (method, path, ...rest) => {
    if (method === 'DELETE' && /\/namespaces\/[^/]+$/.test(path)) {
      kept ??= path;
      if (kept === path) throw new ApiError(method, path, 403, { reason: 'Forbidden', message: 'not today' });
    }
    return fetch.call(cluster, method, path, ...rest);
  };
  await run(async () => {});
  await run(async () => {});
  await removals[Symbol.asyncDispose]();
  const name = kept!.split('/').pop()!;
  expect(warnings).toEqual([
    expect.stringMatching(
      new RegExp(`^not removed: namespace ${name}: .*not today.*; its pods end by themselves by 20`),
    ),
  ]);
  expect(await left()).toEqual([name]);
});
