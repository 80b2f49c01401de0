import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import type { ManagedFieldsEntry } from '../kubernetes/fields/managed-fields.ts';
import type { ApiObject } from './objects.ts';
import { FakeStorage } from './storage.fake.ts';
import { TestServer } from './test-server.fake.ts';

// Server-side apply over HTTP. What is merged and who owns what is tested beside the code that decides it.

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start(new FakeStorage());
});
afterAll(() => server.stop());

const BASE = '/api/v1/namespaces/default';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';
let name = '';
let count = 0;
beforeEach(() => {
  name = `o-${++count}`;
});

/** Ten aliases of ten aliases of …: ten million items, were they written out. */
const BOMB = [
  'a0: &a0 [x]',
  ...[1, 2, 3, 4, 5, 6, 7].map((n) => `a${n}: &a${n} [${Array(10).fill(`*a${n - 1}`)}]`),
].join('\n');

type Options = NonNullable<Parameters<TestServer['ask']>[3]>;

function apply(path: string, config: unknown, query = 'fieldManager=a', options: Options = {}) {
  const body = typeof config === 'string' ? config : JSON.stringify(config);
  const headers = { 'content-type': 'application/apply-patch+yaml' };
  return server.ask('PATCH', `${path}?${query}`, body, { ...options, headers });
}

function patch(path: string, change: object, query = '') {
  const headers = { 'content-type': 'application/merge-patch+json' };
  return server.must('PATCH', path + query, JSON.stringify(change), { headers });
}

const configMap = (data: Record<string, unknown>, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...metadata },
  data,
});

const deployment = (replicas?: number, image = 'x') => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    ...(replicas === undefined ? {} : { replicas }),
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image }] } },
  },
});

/** Managers as `name operation[/subresource] apiVersion`, with their fields as `fieldsV1` writes them. */
function managersOf(object: ApiObject): Record<string, unknown> {
  const entries = (object.metadata.managedFields ?? []) as unknown as ManagedFieldsEntry[];
  return Object.fromEntries(
    entries.map(({ manager, operation, subresource, apiVersion, fieldsV1 }) => [
      `${manager} ${operation}${subresource === undefined ? '' : `/${subresource}`} ${apiVersion}`,
      fieldsV1,
    ]),
  );
}

describe('what is applied', () => {
  test('is created with who applied it, and with all defaults, which are nobody’s', async () => {
    const { status, body } = await apply(`${DEPLOYMENTS}/${name}`, deployment(2));
    expect(status).toBe(201);
    expect(body.spec.strategy.type).toBe('RollingUpdate');
    expect(managersOf(body)).toEqual({
      'a Apply apps/v1': {
        'f:spec': {
          'f:replicas': {},
          'f:selector': {},
          'f:template': {
            'f:metadata': { 'f:labels': { 'f:app': {} } },
            'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:image': {}, 'f:name': {} } } },
          },
        },
      },
    });
    const [entry] = body.metadata.managedFields;
    expect(entry).toMatchObject({ fieldsType: 'FieldsV1', time: expect.stringMatching(/^\d{4}-.*:\d{2}Z$/) });
  });

  test('may be YAML', async () => {
    const { status, body } = await apply(
      `${BASE}/configmaps/${name}`,
      `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n  creationTimestamp: null\ndata:\n  key: |\n    text\n`,
    );
    expect([status, body.data]).toEqual([201, { key: 'text\n' }]);
    expect(managersOf(body)).toEqual({ 'a Apply v1': { 'f:data': { 'f:key': {} } } });
  });

  test('changes nothing when it is the same again', async () => {
    const first = await apply(`${BASE}/configmaps/${name}`, configMap({ key: 'x' }));
    const again = await apply(`${BASE}/configmaps/${name}`, configMap({ key: 'x' }));
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
  });

  test('changes nothing when it is another way to write the same', async () => {
    const path = `${DEPLOYMENTS}/${name}`;
    const config = (cpu: string) => {
      const made = deployment();
      Object.assign(made.spec.template.spec.containers[0]!, { resources: { requests: { cpu } } });
      return made;
    };
    const first = await apply(path, config('1'));
    const again = await apply(path, config('1000m'));
    expect(again.body).toEqual(first.body);
  });

  test('loses what is not applied any more', async () => {
    await apply(`${BASE}/configmaps/${name}`, configMap({ key: 'x', other: 'y' }, { labels: { a: 'b' } }));
    const { body } = await apply(`${BASE}/configmaps/${name}`, configMap({ key: 'x' }));
    expect(body.data).toEqual({ key: 'x' });
    expect(body.metadata.labels).toBeUndefined();
  });

  test('is only tried with dryRun', async () => {
    const { status, body } = await apply(
      `${BASE}/configmaps/${name}`,
      configMap({ key: 'x' }),
      'fieldManager=a&dryRun=All',
    );
    expect([status, body.data]).toEqual([201, { key: 'x' }]);
    expect((await server.ask('GET', `${BASE}/configmaps/${name}`)).status).toBe(404);
  });

  test('keeps a list in the order of the configuration', async () => {
    const env = (...names: string[]) => {
      const made = deployment();
      const list = names.map((item) => ({ name: item, value: 'v' }));
      Object.assign(made.spec.template.spec.containers[0]!, { env: list });
      return made;
    };
    await apply(`${DEPLOYMENTS}/${name}`, env('a', 'b'));
    const { body } = await apply(`${DEPLOYMENTS}/${name}`, env('b', 'c', 'a'));
    const names = body.spec.template.spec.containers[0].env.map((item: { name: string }) => item.name);
    expect(names).toEqual(['b', 'c', 'a']);
  });

  test('of two appliers at once is both', async () => {
    const path = `${BASE}/configmaps/${name}`;
    const managers = ['a', 'b', 'c', 'd', 'e'];
    const answers = await Promise.all(
      managers.map((manager) => apply(path, configMap({ [manager]: 'x' }), `fieldManager=${manager}`)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 201]);
    const object = await server.must('GET', path);
    expect(Object.keys(object.data).sort()).toEqual(managers);
    expect(Object.keys(managersOf(object)).sort()).toEqual(managers.map((manager) => `${manager} Apply v1`));
  });
});

