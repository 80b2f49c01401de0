import { describe, expect, test } from 'bun:test';
import type { Clock } from '../sys/clock.ts';
import { FakeApi } from './client.fake.ts';
import { ApiError } from './client.ts';
import { EventRecorder, referenceTo } from './event-recorder.ts';
import { events, nodes, pods } from './resources.ts';
import type { Pod } from './types.ts';

const pod: Pod = { metadata: { name: 'echo', namespace: 'default', uid: 'u1', resourceVersion: '7' } };
const about = referenceTo(pods, pod);

function setup(host?: string) {
  let now = Date.UTC(2026, 0, 1);
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    sleep: async (ms) => {
      now += ms;
    },
  };
  const api = new FakeApi();
  const errors: unknown[] = [];
  const recorder = new EventRecorder(
    api,
    { component: 'kubelet', host },
    { onError: (error) => errors.push(error), clock },
  );
  const written = async () => {
    // flush must not use this clock's sleep, which returns at once: wait for the queue itself.
    while (!(await recorder.flush(1))) await Bun.sleep(0);
    return (await api.list(events)).items;
  };
  return { api, recorder, errors, written, advance: (ms: number) => (now += ms) };
}

describe('EventRecorder', () => {
  test('writes what kubectl describe shows', async () => {
    const { recorder, written } = setup('kind-worker');
    recorder.event(about, 'Warning', 'FailedCreatePodSandBox', 'no plugin');
    const [event] = await written();
    expect(event).toMatchObject({
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name: 'echo', namespace: 'default', uid: 'u1' },
      type: 'Warning',
      reason: 'FailedCreatePodSandBox',
      message: 'no plugin',
      source: { component: 'kubelet', host: 'kind-worker' },
      count: 1,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
    });
    expect(event!.metadata.name).toMatch(/^echo\.[0-9a-f]{16}$/);
  });

  test('a Normal event waits for its time, for a Warning, or for the end', async () => {
    for (const hurry of ['time', 'warning', 'flush'] as const) {
      const api = new FakeApi();
      const slept = Promise.withResolvers<void>();
      const clock: Clock = {
        now: () => 0,
        monotonic: () => 0,
        sleep: async (_, signal) => {
          const aborted = new Promise((_, reject) =>
            signal!.addEventListener('abort', () => reject(signal!.reason)),
          );
          await Promise.race([slept.promise, aborted]);
        },
      };
      const onError = (error: unknown) => {
        throw error;
      };
      const recorder = new EventRecorder(api, { component: 'kubelet' }, { onError, clock, patienceMs: 1000 });
      recorder.event(about, 'Normal', 'Pulling', 'image');
      await Bun.sleep(0);
      expect((await api.list(events)).items).toEqual([]);
      if (hurry === 'time') slept.resolve();
      if (hurry === 'warning') recorder.event(about, 'Warning', 'Failed', 'no image');
      const expected = hurry === 'warning' ? ['Pulling', 'Failed'] : ['Pulling'];
      if (hurry === 'flush') void recorder.flush();
      while ((await api.list(events)).items.length < expected.length) await Bun.sleep(0);
      expect((await api.list(events)).items.map(({ reason }) => reason)).toEqual(expected);
    }
  });

  test('the same again counts up', async () => {
    const { recorder, written, advance, api } = setup();
    for (let i = 0; i < 3; i++) {
      recorder.event(about, 'Normal', 'Pulling', 'image');
      advance(60_000);
    }
    const all = await written();
    expect(all).toHaveLength(1);
    expect(all[0]).toMatchObject({
      count: 3,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:02:00Z',
    });
    expect(api.requests.filter((r) => r.method === 'PATCH')).toHaveLength(2);
  });

  test('an expired event is created again and keeps the count', async () => {
    const { recorder, written, api } = setup();
    recorder.event(about, 'Normal', 'Pulling', 'image');
    const [first] = await written();
    await api.delete(events, first!.metadata.name!, 'default');
    recorder.event(about, 'Normal', 'Pulling', 'image');
    const after = await written();
    expect(after).toHaveLength(1);
    expect(after[0]!.count).toBe(2);
  });

  test.each([
    ['another message', about, 'Normal', 'Pulling', 'other'],
    ['another reason', about, 'Normal', 'Pulled', 'image'],
    ['another type', about, 'Warning', 'Pulling', 'image'],
    ['another object', { ...about, uid: 'u2' }, 'Normal', 'Pulling', 'image'],
  ] as const)('%s is another event', async (_, object, type, reason, message) => {
    const { recorder, written } = setup();
    recorder.event(about, 'Normal', 'Pulling', 'image');
    recorder.event(object, type, reason, message);
    expect(await written()).toHaveLength(2);
  });

  test('more than ten different messages of a reason are combined', async () => {
    const { recorder, written } = setup();
    for (let i = 0; i < 14; i++) recorder.event(about, 'Warning', 'Failed', `try ${i}`);
    const all = await written();
    expect(all).toHaveLength(11);
    expect(all.at(-1)).toMatchObject({ count: 4, message: '(combined from similar events): try 13' });
  });

  test('an object that does not stop is cut short, and heard again later', async () => {
    const { recorder, written, advance } = setup();
    for (let i = 0; i < 40; i++) recorder.event(about, 'Normal', 'Again', 'and again');
    expect((await written())[0]!.count).toBe(25);
    recorder.event({ ...about, uid: 'other' }, 'Normal', 'Again', 'and again');
    expect(await written()).toHaveLength(2);
    advance(600_000);
    for (let i = 0; i < 5; i++) recorder.event(about, 'Normal', 'Again', 'and again');
    expect((await written())[0]!.count).toBe(27);
  });

  test('a cluster-scoped object has its events in the default namespace', async () => {
    const { recorder, written } = setup();
    recorder.event(referenceTo(nodes, { metadata: { name: 'n' } }), 'Normal', 'RegisteredNode', 'm');
    expect((await written())[0]!.metadata.namespace).toBe('default');
  });

  test('waits for a server that is away, and keeps the order', async () => {
    const { recorder, written, api, errors } = setup();
    let refusals = 3;
    api.intercept = () => {
      if (refusals-- > 0) throw new Error('connection refused');
    };
    recorder.event(about, 'Normal', 'First', 'm');
    recorder.event(about, 'Normal', 'Second', 'm');
    expect((await written()).map((event) => event.reason)).toEqual(['First', 'Second']);
    expect(errors).toEqual([]);
  });

  test('what the server refuses is reported once and does not hold up the rest', async () => {
    const { recorder, written, api, errors } = setup();
    api.intercept = (request) => {
      if ((request.body as { reason?: string } | undefined)?.reason !== 'Bad') return;
      throw new ApiError('POST', request.path, 403, { reason: 'Forbidden', message: 'namespace is ending' });
    };
    recorder.event(about, 'Normal', 'Bad', 'm');
    recorder.event(about, 'Normal', 'Good', 'm');
    expect((await written()).map((event) => event.reason)).toEqual(['Good']);
    expect(String(errors)).toContain('event Bad of Pod echo is lost');
  });

  test('the queue is bounded and says what it dropped', async () => {
    const { recorder, written, errors } = setup();
    for (let i = 0; i < 1100; i++) recorder.event({ ...about, uid: `u${i}` }, 'Normal', 'Many', 'm');
    // The first leaves the queue at once; a thousand wait; the rest is dropped.
    expect(await written()).toHaveLength(1001);
    expect(String(errors)).toContain('99 events dropped');
  });
});
