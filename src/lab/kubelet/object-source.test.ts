import { expect, test } from 'bun:test';
import { FakeApi } from '../../kube/client.fake.ts';
import type { Pod } from '../../kube/types.ts';
import { realClock } from '../../sys/clock.ts';
import { apiObjects } from './object-source.ts';

const HOUR_MS = 3_600_000;
const pod = (uid: string): Pod => ({
  metadata: { name: 'web', namespace: 'shop', uid },
  spec: { containers: [{ name: 'main' }] },
});

function setUp() {
  let now = Date.UTC(2026, 0, 1);
  const asked: string[] = [];
  const api = new FakeApi();
  api.postSubresource = async (_resource, _name, _namespace, _subresource, body) => {
    const { spec } = body as { spec: { boundObjectRef: { uid: string } } };
    asked.push(spec.boundObjectRef.uid);
    const expirationTimestamp = new Date(now + HOUR_MS).toISOString();
    return { status: { token: `token ${asked.length}`, expirationTimestamp } } as never;
  };
  const objects = apiObjects(api, { ...realClock, now: () => now });
  return {
    asked,
    objects,
    pass(ms: number) {
      now += ms;
    },
  };
}

test('a token is asked for once, until four fifths of its life are over, for each pod and what it is for', async () => {
  const { asked, objects, pass } = setUp();
  expect(await objects.token(pod('a'), undefined, 3600)).toBe('token 1');
  expect(await objects.token(pod('a'), undefined, 3600)).toBe('token 1');
  expect(await objects.token(pod('a'), 'vault', 3600)).toBe('token 2');
  expect(await objects.token(pod('b'), undefined, 3600)).toBe('token 3');
  pass(0.8 * HOUR_MS + 1);
  expect(await objects.token(pod('a'), undefined, 3600)).toBe('token 4');
  expect(asked).toEqual(['a', 'a', 'b', 'a']);
});

test('the tokens of a pod that is gone are forgotten, and those of others are not', async () => {
  const { asked, objects } = setUp();
  for (const uid of ['a', 'b']) await objects.token(pod(uid), undefined, 3600);
  objects.forget('a');
  for (const uid of ['a', 'b']) await objects.token(pod(uid), undefined, 3600);
  expect(asked).toEqual(['a', 'b', 'a']);
});
