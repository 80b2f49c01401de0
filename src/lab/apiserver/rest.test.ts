import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { TestEtcd } from '../etcd/test-etcd.fake.ts';
import { EtcdStorage } from './etcd-storage.ts';
import { FakeStorage } from './storage.fake.ts';
import type { Storage } from './storage.ts';
import { TestServer } from './test-server.fake.ts';

const configMap = (name: string, rest: object = {}) => ({ metadata: { name }, ...rest });
const pod = (name: string, spec: object = {}, metadata: object = {}) => ({
  metadata: { name, ...metadata },
  spec: { containers: [{ name: 'main', image: 'echo' }], ...spec },
});
const deployment = (name: string) => ({
  metadata: { name },
  spec: {
    selector: { matchLabels: { run: name } },
    template: {
      metadata: { labels: { run: name } },
      spec: { containers: [{ name: 'main', image: 'echo' }] },
    },
  },
});

// The whole API over both storages: what a client sees must not depend on which it is.
describe.each(['fake', 'etcd'])('REST over %s', (which) => {
  let etcd: TestEtcd | undefined;
  let storage: Storage;
  let api: TestServer;
  let namespaces = 0;

  beforeAll(async () => {
    if (which === 'etcd') etcd = await TestEtcd.start();
    storage = etcd === undefined ? new FakeStorage() : new EtcdStorage(etcd.client());
    api = await TestServer.start(storage);
  });
  afterAll(async () => {
    await api.stop();
    await etcd?.stop();
  });

  /** A new namespace with its default account; returns the path of its core collections. */
  async function space(): Promise<{ name: string; core: string; apps: string }> {
    const name = `space-${++namespaces}`;
    await api.must('POST', '/api/v1/namespaces', { metadata: { name } });
    await api.must('POST', `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: 'default' } });
    return { name, core: `/api/v1/namespaces/${name}`, apps: `/apis/apps/v1/namespaces/${name}` };
  }

  describe('objects', () => {
    test('create gives what the server decides; a second one is AlreadyExists', async () => {
      const { core, name } = await space();
      const created = await api.must('POST', `${core}/configmaps`, configMap('a', { data: { k: 'v' } }));
      expect(created).toMatchObject({
        kind: 'ConfigMap',
        apiVersion: 'v1',
        data: { k: 'v' },
        metadata: { name: 'a', namespace: name },
      });
      expect(created.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
      expect(created.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      const again = await api.ask('POST', `${core}/configmaps`, configMap('a'));
      expect(again.status).toBe(409);
      expect(again.body).toMatchObject({
        reason: 'AlreadyExists',
        message: 'configmaps "a" already exists',
        details: { name: 'a', kind: 'configmaps' },
      });
      expect(await api.must('GET', `${core}/configmaps/a`)).toEqual(created);
    });

    test('an object without a name is refused, of whatever kind', async () => {
      const { core } = await space();
      for (const path of ['/api/v1/namespaces', '/api/v1/nodes', `${core}/configmaps`]) {
        const { status, body } = await api.ask('POST', path, { metadata: { labels: { a: null } } });
        expect([status, body.message]).toEqual([
          422,
          expect.stringContaining('metadata.name: Required value'),
        ]);
      }
    });

    test('generateName makes a name', async () => {
      const { core } = await space();
      const created = await api.must('POST', `${core}/configmaps`, { metadata: { generateName: 'x-' } });
      expect(created.metadata.name).toMatch(/^x-[a-z0-9]{5}$/);
    });

    test('resourceVersion rises with every write and an old one is a Conflict', async () => {
      const { core } = await space();
      const first = await api.must('POST', `${core}/configmaps`, configMap('a'));
      const second = await api.must('PUT', `${core}/configmaps/a`, { ...first, data: { k: '1' } });
      expect(Number(second.metadata.resourceVersion)).toBeGreaterThan(Number(first.metadata.resourceVersion));
      const late = await api.ask('PUT', `${core}/configmaps/a`, { ...first, data: { k: '2' } });
      expect(late.status).toBe(409);
      expect(late.body.message).toBe(
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again',
      );
      const unconditional = await api.must(
        'PUT',
        `${core}/configmaps/a`,
        configMap('a', { data: { k: '3' } }),
      );
      expect(unconditional.data).toEqual({ k: '3' });
      expect(unconditional.metadata.uid).toBe(first.metadata.uid!);
    });

    test('a write that changes nothing is none', async () => {
      const { core } = await space();
      const first = await api.must('POST', `${core}/configmaps`, configMap('a', { data: { k: 'v' } }));
      const same = await api.must('PUT', `${core}/configmaps/a`, first);
      expect(same.metadata.resourceVersion).toBe(first.metadata.resourceVersion!);
    });

    test('concurrent patches all count', async () => {
      const { core } = await space();
      await api.must('POST', `${core}/configmaps`, configMap('a', { data: {} }));
      const headers = { 'content-type': 'application/merge-patch+json' };
      const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
      await Promise.all(
        keys.map((key) => api.must('PATCH', `${core}/configmaps/a`, { data: { [key]: key } }, { headers })),
      );
      const after = await api.must('GET', `${core}/configmaps/a`);
      expect(Object.keys(after.data).sort()).toEqual(keys);
    });

    test.each([
      { type: 'json-patch', patch: [{ op: 'add', path: '/data/n', value: 'new' }] },
      { type: 'merge-patch', patch: { data: { n: 'new' } } },
      { type: 'strategic-merge-patch', patch: { data: { n: 'new' } } },
    ])('$type', async ({ type, patch }) => {
      const { core } = await space();
      await api.must('POST', `${core}/configmaps`, configMap('a', { data: { k: 'v' } }));
      const headers = { 'content-type': `application/${type}+json` };
      const after = await api.must('PATCH', `${core}/configmaps/a`, patch, { headers });
      expect(after.data).toEqual({ k: 'v', n: 'new' });
    });

    test('generation counts changes of spec only; status is written through its subresource only', async () => {
      const { apps } = await space();
      const created = await api.must('POST', `${apps}/deployments`, {
        ...deployment('d'),
        status: { replicas: 9 },
      });
      expect(created.metadata.generation).toBe(1);
      expect(created.status).toEqual({});
      const labelled = {
        ...created,
        metadata: { ...created.metadata, labels: { a: 'b' } },
        status: { replicas: 7 },
      };
      const second = await api.must('PUT', `${apps}/deployments/d`, labelled);
      expect(second).toMatchObject({ metadata: { generation: 1, labels: { a: 'b' } }, status: {} });
      const third = await api.must('PUT', `${apps}/deployments/d/status`, {
        ...second,
        spec: { ...second.spec, replicas: 5 },
        status: { replicas: 3 },
      });
      expect(third).toMatchObject({
        metadata: { generation: 1 },
        spec: { replicas: 1 },
        status: { replicas: 3 },
      });
      const fourth = await api.must('PUT', `${apps}/deployments/d`, {
        ...third,
        spec: { ...third.spec, replicas: 2 },
      });
      expect(fourth).toMatchObject({
        metadata: { generation: 2 },
        spec: { replicas: 2 },
        status: { replicas: 3 },
      });
    });

    test('extensions/v1beta1 Deployments are the same objects', async () => {
      const { apps, name } = await space();
      const old = `/apis/extensions/v1beta1/namespaces/${name}/deployments`;
      const created = await api.must('POST', old, deployment('d'));
      expect(created.apiVersion).toBe('extensions/v1beta1');
      const modern = await api.must('GET', `${apps}/deployments/d`);
      expect(modern).toMatchObject({ apiVersion: 'apps/v1', metadata: { uid: created.metadata.uid! } });
      expect(await api.events(`${old}?watch=1&resourceVersion=0`, 1)).toEqual(['ADDED d']);
    });

    test('dry run writes nothing', async () => {
      const { core } = await space();
      const dry = await api.must('POST', `${core}/configmaps?dryRun=All`, configMap('a'));
      expect(dry.metadata.uid).toBeDefined();
      expect((await api.ask('GET', `${core}/configmaps/a`)).status).toBe(404);
      await api.must('POST', `${core}/configmaps`, configMap('a'));
      await api.must('DELETE', `${core}/configmaps/a?dryRun=All`);
      await api.must('GET', `${core}/configmaps/a`);
    });

    test('the protobuf body of a kubectl that sends them', async () => {
      const { apps } = await space();
      // `kubectl create deployment d --image=x --replicas=2 --port=80`, version 1.33, as it was on the wire.
      const body = Buffer.from(
        'azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50EqcBChsKAWQSABoAIgAqADIAOABCAFoICgNhcHASAWQSeggCEgoKCAoDYXBwEgFkGmIKGgoA' +
          'EgAaACIAKgAyADgAQgBaCAoDYXBwEgFkEkQSJgoBeBIBeCoAMgoKABAAGFAiACoAQgBqAHIAgAEAiAEAkAEAogEAGgAyAEIASgBSAFgAYABo' +
          'AIIBAIoBAJoBAMIBACICCgAoADgAGgwIABAAGAAgACgAOAAaACIA',
        'base64',
      );
      const headers = {
        'content-type': 'application/vnd.kubernetes.protobuf',
        accept: 'application/vnd.kubernetes.protobuf,application/json',
      };
      const answer = await api.ask('POST', `${apps}/deployments?fieldValidation=Strict`, body, { headers });
      expect(answer.status).toBe(201);
      expect(answer.body.spec).toMatchObject({
        replicas: 2,
        selector: { matchLabels: { app: 'd' } },
        template: {
          spec: { containers: [{ name: 'x', image: 'x', ports: [{ containerPort: 80, protocol: 'TCP' }] }] },
        },
      });
      expect(answer.body.spec.template.spec.containers[0].ports[0].hostPort).toBeUndefined();
    });

    test('YAML bodies are taken, and answered when asked for', async () => {
      const { core } = await space();
      const answer = await api.ask('POST', `${core}/configmaps`, 'metadata:\n  name: y\ndata:\n  k: v\n', {
        headers: { 'content-type': 'application/yaml', accept: 'application/yaml' },
      });
      expect(answer.status).toBe(201);
      expect(answer.headers.get('content-type')).toBe('application/yaml');
      expect(answer.text).toContain('kind: ConfigMap\n');
    });

    test('stringData becomes data; null is what is not there', async () => {
      const { core } = await space();
      const secret = {
        metadata: { name: 's', creationTimestamp: null },
        stringData: { k: 'plain' },
        data: { o: 'b2xk' },
      };
      const created = await api.must('POST', `${core}/secrets`, secret);
      expect(created.data).toEqual({ k: 'cGxhaW4=', o: 'b2xk' });
      expect(created.stringData).toBeUndefined();
    });
  });

  describe('refusals', () => {
    type Case = {
      name: string;
      ask: [string, string, unknown?, Record<string, string>?];
      status: number;
      reason: string;
      message: string;
    };
    const base = '/api/v1/namespaces/default';
    const refusals: Case[] = [
      {
        name: 'an object that is not there',
        ask: ['GET', `${base}/pods/no`],
        status: 404,
        reason: 'NotFound',
        message: 'pods "no" not found',
      },
      {
        name: 'a resource that is not served',
        ask: ['GET', `${base}/nopes`],
        status: 404,
        reason: 'NotFound',
        message: 'the server could not find the requested resource',
      },
      {
        name: 'a subresource that is not served',
        ask: ['GET', `${base}/pods/a/nope`],
        status: 404,
        reason: 'NotFound',
        message: 'the server could not find the requested resource',
      },
      {
        name: 'a namespace that is not there',
        ask: ['POST', '/api/v1/namespaces/none/configmaps', configMap('a')],
        status: 404,
        reason: 'NotFound',
        message: 'namespaces "none" not found',
      },
      {
        name: 'a method that makes no sense',
        ask: ['POST', `${base}/configmaps/a`, configMap('a')],
        status: 405,
        reason: 'MethodNotAllowed',
        message: 'the server does not allow this method on the requested resource',
      },
      {
        name: 'a body that is not JSON',
        ask: ['POST', `${base}/configmaps`, '{'],
        status: 400,
        reason: 'BadRequest',
        message: "couldn't get version/kind; json parse error",
      },
      {
        name: 'another kind',
        ask: ['POST', `${base}/configmaps`, { kind: 'Pod', metadata: { name: 'a' } }],
        status: 400,
        reason: 'BadRequest',
        message: 'Pod in version "v1" cannot be handled as a ConfigMap',
      },
      {
        name: 'another version',
        ask: ['POST', `${base}/configmaps`, { apiVersion: 'v2', metadata: { name: 'a' } }],
        status: 400,
        reason: 'BadRequest',
        message: 'no kind "ConfigMap" is registered for version "v2" in scheme',
      },
      {
        name: 'another name than the URL',
        ask: ['PUT', `${base}/configmaps/a`, configMap('b')],
        status: 400,
        reason: 'BadRequest',
        message: 'the name of the object (b) does not match the name on the URL (a)',
      },
      {
        name: 'another namespace than the URL',
        ask: ['POST', `${base}/configmaps`, { metadata: { name: 'a', namespace: 'x' } }],
        status: 400,
        reason: 'BadRequest',
        message: 'the namespace of the provided object does not match the namespace sent on the request',
      },
      {
        name: 'no name',
        ask: ['POST', `${base}/configmaps`, { metadata: {} }],
        status: 422,
        reason: 'Invalid',
        message: 'metadata.name: Required value: name or generateName is required',
      },
      {
        name: 'a type that does not fit',
        ask: ['POST', `${base}/configmaps`, configMap('a', { data: { k: 1 } })],
        status: 400,
        reason: 'BadRequest',
        message: 'json: cannot unmarshal number into Go struct field ConfigMap.data of type string',
      },
      {
        name: 'an unknown field, strictly',
        ask: ['POST', `${base}/configmaps?fieldValidation=Strict`, configMap('a', { dta: {} })],
        status: 400,
        reason: 'BadRequest',
        message:
          'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dta"',
      },
      {
        name: 'a bad label selector',
        ask: ['GET', `${base}/pods?labelSelector=a%20b`],
        status: 400,
        reason: 'BadRequest',
        message: '',
      },
      {
        name: 'a field that cannot be selected by',
        ask: ['GET', `${base}/pods?fieldSelector=spec.foo%3Da`],
        status: 400,
        reason: 'BadRequest',
        message: 'spec.foo',
      },
      {
        name: 'a bad resourceVersion',
        ask: ['GET', `${base}/pods?resourceVersion=abc`],
        status: 400,
        reason: 'BadRequest',
        message: 'resourceVersion: Invalid value: "abc"',
      },
      {
        name: 'a resourceVersion of the future',
        ask: ['GET', `${base}/pods?resourceVersion=999999999`],
        status: 504,
        reason: 'Timeout',
        message: 'Too large resource version: 999999999',
      },
      {
        name: 'an invalid continue token',
        ask: ['GET', `${base}/pods?continue=nonsense`],
        status: 400,
        reason: 'BadRequest',
        message: 'continue key is not valid',
      },
      {
        name: 'a continue token of another namespace',
        ask: [
          'GET',
          `${base}/pods?continue=${Buffer.from('{"v":"meta.k8s.io/v1","rv":1,"start":"a/b"}').toString('base64url')}`,
        ],
        status: 400,
        reason: 'BadRequest',
        message: 'continue key is not valid',
      },
      {
        name: 'a server-side apply without a manager',
        ask: ['PATCH', `${base}/configmaps/a`, '{}', { 'content-type': 'application/apply-patch+yaml' }],
        status: 422,
        reason: 'Invalid',
        message:
          'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
      },
      {
        name: 'another patch that is forced',
        ask: [
          'PATCH',
          `${base}/configmaps/a?force=true`,
          '{}',
          { 'content-type': 'application/merge-patch+json' },
        ],
        status: 422,
        reason: 'Invalid',
        message: 'force: Forbidden: may not be specified for non-apply patch',
      },
      {
        name: 'an unknown patch type',
        ask: ['PATCH', `${base}/configmaps/a`, '{}', { 'content-type': 'application/x-patch' }],
        status: 415,
        reason: 'UnsupportedMediaType',
        message: '415: Unsupported Media Type',
      },
      {
        name: 'an answer in an unknown type',
        ask: ['GET', `${base}/pods`, undefined, { accept: 'image/png' }],
        status: 406,
        reason: 'NotAcceptable',
        message: '406: Not Acceptable',
      },
      {
        name: 'an invalid protobuf body',
        ask: [
          'POST',
          `${base}/configmaps`,
          'xxxx',
          { 'content-type': 'application/vnd.kubernetes.protobuf' },
        ],
        status: 400,
        reason: 'BadRequest',
        message: 'protobuf',
      },
      {
        name: 'the end of a namespace that stays',
        ask: ['DELETE', '/api/v1/namespaces/default'],
        status: 403,
        reason: 'Forbidden',
        message: 'namespaces "default" is forbidden: this namespace may not be deleted',
      },
      {
        name: 'an account that is not there',
        ask: ['POST', `${base}/pods`, pod('a', { serviceAccountName: 'no' })],
        status: 403,
        reason: 'Forbidden',
        message:
          'pods "a" is forbidden: error looking up service account default/no: serviceaccount "no" not found',
      },
      {
        name: 'an unknown dryRun',
        ask: ['POST', `${base}/configmaps?dryRun=Some`, configMap('a')],
        status: 422,
        reason: 'Invalid',
        message: 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]',
      },
      {
        name: 'exec in a pod that is not there',
        ask: ['POST', `${base}/pods/a/exec`],
        status: 404,
        reason: 'NotFound',
        message: 'pods "a" not found',
      },
      {
        name: 'a hostPort out of range',
        ask: [
          'POST',
          '/api/v1/namespaces/refusals/pods',
          pod('a', {
            containers: [{ name: 'm', image: 'i', ports: [{ containerPort: 80, hostPort: 70000 }] }],
          }),
        ],
        status: 422,
        reason: 'Invalid',
        message:
          'Pod "a" is invalid: spec.containers[0].ports[0].hostPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
      },
    ];
    beforeAll(async () => {
      await api.must('POST', '/api/v1/namespaces', { metadata: { name: 'refusals' } });
      await api.must('POST', '/api/v1/namespaces/refusals/serviceaccounts', {
        metadata: { name: 'default' },
      });
    });
    test.each(refusals)('$name', async ({ ask: [method, path, body, headers], status, reason, message }) => {
      const answer = await api.ask(method, path, body, { headers });
      expect(answer.body).toMatchObject({ kind: 'Status', status: 'Failure', reason, code: status });
      expect(answer.status).toBe(status);
      expect(answer.body.message).toContain(message);
    });

    test('a body of more than 3 MiB', async () => {
      const answer = await api.ask(
        'POST',
        `${base}/configmaps`,
        configMap('a', { data: { k: 'x'.repeat(3 << 20) } }),
      );
      expect(answer.body).toMatchObject({ reason: 'RequestEntityTooLarge', code: 413 });
    });

    test.each([
      ['with a length', (bytes: Buffer) => bytes],
      ['in chunks', (bytes: Buffer) => new Blob([new Uint8Array(bytes)]).stream()],
    ])('a body that is ten times too long, %s, is answered', async (_, sent) => {
      const response = await fetch(`${api.url}${base}/configmaps`, {
        method: 'POST',
        headers: { authorization: 'Bearer admin', 'content-type': 'application/json' },
        body: sent(Buffer.alloc(32 << 20, ' ')) as never,
        tls: { ca: api.ca.certPem },
      } as RequestInit);
      expect(response.status).toBe(413);
      expect(await response.json()).toMatchObject({ reason: 'RequestEntityTooLarge' });
    });

    test.each([
      ['application/json', '[', ']'],
      ['application/json', '{"a":', '}'],
      ['application/merge-patch+json', '{"a":', '}'],
      ['application/apply-patch+yaml', '[', ']'],
      ['application/yaml', '{a: ', '}'],
    ])('a megabyte of brackets as %s, %s', async (type, open, close) => {
      const depth = Math.floor((1 << 20) / (open.length + close.length));
      const text = open.repeat(depth) + close.repeat(depth);
      const method = type.includes('patch') ? 'PATCH' : 'POST';
      const path = method === 'PATCH' ? `${base}/configmaps/a?fieldManager=x` : `${base}/configmaps`;
      const answer = await api.ask(method, path, text, { headers: { 'content-type': type } });
      expect(answer.body).toMatchObject({ reason: 'BadRequest', code: 400 });
      expect(answer.body.message).toContain('nested deeper than 1000 levels');
    });

    test('a page of another origin changes nothing, and gets no answer that it may read', async () => {
      const { core } = await space();
      const headers = { origin: 'https://attacker.example', 'content-type': 'text/plain' };
      for (const method of ['GET', 'POST', 'OPTIONS']) {
        const body = method === 'POST' ? configMap('a') : undefined;
        const answer = await api.ask(method, `${core}/configmaps`, body, { user: '', headers });
        expect([method, answer.status]).toEqual([method, 403]);
        expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([]);
      }
    });

    test('brackets in strings are no nesting', async () => {
      const { core } = await space();
      const data = { k: '[{"\\'.repeat(2000) };
      const made = await api.must('POST', `${core}/configmaps`, configMap('brackets', { data }));
      expect(made).toMatchObject({ data });
    });

    test('unknown fields are warned of and dropped', async () => {
      const { core } = await space();
      const answer = await api.ask('POST', `${core}/configmaps`, configMap('a', { dta: {} }));
      expect(answer.status).toBe(201);
      expect(answer.headers.get('warning')).toBe('299 - "unknown field \\"dta\\""');
      expect(answer.body.dta).toBeUndefined();
      const silent = await api.ask(
        'POST',
        `${core}/configmaps?fieldValidation=Ignore`,
        configMap('b', { dta: {} }),
      );
      expect(silent.headers.get('warning')).toBeNull();
    });
  });

  describe('lists', () => {
    test('pages are of one revision, whatever happens in between', async () => {
      const { core } = await space();
      for (const name of ['a', 'b', 'c', 'd', 'e'])
        await api.must('POST', `${core}/configmaps`, configMap(name));
      const first = (await api.ask('GET', `${core}/configmaps?limit=2`)).body;
      expect(first).toMatchObject({
        kind: 'ConfigMapList',
        apiVersion: 'v1',
        metadata: { remainingItemCount: 3 },
      });
      await api.must('DELETE', `${core}/configmaps/c`);
      await api.must('POST', `${core}/configmaps`, configMap('cc'));
      const names: string[] = first.items.map((item: { metadata: { name: string } }) => item.metadata.name);
      for (let token: string = first.metadata.continue; token; ) {
        const page = (await api.ask('GET', `${core}/configmaps?limit=2&continue=${token}`)).body;
        expect(page.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
        names.push(...page.items.map((item: { metadata: { name: string } }) => item.metadata.name));
        token = page.metadata.continue;
      }
      expect(names).toEqual(['a', 'b', 'c', 'd', 'e']);
    });

    test('selectors', async () => {
      const { core } = await space();
      for (const name of ['a', 'b', 'c']) {
        await api.must(
          'POST',
          `${core}/configmaps`,
          configMap(name, { metadata: { name, labels: { which: name } } }),
        );
      }
      const names = async (query: string) =>
        (
          (await api.ask('GET', `${core}/configmaps?${query}`)).body.items as { metadata: { name: string } }[]
        ).map((item) => item.metadata.name);
      expect(await names('labelSelector=which+in+(a,c)')).toEqual(['a', 'c']);
      expect(await names('fieldSelector=metadata.name%3Db')).toEqual(['b']);
      expect(await names('labelSelector=which!%3Da&limit=1')).toEqual(['b']);
    });

    test('an expired continue token says so and offers another', async () => {
      const { core } = await space();
      for (const name of ['a', 'b', 'c']) await api.must('POST', `${core}/configmaps`, configMap(name));
      const first = (await api.ask('GET', `${core}/configmaps?limit=1`)).body;
      const last = await api.must('POST', `${core}/configmaps`, configMap('d'));
      await storage.compact(Number(last.metadata.resourceVersion));
      const late = await api.ask('GET', `${core}/configmaps?limit=1&continue=${first.metadata.continue}`);
      expect(late.body).toMatchObject({ reason: 'Expired', code: 410 });
      const rest = await api.ask('GET', `${core}/configmaps?continue=${late.body.metadata.continue}`);
      expect(rest.body.items).toHaveLength(3);
    });

    test('a Table for kubectl get, and metadata alone', async () => {
      const { core } = await space();
      await api.must('POST', `${core}/pods`, pod('p'));
      const table = await api.ask('GET', `${core}/pods`, undefined, {
        headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' },
      });
      expect(table.body).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' });
      const columns = (table.body.columnDefinitions as { name: string; priority: number }[]).filter(
        ({ priority }) => priority === 0,
      );
      expect(columns.map(({ name }) => name)).toEqual(['Name', 'Ready', 'Status', 'Restarts', 'Age']);
      expect(table.body.rows[0].cells.slice(0, 3)).toEqual(['p', '0/1', 'Pending']);
      expect(table.body.rows[0].object).toMatchObject({
        kind: 'PartialObjectMetadata',
        metadata: { name: 'p' },
      });
      const whole = await api.ask('GET', `${core}/pods/p?includeObject=Object`, undefined, {
        headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
      });
      expect(whole.body.rows[0].object).toMatchObject({ kind: 'Pod', spec: {} });
      const metadata = await api.ask('GET', `${core}/pods`, undefined, {
        headers: { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' },
      });
      expect(metadata.body.kind).toBe('PartialObjectMetadataList');
      expect(metadata.body.items[0].spec).toBeUndefined();
    });
  });

  describe('watches', () => {
    test('from a list on nothing is missed and nothing comes twice', async () => {
      const { core } = await space();
      await api.must('POST', `${core}/configmaps`, configMap('a'));
      const list = (await api.ask('GET', `${core}/configmaps`)).body;
      await api.must('POST', `${core}/configmaps`, configMap('b'));
      const watching = api.events(
        `${core}/configmaps?watch=1&resourceVersion=${list.metadata.resourceVersion}`,
        4,
      );
      await api.must('PUT', `${core}/configmaps/b`, configMap('b', { data: { k: 'v' } }));
      await api.must('DELETE', `${core}/configmaps/a`);
      await api.must('POST', `${core}/configmaps`, configMap('c'));
      expect(await watching).toEqual(['ADDED b', 'MODIFIED b', 'DELETED a', 'ADDED c']);
    });

    test('without a resourceVersion it begins with what is there', async () => {
      const { core } = await space();
      for (const name of ['a', 'b']) await api.must('POST', `${core}/configmaps`, configMap(name));
      for (const query of ['', '&resourceVersion=0']) {
        expect(await api.events(`${core}/configmaps?watch=true${query}`, 2)).toEqual(['ADDED a', 'ADDED b']);
      }
    });

    test('an object that begins to match appears, one that ceases goes', async () => {
      const { core } = await space();
      const labelled = (labels: object) => configMap('a', { metadata: { name: 'a', labels } });
      const { metadata } = (await api.ask('GET', `${core}/configmaps`)).body;
      await api.must('POST', `${core}/configmaps`, labelled({}));
      await api.must('PUT', `${core}/configmaps/a`, labelled({ on: '1' }));
      await api.must('PUT', `${core}/configmaps/a`, labelled({ on: '1', more: '2' }));
      await api.must('PUT', `${core}/configmaps/a`, labelled({}));
      const path = `${core}/configmaps?watch=1&labelSelector=on%3D1&resourceVersion=${metadata.resourceVersion}`;
      expect(await api.events(path, 3)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a']);
    });

    test('a deleted object carries the revision of its end', async () => {
      const { core } = await space();
      const created = await api.must('POST', `${core}/configmaps`, configMap('a', { data: { k: 'last' } }));
      await api.must('DELETE', `${core}/configmaps/a`);
      for await (const { type, object } of api.watch(
        `${core}/configmaps?watch=1&resourceVersion=${created.metadata.resourceVersion}`,
      )) {
        expect(type).toBe('DELETED');
        expect(object).toMatchObject({ kind: 'ConfigMap', data: { k: 'last' } });
        expect(Number(object.metadata.resourceVersion)).toBeGreaterThan(
          Number(created.metadata.resourceVersion),
        );
        break;
      }
    });

    test('bookmarks close a watch whose time is over, and end the list of one that streams it', async () => {
      const { core } = await space();
      await api.must('POST', `${core}/configmaps`, configMap('a'));
      const seen: string[] = [];
      const query =
        'watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan';
      for await (const { type, object } of api.watch(`${core}/configmaps?${query}&timeoutSeconds=1`)) {
        seen.push(
          `${type} ${object.metadata.annotations?.['k8s.io/initial-events-end'] ?? object.metadata.name ?? ''}`,
        );
        if (type === 'BOOKMARK') expect(Number(object.metadata.resourceVersion)).toBeGreaterThan(0);
      }
      expect(seen).toEqual(['ADDED a', 'BOOKMARK true', 'BOOKMARK ']);
    });

    test('as Tables', async () => {
      const { core } = await space();
      await api.must('POST', `${core}/pods`, pod('p'));
      const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
      for await (const { type, object } of api.watch(`${core}/pods?watch=1`, { accept })) {
        expect(type).toBe('ADDED');
        expect(object.kind).toBe('Table');
        expect(object.rows[0].cells.slice(0, 4)).toEqual(['p', '0/1', 'Pending', '0']);
        break;
      }
    });
  });

  describe('deletion', () => {
    test('a pod without a node goes at once; one with a node gets its grace, and goes when the kubelet says so', async () => {
      const { core } = await space();
      await api.must('POST', `${core}/pods`, pod('loose'));
      await api.must('DELETE', `${core}/pods/loose`);
      expect((await api.ask('GET', `${core}/pods/loose`)).status).toBe(404);
      await api.must('POST', `${core}/pods`, pod('bound', { nodeName: 'worker' }));
      const dying = await api.must('DELETE', `${core}/pods/bound`);
      expect(dying.metadata.deletionGracePeriodSeconds).toBe(30);
      expect(dying.metadata.deletionTimestamp).toBeDefined();
      const again = await api.must('DELETE', `${core}/pods/bound`);
      expect(again.metadata.deletionTimestamp).toBe(dying.metadata.deletionTimestamp!);
      const sooner = await api.must('DELETE', `${core}/pods/bound`, { gracePeriodSeconds: 1 });
      expect(sooner.metadata.deletionGracePeriodSeconds).toBe(1);
      await api.must('DELETE', `${core}/pods/bound`, { gracePeriodSeconds: 0 }, { user: 'worker' });
      expect((await api.ask('GET', `${core}/pods/bound`)).status).toBe(404);
    });

    test('finalizers keep an object until the last is gone', async () => {
      const { core } = await space();
      const object = configMap('f', { metadata: { name: 'f', finalizers: ['a.b/c'] } });
      await api.must('POST', `${core}/configmaps`, object);
      const dying = await api.must('DELETE', `${core}/configmaps/f`);
      expect(dying.metadata.deletionTimestamp).toBeDefined();
      await api.must(
        'PATCH',
        `${core}/configmaps/f`,
        { metadata: { finalizers: null } },
        {
          headers: { 'content-type': 'application/merge-patch+json' },
        },
      );
      expect((await api.ask('GET', `${core}/configmaps/f`)).status).toBe(404);
    });

    test.each([
      { policy: 'Orphan', finalizer: 'orphan' },
      { policy: 'Foreground', finalizer: 'foregroundDeletion' },
    ])(
      'propagationPolicy $policy leaves the rest to the garbage collector',
      async ({ policy, finalizer }) => {
        const { apps } = await space();
        await api.must('POST', `${apps}/deployments`, deployment('d'));
        const dying = await api.must('DELETE', `${apps}/deployments/d`, { propagationPolicy: policy });
        expect(dying.metadata.finalizers).toEqual([finalizer]);
      },
    );

    test('preconditions', async () => {
      const { core } = await space();
      const created = await api.must('POST', `${core}/configmaps`, configMap('a'));
      const wrong = await api.ask('DELETE', `${core}/configmaps/a`, { preconditions: { uid: 'other' } });
      expect(wrong.body).toMatchObject({ reason: 'Conflict', code: 409 });
      expect(wrong.body.message).toContain(
        `the UID in the precondition (other) does not match the UID in record (${created.metadata.uid})`,
      );
      const gone = await api.must('DELETE', `${core}/configmaps/a`, {
        preconditions: { uid: created.metadata.uid },
      });
      expect(gone).toMatchObject({
        kind: 'Status',
        status: 'Success',
        details: { name: 'a', kind: 'configmaps' },
      });
    });

    test('a collection, by selector', async () => {
      const { core } = await space();
      for (const name of ['a', 'b', 'c']) {
        await api.must('POST', `${core}/configmaps`, {
          metadata: { name, labels: { keep: name === 'b' ? 'yes' : 'no' } },
        });
      }
      await api.must('DELETE', `${core}/configmaps?labelSelector=keep%3Dno`);
      const left = (await api.ask('GET', `${core}/configmaps`)).body.items;
      expect(left).toMatchObject([{ metadata: { name: 'b' } }]);
    });

    test('a namespace takes nothing in while it ends, and ends when it is finalized', async () => {
      const { name, core } = await space();
      const dying = await api.must('DELETE', `/api/v1/namespaces/${name}`);
      expect(dying.status).toEqual({ phase: 'Terminating' });
      const refused = await api.ask('POST', `${core}/configmaps`, configMap('late'));
      expect(refused.body).toMatchObject({
        reason: 'Forbidden',
        details: { causes: [{ reason: 'NamespaceTerminating' }] },
      });
      expect(refused.body.message).toBe(
        `configmaps "late" is forbidden: unable to create new content in namespace ${name} because it is being terminated`,
      );
      await api.must('PUT', `/api/v1/namespaces/${name}/finalize`, { ...dying, spec: { finalizers: [] } });
      expect((await api.ask('GET', `/api/v1/namespaces/${name}`)).status).toBe(404);
    });
  });

  describe('subresources', () => {
    test('binding puts a pod on a node, once', async () => {
      const { core } = await space();
      await api.must('POST', `${core}/pods`, pod('p'));
      const binding = { metadata: { name: 'p' }, target: { kind: 'Node', name: 'worker' } };
      await api.must('POST', `${core}/pods/p/binding`, binding, { user: 'scheduler' });
      const bound = await api.must('GET', `${core}/pods/p`);
      expect(bound.spec.nodeName).toBe('worker');
      expect(bound.status.conditions).toMatchObject([{ type: 'PodScheduled', status: 'True' }]);
      const again = await api.ask('POST', `${core}/pods/p/binding`, binding);
      expect(again.body).toMatchObject({ reason: 'Conflict' });
      expect(again.body.message).toContain('pod p is already assigned to node "worker"');
    });

    test('eviction deletes', async () => {
      const { core } = await space();
      await api.must('POST', `${core}/pods`, pod('p'));
      await api.must('POST', `${core}/pods/p/eviction`, {
        apiVersion: 'policy/v1',
        kind: 'Eviction',
        metadata: { name: 'p' },
      });
      expect((await api.ask('GET', `${core}/pods/p`)).status).toBe(404);
    });

    test('generation of a pod: 1, then one more for each change of its spec and for its deletion', async () => {
      const { core } = await space();
      const created = await api.must('POST', `${core}/pods`, pod('p', {}, { generation: 100 }));
      expect(created.metadata.generation).toBe(1);
      const binding = { metadata: { name: 'p' }, target: { kind: 'Node', name: 'worker' } };
      await api.must('POST', `${core}/pods/p/binding`, binding);
      const headers = { 'content-type': 'application/merge-patch+json' };
      const labelled = { metadata: { labels: { a: 'b' }, generation: 7 } };
      const same = await api.must('PATCH', `${core}/pods/p`, labelled, { headers });
      expect(same.metadata.generation).toBe(1);
      const shorter = { spec: { activeDeadlineSeconds: 600 } };
      const changed = await api.must('PATCH', `${core}/pods/p`, shorter, { headers });
      expect(changed.metadata.generation).toBe(2);
      const deleted = await api.must('DELETE', `${core}/pods/p`, { gracePeriodSeconds: 60 });
      expect(deleted.metadata.generation).toBe(3);
    });

    test('tolerations that every pod has come back when an update leaves them out', async () => {
      const { core } = await space();
      const created = await api.must('POST', `${core}/pods`, pod('p'));
      const own = { key: 'k', operator: 'Exists', effect: 'NoExecute' };
      const changed = { ...created, spec: { ...created.spec, tolerations: [own] } };
      const after = await api.must('PUT', `${core}/pods/p`, changed);
      expect(after.spec.tolerations).toEqual([own, ...created.spec.tolerations]);
      expect(after.metadata.generation).toBe(2);
    });

    test('a writer of a pod’s status that knows no observedGeneration leaves it as it was', async () => {
      const { core } = await space();
      await api.must('POST', `${core}/pods`, pod('p'));
      const status = {
        observedGeneration: 1,
        conditions: [{ type: 'Ready', status: 'False', observedGeneration: 1 }],
      };
      const headers = { 'content-type': 'application/merge-patch+json' };
      await api.must('PATCH', `${core}/pods/p/status`, { status }, { headers });
      const ready = { observedGeneration: null, conditions: [{ type: 'Ready', status: 'True' }] };
      const after = await api.must('PATCH', `${core}/pods/p/status`, { status: ready }, { headers });
      expect(after.status).toMatchObject({
        observedGeneration: 1,
        conditions: [{ type: 'Ready', status: 'True', observedGeneration: 1 }],
      });
    });

    test('scale', async () => {
      const { apps } = await space();
      await api.must('POST', `${apps}/deployments`, deployment('d'));
      const scale = await api.must('GET', `${apps}/deployments/d/scale`);
      expect(scale).toMatchObject({
        kind: 'Scale',
        apiVersion: 'autoscaling/v1',
        spec: { replicas: 1 },
        status: { selector: 'run=d' },
      });
      await api.must('PUT', `${apps}/deployments/d/scale`, { ...scale, spec: { replicas: 4 } });
      const late = await api.ask('PUT', `${apps}/deployments/d/scale`, { ...scale, spec: { replicas: 2 } });
      expect(late.body.reason).toBe('Conflict');
      await api.must(
        'PATCH',
        `${apps}/deployments/d/scale`,
        { spec: { replicas: 5 } },
        {
          headers: { 'content-type': 'application/merge-patch+json' },
        },
      );
      const after = await api.must('GET', `${apps}/deployments/d`);
      expect(after).toMatchObject({ spec: { replicas: 5 }, metadata: { generation: 3 } });
    });

    test("scale of a ReplicationController, whose selector is its pods' labels", async () => {
      const { core } = await space();
      const { template } = deployment('rc').spec;
      await api.must('POST', `${core}/replicationcontrollers`, {
        metadata: { name: 'rc' },
        spec: { template },
      });
      const scale = await api.must('GET', `${core}/replicationcontrollers/rc/scale`);
      expect(scale.status.selector).toBe('run=rc');
      await api.must('PUT', `${core}/replicationcontrollers/rc/scale`, { ...scale, spec: { replicas: 3 } });
      const after = await api.must('GET', `${core}/replicationcontrollers/rc`);
      expect(after).toMatchObject({ spec: { replicas: 3 }, metadata: { generation: 2 } });
    });

    test('a token stands for its account as long as the pod that it is bound to is there', async () => {
      const { core, name } = await space();
      const created = await api.must('POST', `${core}/pods`, pod('p', { nodeName: 'worker' }));
      const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'p', uid: created.metadata.uid };
      const request = { spec: { expirationSeconds: 3607, boundObjectRef } };
      // The node authorizer learns of the pod from a watch.
      let granted = await api.ask('POST', `${core}/serviceaccounts/default/token`, request, {
        user: 'worker',
      });
      for (let tries = 0; granted.status === 403 && tries < 100; tries++) {
        granted = await api.ask('POST', `${core}/serviceaccounts/default/token`, request, { user: 'worker' });
      }
      expect(granted.status).toBe(201);
      const token: string = granted.body.status.token;
      const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
      const reviewed = await api.must('POST', '/apis/authentication.k8s.io/v1/tokenreviews', review);
      expect(reviewed.status).toMatchObject({
        authenticated: true,
        user: {
          username: `system:serviceaccount:${name}:default`,
          groups: ['system:serviceaccounts', `system:serviceaccounts:${name}`, 'system:authenticated'],
        },
      });
      const refused = await api.ask('GET', `${core}/pods`, undefined, { user: token });
      expect(refused.body.message).toBe(
        `pods is forbidden: User "system:serviceaccount:${name}:default" cannot list resource "pods" in API group "" in the namespace "${name}"`,
      );
      // A second server has verified nothing yet, and so looks.
      const tampered = `${token.slice(0, -4)}AAAA`;
      expect((await api.ask('GET', `${core}/pods`, undefined, { user: tampered })).status).toBe(401);
      const short = await api.ask('POST', `${core}/serviceaccounts/default/token`, {
        spec: { expirationSeconds: 60 },
      });
      expect(short.body.message).toContain('may not specify a duration less than 10 minutes');
    });
  });

  describe('pods', () => {
    test("get their account's token and the usual tolerations", async () => {
      const { core } = await space();
      const created = await api.must('POST', `${core}/pods`, pod('p'));
      expect(created.spec.serviceAccountName).toBe('default');
      expect(created.spec.volumes).toHaveLength(1);
      const [volume] = created.spec.volumes;
      expect(volume.name).toMatch(/^kube-api-access-[a-z0-9]{5}$/);
      expect(volume.projected.sources).toMatchObject([
        { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt' } },
        { downwardAPI: { items: [{ path: 'namespace' }] } },
      ]);
      expect(created.spec.containers[0].volumeMounts).toEqual([
        { name: volume.name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
      ]);
      expect(created.spec.tolerations).toEqual([
        {
          key: 'node.kubernetes.io/not-ready',
          operator: 'Exists',
          effect: 'NoExecute',
          tolerationSeconds: 300,
        },
        {
          key: 'node.kubernetes.io/unreachable',
          operator: 'Exists',
          effect: 'NoExecute',
          tolerationSeconds: 300,
        },
      ]);
      expect(created.status).toMatchObject({ phase: 'Pending', qosClass: 'BestEffort' });
      const without = await api.must(
        'POST',
        `${core}/pods`,
        pod('q', { automountServiceAccountToken: false }),
      );
      expect(without.spec.volumes).toBeUndefined();
    });
  });

  describe('services', () => {
    const service = (name: string, spec: object = {}) => ({
      metadata: { name },
      spec: { selector: { run: name }, ports: [{ port: 80 }], ...spec },
    });

    test('the kubernetes Service has the first address and this server behind it', async () => {
      const kubernetes = await api.must('GET', '/api/v1/namespaces/default/services/kubernetes');
      expect(kubernetes.spec).toMatchObject({ clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.1'] });
      const endpoints = await api.must('GET', '/api/v1/namespaces/default/endpoints/kubernetes');
      expect(endpoints.subsets).toMatchObject([
        { addresses: [{ ip: '172.17.0.2' }], ports: [{ port: Number(new URL(api.url).port) }] },
      ]);
    });

    test('no address and no node port is given twice, also when many ask at once', async () => {
      const { core } = await space();
      const made = await Promise.all(
        Array.from({ length: 20 }, (_, at) =>
          api.must('POST', `${core}/services`, service(`s${at}`, { type: 'NodePort' })),
        ),
      );
      expect(new Set(made.map(({ spec }) => spec.clusterIP)).size).toBe(20);
      expect(new Set(made.map(({ spec }) => spec.ports[0].nodePort)).size).toBe(20);
      for (const { spec } of made) expect(spec.clusterIP).toMatch(/^10\.96\.0\.\d+$/);
      const taken = made[0]!.spec;
      const clash = await api.ask(
        'POST',
        `${core}/services`,
        service('clash', { clusterIP: taken.clusterIP }),
      );
      expect(clash.body.message).toContain(
        `failed to allocate IP ${taken.clusterIP}: provided IP is already allocated`,
      );
      const ports = [{ port: 80, nodePort: taken.ports[0].nodePort }];
      const portClash = await api.ask(
        'POST',
        `${core}/services`,
        service('clash', { type: 'NodePort', ports }),
      );
      expect(portClash.body.message).toContain('spec.ports[0].nodePort: Invalid value');
      const outside = await api.ask('POST', `${core}/services`, service('clash', { clusterIP: '10.1.2.3' }));
      expect(outside.body.message).toContain('does not match the current range');
    });

    test('an update keeps the address; None and ExternalName have none', async () => {
      const { core } = await space();
      const created = await api.must('POST', `${core}/services`, service('s', { type: 'NodePort' }));
      const again = await api.must('PUT', `${core}/services/s`, service('s', { type: 'NodePort' }));
      expect(again.spec.clusterIP).toBe(created.spec.clusterIP);
      expect(again.spec.ports[0].nodePort).toBe(created.spec.ports[0].nodePort);
      const headless = await api.must('POST', `${core}/services`, service('h', { clusterIP: 'None' }));
      expect(headless.spec.clusterIP).toBe('None');
      const external = await api.must('POST', `${core}/services`, {
        metadata: { name: 'e' },
        spec: { type: 'ExternalName', externalName: 'example.org' },
      });
      expect(external.spec.clusterIP).toBeUndefined();
    });
  });

  describe('who may what', () => {
    test.each([
      { name: 'no credentials', path: '/api/v1/pods', user: '', status: 403 },
      { name: 'a wrong token', path: '/api/v1/pods', user: 'wrong', status: 401 },
      { name: 'discovery without credentials', path: '/apis', user: '', status: 403 },
      { name: 'health without credentials', path: '/healthz', user: '', status: 200 },
      { name: 'liveness without credentials', path: '/livez', user: '', status: 200 },
      { name: 'readiness without credentials', path: '/readyz', user: '', status: 200 },
      { name: 'the version without credentials', path: '/version', user: '', status: 200 },
      { name: 'a single check without credentials', path: '/livez/etcd', user: '', status: 403 },
      { name: 'a single check', path: '/livez/etcd', user: 'admin', status: 200 },
      { name: 'a check that is not there', path: '/livez/none', user: 'admin', status: 404 },
      { name: 'metrics for a stranger', path: '/metrics', user: 'bob', status: 403 },
      { name: 'discovery for anybody known', path: '/apis', user: 'bob', status: 200 },
      { name: 'pods for a stranger', path: '/api/v1/pods', user: 'bob', status: 403 },
      { name: 'nodes for the scheduler', path: '/api/v1/nodes', user: 'scheduler', status: 200 },
      { name: 'secrets for the scheduler', path: '/api/v1/secrets', user: 'scheduler', status: 403 },
      { name: 'all pods for a node', path: '/api/v1/pods', user: 'worker', status: 403 },
      {
        name: "a node's own pods",
        path: '/api/v1/pods?fieldSelector=spec.nodeName%3Dworker',
        user: 'worker',
        status: 200,
      },
      {
        name: "another node's pods",
        path: '/api/v1/pods?fieldSelector=spec.nodeName%3Dother',
        user: 'worker',
        status: 403,
      },
      { name: 'services for a node', path: '/api/v1/services', user: 'worker', status: 200 },
      { name: 'all secrets for a node', path: '/api/v1/secrets', user: 'worker', status: 403 },
    ])('$name: $status', async ({ path, user, status }) => {
      const answer = await api.ask('GET', path, undefined, { user });
      expect(answer.status).toBe(status);
      if (status === 401)
        expect(answer.body).toMatchObject({ message: 'Unauthorized', reason: 'Unauthorized' });
    });

    test('requests are counted, by what is served only', async () => {
      const { core } = await space();
      await api.must('POST', `${core}/configmaps`, configMap('counted'));
      await api.ask('GET', `${core}/made-up/x`);
      const { text } = await api.ask('GET', '/metrics');
      expect(text).toMatch(
        /\napiserver_request_total\{code="201",component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",verb="POST",version="v1"\} \d+\n/,
      );
      expect(text).toMatch(/\napiserver_current_inflight_requests\{request_kind="readOnly"\} [1-9]/);
      expect(text).not.toContain('made-up');
    });

    test('roles are obeyed as soon as they are bound', async () => {
      const { name, core } = await space();
      const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${name}`;
      await api.must('POST', `${rbac}/roles`, {
        metadata: { name: 'reader' },
        rules: [{ apiGroups: [''], resources: ['configmaps'], resourceNames: ['mine'], verbs: ['get'] }],
      });
      await api.must('POST', `${rbac}/rolebindings`, {
        metadata: { name: 'reader' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
        subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'bob' }],
      });
      await api.must('POST', `${core}/configmaps`, configMap('mine'));
      let status = 403;
      for (let tries = 0; status === 403 && tries < 100; tries++) {
        status = (await api.ask('GET', `${core}/configmaps/mine`, undefined, { user: 'bob' })).status;
      }
      expect(status).toBe(200);
      expect((await api.ask('GET', `${core}/configmaps/other`, undefined, { user: 'bob' })).status).toBe(403);
      const check = (resourceAttributes: object) =>
        api.must(
          'POST',
          '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
          {
            spec: { resourceAttributes: { namespace: name, resource: 'configmaps', ...resourceAttributes } },
          },
          { user: 'bob' },
        );
      expect((await check({ verb: 'get', name: 'mine' })).status.allowed).toBe(true);
      expect((await check({ verb: 'delete', name: 'mine' })).status.allowed).toBe(false);
    });

    test('a node reads what its pods need and nothing else, and writes only itself', async () => {
      const { core } = await space();
      await api.must('POST', `${core}/secrets`, { metadata: { name: 'needed' } });
      await api.must('POST', `${core}/secrets`, { metadata: { name: 'private' } });
      await api.must(
        'POST',
        `${core}/pods`,
        pod('p', { nodeName: 'worker', volumes: [{ name: 's', secret: { secretName: 'needed' } }] }),
      );
      const as = { user: 'worker' };
      let status = 403;
      for (let tries = 0; status === 403 && tries < 100; tries++) {
        status = (await api.ask('GET', `${core}/secrets/needed`, undefined, as)).status;
      }
      expect(status).toBe(200);
      const refused = await api.ask('GET', `${core}/secrets/private`, undefined, as);
      expect(refused.body.message).toContain("no relationship found between node 'worker' and this object");
      if ((await api.ask('GET', '/api/v1/nodes/worker')).status === 404) {
        await api.must('POST', '/api/v1/nodes', { metadata: { name: 'worker' } }, as);
      }
      const headers = { 'content-type': 'application/merge-patch+json' };
      await api.must(
        'PATCH',
        '/api/v1/nodes/worker/status',
        { status: { phase: 'Running' } },
        { ...as, headers },
      );
      expect((await api.ask('GET', '/api/v1/nodes', undefined, as)).status).toBe(403);
      const itself = '/api/v1/nodes?fieldSelector=metadata.name%3Dworker';
      expect((await api.ask('GET', itself, undefined, as)).status).toBe(200);
      const other = await api.ask('POST', '/api/v1/nodes', { metadata: { name: 'other' } }, as);
      expect(other.status).toBe(403);
      const plain = await api.ask('POST', `${core}/pods`, pod('made-up', { nodeName: 'worker' }), as);
      expect(plain.body.message).toContain(
        'pod does not have "kubernetes.io/config.mirror" annotation, node "worker" can only create mirror pods',
      );
      const annotations = { 'kubernetes.io/config.mirror': 'x' };
      const { uid } = (await api.must('GET', '/api/v1/nodes/worker', undefined, as)).metadata;
      const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: 'worker', uid, controller: true }];
      const mirror = pod('mirror', { nodeName: 'worker' }, { annotations, ownerReferences });
      await api.must('POST', `${core}/pods`, mirror, as);
      expect((await api.ask('PATCH', `${core}/pods/p`, { metadata: {} }, { ...as, headers })).status).toBe(
        403,
      );
    });

    test('--as is for those who may', async () => {
      const headers = { 'impersonate-user': 'bob' };
      const refused = await api.ask('GET', '/api/v1/pods', undefined, { headers });
      expect(refused.body.message).toContain('User "bob" cannot list resource "pods"');
      const presumptuous = await api.ask('GET', '/api/v1/pods', undefined, {
        user: 'bob',
        headers: { 'impersonate-user': 'kubernetes-admin', 'impersonate-group': 'system:masters' },
      });
      expect(presumptuous.body.message).toContain(
        'users "kubernetes-admin" is forbidden: User "bob" cannot impersonate resource "users"',
      );
    });
  });

  describe('discovery', () => {
    test('plain and aggregated name the same resources', async () => {
      const plain: string[] = [];
      const groups = (await api.ask('GET', '/apis')).body.groups as {
        versions: { groupVersion: string }[];
      }[];
      for (const { groupVersion } of groups.flatMap(({ versions }) => versions)) {
        const list = (await api.ask('GET', `/apis/${groupVersion}`)).body;
        for (const { name } of list.resources) if (!name.includes('/')) plain.push(`${groupVersion}/${name}`);
      }
      for (const version of ['v2', 'v2beta1']) {
        const type = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
        const answer = await api.ask('GET', '/apis', undefined, {
          headers: { accept: `${type},application/json` },
        });
        expect(answer.headers.get('content-type')).toBe(type);
        type Item = {
          metadata: { name: string };
          versions: { version: string; resources: { resource: string }[] }[];
        };
        const names = (answer.body.items as Item[]).flatMap(({ metadata, versions }) =>
          versions.flatMap(({ version: of, resources }) =>
            resources.map(({ resource }) => `${metadata.name}/${of}/${resource}`),
          ),
        );
        expect(names.sort()).toEqual(plain.sort());
      }
    });

    test('OpenAPI documents have tags that are honoured', async () => {
      const index = (await api.ask('GET', '/openapi/v3')).body;
      const { serverRelativeURL } = index.paths['apis/apps/v1'];
      const document = await api.ask('GET', serverRelativeURL);
      expect(document.body.openapi).toMatch(/^3\./);
      const tag = document.headers.get('etag')!;
      const again = await api.ask('GET', serverRelativeURL, undefined, { headers: { 'if-none-match': tag } });
      expect(again.status).toBe(304);
      const protobuf = await api.ask('GET', '/openapi/v2', undefined, {
        headers: { accept: 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf' },
      });
      expect(protobuf.headers.get('content-type')).toBe(
        'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
      );
      expect((await api.ask('GET', '/openapi/v3/apis/none/v1')).status).toBe(404);
    });

    test('version', async () => {
      expect((await api.ask('GET', '/version')).body).toMatchObject({ major: '1', minor: '36' });
    });
  });
});

describe.each(['fake', 'etcd'])('a server that comes after a compaction, over %s', (which) => {
  test('a watch from before it is 410 Expired', async () => {
    const etcd = which === 'etcd' ? await TestEtcd.start() : undefined;
    const memory = new FakeStorage();
    const open = () => (etcd === undefined ? memory : new EtcdStorage(etcd.client()));
    const path = '/api/v1/namespaces/default/configmaps';
    try {
      const first = await TestServer.start(open());
      const created = await first.must('POST', path, configMap('a'));
      for (const k of ['1', '2']) await first.must('PUT', `${path}/a`, configMap('a', { data: { k } }));
      const last = await first.must('GET', `${path}/a`);
      await first.stop();
      await open().compact(Number(last.metadata.resourceVersion));
      // It has no history of its own from which to serve the watch.
      const second = await TestServer.start(open());
      const query = `watch=1&resourceVersion=${created.metadata.resourceVersion}`;
      expect(await second.events(`${path}?${query}`, 1)).toEqual(['ERROR Expired']);
      await second.stop();
    } finally {
      await etcd?.stop();
    }
  });
});
