import { describe, expect, test } from 'bun:test';
import { FakeApi } from '../kube/client.fake.ts';
import { ApiError } from '../kube/client.ts';
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