describe('a conflict', () => {
  test('names the field and its applier', async () => {
    await apply(`${DEPLOYMENTS}/${name}`, deployment(2));
    const { status, body } = await apply(`${DEPLOYMENTS}/${name}`, deployment(3), 'fieldManager=b');
    expect(status).toBe(409);
    expect(body).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'Apply failed with 1 conflict: conflict with "a": .spec.replicas',
      reason: 'Conflict',
      details: {
        causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "a"', field: '.spec.replicas' }],
      },
      code: 409,
    });
  });

  test('of several names each, by manager', async () => {
    await apply(`${DEPLOYMENTS}/${name}`, deployment(2));
    await patch(`${DEPLOYMENTS}/${name}/scale`, { spec: { replicas: 5 } }, '?fieldManager=autoscaler');
    const { body } = await apply(`${DEPLOYMENTS}/${name}`, deployment(3, 'y'), 'fieldManager=b');
    expect(body.message).toBe(
      [
        'Apply failed with 2 conflicts: conflicts with "a":',
        '- .spec.template.spec.containers[name="c"].image',
        'conflicts with "autoscaler" with subresource "scale" using apps/v1:',
        '- .spec.replicas',
      ].join('\n'),
    );
    expect(body.details.causes).toHaveLength(2);
  });

  test('is overcome by force, which takes the field over', async () => {
    await apply(`${DEPLOYMENTS}/${name}`, deployment(2));
    const { status, body } = await apply(
      `${DEPLOYMENTS}/${name}`,
      deployment(3),
      'fieldManager=b&force=true',
    );
    expect([status, body.spec.replicas]).toEqual([200, 3]);
    const { 'a Apply apps/v1': a, 'b Apply apps/v1': b } = managersOf(body) as Record<string, object>;
    expect(a).not.toHaveProperty(['f:spec', 'f:replicas']);
    expect(b).toHaveProperty(['f:spec', 'f:replicas']);
  });
});

