import { expect, test } from 'bun:test';
import { ApiClient } from '../../kube/client.ts';
import { pods } from '../../kube/resources.ts';
import { listAll } from './list-all.ts';

/** A server that gives an object at a time. */
class OneByOne extends ApiClient {
  readonly asked: Record<string, string>[] = [];

  constructor() {
    super({ server: 'https://fake.invalid', userAgent: 'fake' });
  }

  override async fetch(_: string, path: string): Promise<Response> {
    const { pathname, searchParams } = new URL(path, 'https://fake.invalid');
    const asked = { path: pathname, ...Object.fromEntries(searchParams) };
    this.asked.push(asked);
    const number = Number(searchParams.get('continue') ?? 0);
    const metadata = number < 2 ? { continue: String(number + 1) } : { continue: '' };
    return Response.json({ metadata, items: [{ metadata: { name: `p${number}` } }] });
  }
}

test('objects of all pages are there, and each page is asked for in the same way', async () => {
  const client = new OneByOne();
  const retry = { signal: new AbortController().signal, patienceMs: 0 };
  const found = await listAll(client, pods, { namespace: 'a', labelSelector: 'kind=own' }, retry);
  expect(found.map(({ metadata }) => metadata?.name)).toEqual(['p0', 'p1', 'p2']);
  const first = { path: '/api/v1/namespaces/a/pods', labelSelector: 'kind=own', limit: '500' };
  expect(client.asked).toEqual([first, { ...first, continue: '1' }, { ...first, continue: '2' }]);
});
