import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { FakeApi } from '../../../kube/client.fake.ts';
import { ApiError } from '../../../kube/client.ts';
import { MIRROR_ANNOTATION } from '../../../kube/pods.ts';
import { pods } from '../../../kube/resources.ts';
import type { Node, Pod } from '../../../kube/types.ts';
import { waitFor } from '../../../sys/wait.ts';
import { CONFIG_HASH } from '../names.ts';
import { MirrorPods } from './mirror-pods.ts';

const OWNER = { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'node-uid', controller: true };

describe('the mirror of a static pod', () => {
  let api: FakeApi;
  let node: Node | undefined;
  let known: Pod | undefined;
  let lines: string[];
  let mirrors: MirrorPods;

  const staticPod = (hash: string): Pod => ({
    metadata: { name: 'web-n1', namespace: 'default', uid: hash, annotations: { [CONFIG_HASH]: hash } },
    spec: { nodeName: 'n1', containers: [{ name: 'web', image: 'i' }] },
  });
  const stored = async () => {
    const { items } = await api.list(pods, { namespace: 'default' });
    return items[0];
  };
  const until = (what: string, condition: () => boolean | Promise<boolean>) =>
    waitFor(what, condition, { timeoutMs: 5000, describe: () => lines.join('; ') });
  const mirrorOf = async (hash: string) =>
    (await stored())?.metadata?.annotations?.[MIRROR_ANNOTATION] === hash;

  beforeEach(() => {
    api = new FakeApi();
    // As the API server does: a node asks for pods that are its own, and a pod that does not exist is nobody's.
    api.intercept = ({ method, path }) => {
      if (method === 'GET' && /\/pods\/[^/]+$/.test(path))
        throw new ApiError(method, path, 403, { reason: 'Forbidden', message: 'no relationship found' });
    };
    node = { metadata: { name: 'n1', uid: 'node-uid' } };
    known = undefined;
    lines = [];
    mirrors = new MirrorPods({
      client: api,
      node: () => node,
      present: () => known,
      log: (line) => lines.push(line),
    });
  });
  afterEach(() => mirrors.stop());

  test('is created without a look at a pod that the node may not see, and owned by the node', async () => {
    mirrors.ensure(staticPod('a'), undefined);
    await until('the mirror', () => mirrorOf('a'));
    expect((await stored())?.metadata?.ownerReferences).toEqual([OWNER]);
    expect(lines).toEqual([]);
  });

  test('waits until the node is registered', async () => {
    node = undefined;
    mirrors.ensure(staticPod('a'), undefined);
    await until('the reason', () => lines.length > 0);
    expect(lines[0]).toContain('the node is not registered yet');
    expect(await stored()).toBeUndefined();
    node = { metadata: { name: 'n1', uid: 'node-uid' } };
    await until('the mirror', () => mirrorOf('a'));
  });

  test('of an earlier definition is replaced, also when it has gone meanwhile', async () => {
    mirrors.ensure(staticPod('a'), undefined);
    await until('the mirror', () => mirrorOf('a'));
    known = await stored();
    mirrors.ensure(staticPod('b'), known);
    await until('the other mirror', () => mirrorOf('b'));
    // The first one is still what is known: deleting it again finds the second.
    mirrors.ensure(staticPod('c'), known);
    await until('the attempt', () => api.requests.filter(({ method }) => method === 'POST').length === 3);
    expect(await mirrorOf('b')).toBe(true);
    known = await stored();
    mirrors.ensure(staticPod('c'), known);
    await until('the third mirror', () => mirrorOf('c'));
    expect(lines).toEqual([]);
  });

  test('gives way to a pod of its name that is somebody else’s', async () => {
    await api.create(pods, { metadata: { name: 'web-n1', namespace: 'default' }, spec: { containers: [] } });
    mirrors.ensure(staticPod('a'), undefined);
    await until('the attempt', () => api.requests.filter(({ method }) => method === 'POST').length === 2);
    expect((await stored())?.metadata?.annotations).toBeUndefined();
    expect(lines).toEqual([]);
  });
});