describe('who made an ordinary write', () => {
  test('is its fieldManager, or the program', async () => {
    const path = `${BASE}/configmaps`;
    const agent = { headers: { 'user-agent': 'program/v1 (linux)' } };
    const created = await server.must('POST', path, configMap({ one: '1' }), agent);
    expect(managersOf(created)).toEqual({ 'program Update v1': { 'f:data': { '.': {}, 'f:one': {} } } });
    const changed = await patch(`${path}/${name}`, { data: { two: '2' } }, '?fieldManager=editor');
    expect(managersOf(changed)).toEqual({
      'editor Update v1': { 'f:data': { 'f:two': {} } },
      'program Update v1': { 'f:data': { '.': {}, 'f:one': {} } },
    });
  });

  test('of a status is kept apart', async () => {
    await server.must('POST', DEPLOYMENTS, deployment(1), { headers: { 'user-agent': 'maker' } });
    const status = { replicas: 1, conditions: [{ type: 'Available', status: 'True' }] };
    const changed = await patch(`${DEPLOYMENTS}/${name}/status`, { status }, '?fieldManager=controller');
    expect(managersOf(changed)['controller Update/status apps/v1']).toEqual({
      'f:status': {
        'f:conditions': {
          '.': {},
          'k:{"type":"Available"}': { '.': {}, 'f:status': {}, 'f:type': {} },
        },
        'f:replicas': {},
      },
    });
    expect(Object.keys(managersOf(changed))).toHaveLength(2);
  });

  test('does not own a status that it may not write', async () => {
    const made = { ...deployment(1), status: { replicas: 7 } };
    const created = await server.must('POST', DEPLOYMENTS, made, { headers: { 'user-agent': 'maker' } });
    expect(Object.keys(managersOf(created)['maker Update apps/v1'] as object)).toEqual(['f:spec']);
  });

  test('is noted only where something changes', async () => {
    const created = await server.must('POST', `${BASE}/configmaps`, configMap({ one: '1' }));
    const same = await patch(`${BASE}/configmaps/${name}`, { data: { one: '1' } }, '?fieldManager=editor');
    expect(same).toEqual(created);
  });

  test('is not noted for what admission adds', async () => {
    const spec = { containers: [{ name: 'c', image: 'x' }] };
    await server.must('POST', `${BASE}/serviceaccounts`, { metadata: { name: 'default' } }).catch(() => {});
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec };
    const created = await server.must('POST', `${BASE}/pods`, pod, { headers: { 'user-agent': 'maker' } });
    expect(created.spec.serviceAccountName).toBe('default');
    const owned = managersOf(created)['maker Update v1'] as { 'f:spec': object };
    expect(Object.keys(owned['f:spec'])).not.toContain('f:serviceAccountName');
    expect(Object.keys(owned['f:spec'])).toContain('f:restartPolicy');
  });

  test('of more than ten at most ten are kept apart', async () => {
    const path = `${BASE}/configmaps/${name}`;
    await server.must('POST', `${BASE}/configmaps?fieldManager=m0`, configMap({ k0: 'x' }));
    let object: ApiObject | undefined;
    for (let at = 1; at <= 12; at++) {
      object = await patch(path, { data: { [`k${at}`]: 'x' } }, `?fieldManager=m${at}`);
    }
    const managers = managersOf(object!);
    expect(Object.keys(managers)).toHaveLength(10);
    const ancient = managers['ancient-changes Update v1'] as { 'f:data': object };
    const others = Object.keys(managers).filter((manager) => !manager.startsWith('ancient'));
    expect(Object.keys(ancient['f:data']).length - 1 + others.length).toBe(13);
    const applied = await apply(path, configMap({ k1: 'y' }), 'fieldManager=z');
    expect(applied.status).toBe(409);
  });

  test.each([
    ['x'.repeat(129), 'fieldManager: Too long: may not be more than 128 bytes'],
    ['a%0Ab', 'invalid character U+000A (at position 1)'],
  ])('cannot be called %s', async (manager, problem) => {
    for (const [method, body] of [
      ['POST', configMap({})],
      ['PUT', configMap({})],
    ] as const) {
      const path = method === 'POST' ? `${BASE}/configmaps` : `${BASE}/configmaps/x`;
      const answer = await server.ask(method, `${path}?fieldManager=${manager}`, body);
      expect(answer.status).toBe(422);
      expect(answer.body.message).toContain(problem);
    }
  });
});

describe('managers', () => {
  test.each([[[{}]], [[]]])(
    'are forgotten by %j, and a later apply finds what was there',
    async (managedFields) => {
      const path = `${BASE}/configmaps/${name}`;
      await apply(path, configMap({ key: 'x' }));
      const reset = await patch(path, { metadata: { managedFields } });
      expect(reset.metadata.managedFields).toBeUndefined();
      const changed = await patch(path, { data: { other: 'y' } });
      expect(changed.metadata.managedFields).toBeUndefined();
      const refused = await apply(path, configMap({ key: 'z' }));
      expect(refused.body.message).toBe(
        'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.key',
      );
      const applied = await apply(path, configMap({ key: 'x' }));
      expect(Object.keys(managersOf(applied.body))).toEqual(['a Apply v1', 'before-first-apply Update v1']);
    },
  );

  test('can be written by an update, as kubectl does when it goes over to server-side apply', async () => {
    const path = `${BASE}/configmaps/${name}`;
    await server.must(
      'POST',
      `${BASE}/configmaps?fieldManager=kubectl-client-side-apply`,
      configMap({ k: 'x' }),
    );
    const object = await server.must('GET', path);
    const entries = object.metadata.managedFields as unknown as ManagedFieldsEntry[];
    entries[0]!.manager = 'kubectl';
    entries[0]!.operation = 'Apply';
    const changed = await server.must('PUT', path, object);
    expect(Object.keys(managersOf(changed))).toEqual(['kubectl Apply v1']);
    const { status } = await apply(path, configMap({ k: 'y' }), 'fieldManager=kubectl');
    expect(status).toBe(200);
  });

  test('that make no sense are as if they were not sent', async () => {
    const path = `${BASE}/configmaps/${name}`;
    const { body } = await apply(path, configMap({ key: 'x' }));
    const broken = [
      { manager: 'x', operation: 'Own', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: {} },
    ];
    const changed = await patch(path, { metadata: { managedFields: broken } });
    expect(managersOf(changed)).toEqual(managersOf(body));
  });

  test('are not changed through a subresource', async () => {
    await apply(`${DEPLOYMENTS}/${name}`, deployment(1));
    const changed = await patch(`${DEPLOYMENTS}/${name}/status`, { metadata: { managedFields: [{}] } });
    expect(Object.keys(managersOf(changed))).toEqual(['a Apply apps/v1']);
  });
});

