import { describe, expect, test } from 'bun:test';
import { FakeApi } from '../kube/client.fake.ts';
import { ApiError } from '../kube/client.ts';
import { events } from '../kube/resources.ts';
import { diagnose } from '../path/diagnose/diagnose.ts';
import { readClusterObjects } from './cluster-objects.ts';

/** An API that answers lists of one kind with an error. */
function apiThat(code: number, reason: string, plural: string): FakeApi {
  const api = new FakeApi();
  api.intercept = ({ method, path }) => {
    if (new URL(path, 'https://api').pathname.endsWith(`/${plural}`)) {
      throw new ApiError(method, path, code, { reason, message: `${plural}: ${reason}` });
    }
  };
  return api;
}

const outcome = (api: FakeApi) =>
  readClusterObjects(api).then(
    ({ unread = [] }) => unread.map(({ what }) => what),
    (error: Error) => error.message,
  );

describe('a kind of objects that the API does not list', () => {
  test.each([
    ['services', 403, 'Forbidden', ['services']],
    ['events', 403, 'Forbidden', ['events']],
    ['networkpolicies', 403, 'Forbidden', ['network policies']],
    ['networkpolicies', 404, 'NotFound', []],
    ['events', 500, 'InternalError', expect.stringContaining('events: InternalError')],
    ['nodes', 403, 'Forbidden', ['nodes']],
    ['nodes', 500, 'InternalError', expect.stringContaining('nodes: InternalError')],
    // Without these there is nothing to say.
    ['pods', 403, 'Forbidden', expect.stringContaining('pods: Forbidden')],
  ])('%s: %d %s', async (plural, code, reason, expected) => {
    expect(await outcome(apiThat(code, reason, plural))).toEqual(expected as string[]);
  });

  test('is reported as unknown', async () => {
    const objects = await readClusterObjects(apiThat(403, 'Forbidden', 'networkpolicies'));
    const { diagnosis } = diagnose({ observedAt: '', ...objects, reports: new Map(), probes: [] });
    expect(diagnosis.unknowns).toEqual([
      { kind: 'objects', what: 'network policies', why: expect.stringContaining('Forbidden') },
    ]);
  });
});

describe('events', () => {
  const reasonOf = ({ reason }: { reason?: string }) => reason ?? '';
  const tell = async (api: FakeApi, reason: string, type: string | undefined, pod = 'a') => {
    await api.create(events, {
      metadata: { generateName: 'e', namespace: 'default' },
      involvedObject: { kind: 'Pod', name: pod },
      ...{ reason, type },
    });
  };

  test('are what went wrong, and to which node a pod was assigned', async () => {
    const api = new FakeApi();
    await tell(api, 'Scheduled', 'Normal');
    await tell(api, 'Pulled', 'Normal');
    await tell(api, 'BackOff', 'Warning');
    await tell(api, 'Odd', undefined);
    const read = await readClusterObjects(api);
    expect(read.events.map(reasonOf)).toEqual(['BackOff', 'Odd', 'Scheduled']);
    expect(read.unread).toBeUndefined();
  });

  test('of pods that started and ended are not asked for: they stay for an hour, and there is no end of them', async () => {
    const api = new FakeApi();
    const listed: string[] = [];
    const fetch = api.fetch.bind(api);
    api.fetch = async (...asked) => {
      const answer = await fetch(...asked);
      if (asked[0] === 'GET') listed.push(...(await answer.clone().json()).items.map(reasonOf));
      return answer;
    };
    await tell(api, 'BackOff', 'Warning');
    for (let i = 0; i < 6; i++)
      for (const reason of ['Pulled', 'Created', 'Started', 'Killing'])
        await tell(api, reason, 'Normal', `pod-${i}`);
    await readClusterObjects(api);
    expect(listed).toEqual(['BackOff']);
  });
});