describe('kubectl’s last-applied annotation', () => {
  const LAST = 'kubectl.kubernetes.io/last-applied-configuration';
  const clientSide = async (data: Record<string, string>) => {
    const last = JSON.stringify(configMap(data));
    await server.must(
      'POST',
      `${BASE}/configmaps?fieldManager=kubectl-client-side-apply`,
      configMap(data, { annotations: { [LAST]: last } }),
    );
    return `${BASE}/configmaps/${name}`;
  };

  test('makes what it says kubectl’s own', async () => {
    const path = await clientSide({ key: 'x' });
    const other = await apply(path, configMap({ key: 'y' }), 'fieldManager=other');
    expect(other.status).toBe(409);
    const { status, body } = await apply(path, configMap({ key: 'y' }), 'fieldManager=kubectl');
    expect([status, body.data]).toEqual([200, { key: 'y' }]);
    expect(JSON.parse(body.metadata.annotations[LAST])).toEqual(configMap({ key: 'y' }));
  });

  test('does not explain what somebody else has changed since', async () => {
    const path = await clientSide({ key: 'x', other: 'x' });
    await patch(path, { data: { other: 'z' } }, '?fieldManager=editor');
    const { status, body } = await apply(path, configMap({ key: 'y', other: 'y' }), 'fieldManager=kubectl');
    expect([status, body.message]).toEqual([
      409,
      'Apply failed with 1 conflict: conflict with "editor" using v1: .data.other',
    ]);
  });
});

describe('an apply is refused', () => {
  interface Case {
    name: string;
    config: unknown;
    status: number;
    message: string;
    query?: string;
  }
  const made = () => configMap({ key: 'x' });
  const cases: Case[] = [
    { name: 'that is not YAML', config: 'a: [', status: 400, message: 'error decoding YAML: ' },
    { name: 'with an alias of nothing', config: 'a: *b', status: 400, message: 'error decoding YAML: ' },
    { name: 'with aliases of aliases', config: BOMB, status: 400, message: 'error decoding YAML: ' },
    { name: 'that is no object', config: '- a', status: 400, message: 'error decoding YAML: ' },
    {
      name: 'of another kind',
      config: { ...made(), kind: 'Secret' },
      status: 400,
      message: 'invalid object type: /v1, Kind=Secret',
    },
    { name: 'without a kind', config: {}, status: 400, message: 'invalid object type: /, Kind=' },
    {
      name: 'with managers',
      config: configMap({}, { managedFields: [] }),
      status: 400,
      message: 'metadata.managedFields must be nil',
    },
    {
      name: 'with an unknown field',
      config: { ...made(), spec: {} },
      status: 500,
      message:
        'failed to create typed patch object (/NAME; /v1, Kind=ConfigMap): .spec: field not declared in schema',
    },
    {
      name: 'of a wrong type',
      config: configMap({ key: 1 }, { namespace: 'default' }),
      status: 500,
      message:
        'failed to create typed patch object (default/NAME; /v1, Kind=ConfigMap): .data.key: expected string, got &value.valueUnstructured{Value:1}',
    },
    {
      name: 'of another name',
      config: { ...made(), metadata: { name: 'other' } },
      status: 400,
      message: 'the name of the object (other) does not match the name on the URL (NAME)',
    },
    {
      name: 'of another namespace',
      config: configMap({}, { namespace: 'other' }),
      status: 400,
      message: 'the namespace of the provided object does not match the namespace sent on the request',
    },
    {
      name: 'of an object that is not there with a uid',
      config: configMap({}, { uid: 'u' }),
      status: 409,
      message: 'uid mismatch: the provided object specified uid u, and no existing object was found',
    },
    {
      name: 'with a key twice, when it is strict',
      config: 'apiVersion: v1\nkind: ConfigMap\nkind: ConfigMap\n',
      query: 'fieldManager=a&fieldValidation=Strict',
      status: 400,
      message: 'error strict decoding YAML: ',
    },
    {
      name: 'of what is not valid',
      config: configMap({ 'not a key': 'x' }),
      status: 422,
      message: 'is invalid: data[not a key]: Invalid value',
    },
  ];
  test.each(cases.map((item) => [item.name, item] as const))('%s', async (_name, item) => {
    const config = typeof item.config === 'string' ? item.config : JSON.parse(JSON.stringify(item.config));
    const object = typeof config === 'string' ? undefined : config.metadata;
    if (object?.name?.startsWith('o-') || object?.name === '') object.name = name;
    const answer = await apply(`${BASE}/configmaps/${name}`, config, item.query);
    expect(answer.body.message).toContain(item.message.replace('NAME', name));
    expect(answer.status).toBe(item.status);
  });

  test('to a status of an object that is not there', async () => {
    const answer = await apply(`${DEPLOYMENTS}/${name}/status`, { ...deployment(), spec: undefined });
    expect(answer.status).toBe(404);
  });

  test('of a resourceVersion that is not the current one', async () => {
    await apply(`${BASE}/configmaps/${name}`, configMap({ key: 'x' }));
    const answer = await apply(
      `${BASE}/configmaps/${name}`,
      configMap({ key: 'y' }, { resourceVersion: '1' }),
    );
    expect([answer.status, answer.body.reason]).toEqual([409, 'Conflict']);
  });

  test('to who may change objects but not create them', async () => {
    const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['patch'] }];
    const roles = '/apis/rbac.authorization.k8s.io/v1/namespaces/default';
    await server.must('POST', `${roles}/roles`, { metadata: { name: 'patcher' }, rules });
    await server.must('POST', `${roles}/rolebindings`, {
      metadata: { name: 'patcher' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'patcher' },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'bob' }],
    });
    const path = `${BASE}/configmaps/${name}`;
    const refused = await apply(path, configMap({ key: 'x' }), 'fieldManager=a', { user: 'bob' });
    expect(refused.status).toBe(403);
    expect(refused.body.message).toContain('User "bob" cannot create resource "configmaps"');
    await server.must('POST', `${BASE}/configmaps`, configMap({ key: 'x' }));
    const allowed = await apply(path, configMap({ key: 'x' }), 'fieldManager=a', { user: 'bob' });
    expect(allowed.status).toBe(200);
  });
});

test('a status can be applied', async () => {
  await apply(`${DEPLOYMENTS}/${name}`, deployment(1));
  const config = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, status: { replicas: 1 } };
  const { status, body } = await apply(`${DEPLOYMENTS}/${name}/status`, config, 'fieldManager=c');
  expect([status, body.status.replicas, body.spec.replicas]).toEqual([200, 1, 1]);
  expect(managersOf(body)['c Apply/status apps/v1']).toEqual({ 'f:status': { 'f:replicas': {} } });
});

test('a scale can be applied', async () => {
  await apply(`${DEPLOYMENTS}/${name}`, deployment());
  const config = { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name }, spec: { replicas: 4 } };
  const { status, body } = await apply(`${DEPLOYMENTS}/${name}/scale`, config, 'fieldManager=c');
  expect([status, body.kind, body.spec.replicas]).toEqual([200, 'Scale', 4]);
  const object = await server.must('GET', `${DEPLOYMENTS}/${name}`);
  expect(managersOf(object)['c Apply/scale apps/v1']).toEqual({ 'f:spec': { 'f:replicas': {} } });
  const refused = await apply(`${DEPLOYMENTS}/${name}`, deployment(2), 'fieldManager=b');
  expect(refused.body.message).toBe(
    'Apply failed with 1 conflict: conflict with "c" with subresource "scale": .spec.replicas',
  );
});

test('who creates an object owns what is in its structs, not the structs', async () => {
  const created = await server.must('POST', DEPLOYMENTS, deployment(1), {
    headers: { 'user-agent': 'maker' },
  });
  const { 'f:spec': spec } = managersOf(created)['maker Update apps/v1'] as {
    'f:spec': Record<string, object>;
  };
  expect(spec).not.toHaveProperty(['.']);
  expect(spec['f:template']).not.toHaveProperty(['.']);
  expect(spec['f:template']).toMatchObject({ 'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } } });
});
