import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { waitFor } from '../../sys/wait.ts';
import type { ApiObject } from './objects.ts';
import { FakeStorage } from './storage.fake.ts';
import { TestServer } from './test-server.fake.ts';

// The answers are those of kube-apiserver 1.36.1 to the same requests, compared field by field.

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const GROUP = 'stable.example.com';
const WIDGETS = `/apis/${GROUP}/v1/namespaces/default/widgets`;
const MERGE = { headers: { 'content-type': 'application/merge-patch+json' } };
const APPLY = { headers: { 'content-type': 'application/apply-patch+yaml' } };
const TABLE = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } };

const SCHEMA = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: {
        size: { type: 'integer', minimum: 1, maximum: 10 },
        color: { type: 'string', enum: ['red', 'blue'], default: 'red' },
        name: { type: 'string', pattern: '^[a-z]+$', minLength: 2, maxLength: 5 },
        when: { type: 'string', format: 'date-time' },
        port: { 'x-kubernetes-int-or-string': true },
        list: { type: 'array', maxItems: 2, minItems: 1, items: { type: 'string' } },
        set: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
        map: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string' }, value: { type: 'integer', default: 5 } },
          },
        },
        labels: { type: 'object', additionalProperties: { type: 'string' }, maxProperties: 2 },
        any: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        orNull: { type: 'string', nullable: true },
        notNull: { type: 'string' },
        template: {
          type: 'object',
          'x-kubernetes-embedded-resource': true,
          'x-kubernetes-preserve-unknown-fields': true,
        },
        one: {
          type: 'object',
          properties: { a: { type: 'string' }, b: { type: 'string' } },
          oneOf: [{ required: ['a'] }, { required: ['b'] }],
        },
        low: { type: 'integer', not: { minimum: 5 } },
        third: { type: 'integer', multipleOf: 3 },
        positive: { type: 'number', minimum: 0, exclusiveMinimum: true },
        replicas: { type: 'integer' },
      },
    },
    status: {
      type: 'object',
      properties: { phase: { type: 'string' }, replicas: { type: 'integer' }, selector: { type: 'string' } },
    },
  },
};

interface Change {
  plural?: string;
  kind?: string;
  scope?: string;
  names?: object;
  version?: object;
  versions?: object[];
}

function definition(change: Change = {}) {
  const { plural = 'widgets', kind = 'Widget', scope = 'Namespaced', names = {}, version = {} } = change;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope,
      names: { plural, kind, ...names },
      versions: change.versions ?? [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: SCHEMA }, ...version },
      ],
    },
  };
}

function widget(name: string, spec: object, more: object = {}) {
  return { apiVersion: `${GROUP}/v1`, kind: 'Widget', metadata: { name }, spec, ...more };
}

let server: TestServer;

/** The definition once it has a condition of this status. */
function defined(name: string, type: string, status = 'True'): Promise<ApiObject> {
  return waitFor(
    `${name} ${type}`,
    async () => {
      const object = await server.must('GET', `${DEFINITIONS}/${name}.${GROUP}`);
      const conditions: { type: string; status: string }[] = object.status?.conditions ?? [];
      return conditions.some((condition) => condition.type === type && condition.status === status)
        ? object
        : undefined;
    },
    { timeoutMs: 5000, intervalMs: 5 },
  );
}

function gone(path: string): Promise<true> {
  const look = async () => ((await server.ask('GET', path)).status === 404 ? (true as const) : undefined);
  return waitFor(`${path} is gone`, look, { timeoutMs: 5000, intervalMs: 5 });
}

beforeAll(async () => {
  server = await TestServer.start(new FakeStorage());
  await server.must(
    'POST',
    DEFINITIONS,
    definition({
      names: { shortNames: ['wd'], categories: ['all'] },
      version: {
        subresources: {
          status: {},
          scale: {
            specReplicasPath: '.spec.replicas',
            statusReplicasPath: '.status.replicas',
            labelSelectorPath: '.status.selector',
          },
        },
        additionalPrinterColumns: [
          { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
          { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
          { name: 'Color', type: 'string', jsonPath: '.spec.color', priority: 1 },
        ],
        selectableFields: [{ jsonPath: '.spec.color' }],
      },
    }),
  );
  await defined('widgets', 'Established');
});
afterAll(() => server.stop());

describe('a definition', () => {
  test('gets its names and says so', async () => {
    const { status, spec, metadata } = await server.must('GET', `${DEFINITIONS}/widgets.${GROUP}`);
    expect(spec.conversion).toEqual({ strategy: 'None' });
    expect(metadata.generation).toBe(1);
    expect(status).toMatchObject({
      acceptedNames: {
        plural: 'widgets',
        singular: 'widget',
        kind: 'Widget',
        listKind: 'WidgetList',
        shortNames: ['wd'],
        categories: ['all'],
      },
      storedVersions: ['v1'],
      conditions: [
        { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' },
        {
          type: 'Established',
          status: 'True',
          reason: 'InitialNamesAccepted',
          message: 'the initial names have been accepted',
        },
      ],
    });
  });

  test('whose names another has waits for them', async () => {
    const other = definition({ plural: 'gadgets', kind: 'Widget', names: { shortNames: ['wd'] } });
    await server.must('POST', DEFINITIONS, other);
    const { status } = await defined('gadgets', 'NamesAccepted', 'False');
    expect(status.acceptedNames).toEqual({ plural: 'gadgets', kind: '' });
    expect(status.conditions).toMatchObject([
      { reason: 'ListKindConflict', message: '"WidgetList" is already in use' },
      { type: 'Established', status: 'False', reason: 'NotAccepted' },
    ]);
    expect((await server.ask('GET', `/apis/${GROUP}/v1/gadgets`)).status).toBe(404);
    await server.must('DELETE', `${DEFINITIONS}/gadgets.${GROUP}`);
    await gone(`${DEFINITIONS}/gadgets.${GROUP}`);
  });

  const refused: [name: string, change: Change, problems: string[]][] = [
    [
      'is not structural',
      {
        version: {
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: { spec: { properties: { a: { type: 'text' }, b: { type: 'array' } } } },
            },
          },
        },
      },
      [
        'properties[spec].properties[b].items: Required value: must be specified',
        'properties[spec].type: Required value: must not be empty for specified object fields',
        'Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string"',
      ],
    ],
    [
      'has a list by keys that may be missing',
      {
        version: {
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                list: {
                  type: 'array',
                  'x-kubernetes-list-type': 'map',
                  'x-kubernetes-list-map-keys': ['k'],
                  items: { type: 'object', properties: { k: { type: 'string' } } },
                },
              },
            },
          },
        },
      },
      ['this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property'],
    ],
    [
      'has a default of another type',
      {
        version: {
          schema: {
            openAPIV3Schema: { type: 'object', properties: { a: { type: 'string', default: 5 } } },
          },
        },
      },
      ['.default: Invalid value: "integer": ', 'must be of type string: "integer"'],
    ],
    ['has no schema', { version: { schema: undefined } }, ['schema.openAPIV3Schema: Required value']],
    [
      'has a column of no type',
      { version: { additionalPrinterColumns: [{ name: 'x', type: 'foo', jsonPath: 'bad' }] } },
      [
        'spec.additionalPrinterColumns[0].type: Invalid value: "foo": must be one of boolean,date,integer,number,string',
        'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "bad": must be a simple json path starting with .',
      ],
    ],
    [
      'has no version to store',
      { versions: [] },
      [
        'spec.versions: Invalid value: []: must have exactly one version marked as storage version',
        'status.storedVersions: Invalid value: null: must have at least one stored version',
      ],
    ],
  ];
  test.each(refused)('is refused when it %s', async (_name, change, problems) => {
    const answer = await server.ask(
      'POST',
      DEFINITIONS,
      definition({ plural: 'bad', kind: 'Bad', ...change }),
    );
    expect([answer.status, answer.body.reason]).toEqual([422, 'Invalid']);
    for (const problem of problems) expect(answer.body.message).toContain(problem);
  });

  test('that wants a conversion webhook is refused', async () => {
    const made = definition({ plural: 'bad', kind: 'Bad' });
    const conversion = { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'] } };
    const answer = await server.ask('POST', DEFINITIONS, { ...made, spec: { ...made.spec, conversion } });
    expect(answer.body.message).toContain('conversion webhooks are not served by this API server: use None');
  });

  test('keeps its scope once it is established', async () => {
    const change = JSON.stringify({ spec: { scope: 'Cluster' } });
    const answer = await server.ask('PATCH', `${DEFINITIONS}/widgets.${GROUP}`, change, MERGE);
    expect(answer.body.message).toContain('spec.scope: Invalid value: "Cluster": field is immutable');
  });

  test('is replaced only by who has seen it', async () => {
    const answer = await server.ask('PUT', `${DEFINITIONS}/widgets.${GROUP}`, definition());
    expect(answer.body.message).toContain(
      'metadata.resourceVersion: Invalid value: 0: must be specified for an update',
    );
  });

  test('that is deleted takes its objects along, and waits for their finalizers', async () => {
    await server.must('POST', DEFINITIONS, definition({ plural: 'things', kind: 'Thing', scope: 'Cluster' }));
    await defined('things', 'Established');
    const things = `/apis/${GROUP}/v1/things`;
    const thing = { kind: 'Thing', spec: { size: 1 } };
    await server.must('POST', things, { ...thing, metadata: { name: 'free' } });
    await server.must('POST', things, {
      ...thing,
      metadata: { name: 'held', finalizers: ['example.com/x'] },
    });
    await server.must('DELETE', `${DEFINITIONS}/things.${GROUP}`);
    const { metadata } = await defined('things', 'Terminating');
    expect(metadata.finalizers).toEqual(['customresourcecleanup.apiextensions.k8s.io']);
    await gone(`${things}/free`);
    const refused = await server.ask('POST', things, { ...thing, metadata: { name: 'late' } });
    expect([refused.status, refused.body.message]).toEqual([
      405,
      'create not allowed while custom resource definition is terminating',
    ]);
    await server.must('PATCH', `${things}/held`, JSON.stringify({ metadata: { finalizers: null } }), MERGE);
    await gone(`${DEFINITIONS}/things.${GROUP}`);
    expect((await server.ask('GET', things)).status).toBe(404);
  });
});

describe('an object', () => {
  test('has defaults, and nothing that the schema does not name', async () => {
    const template = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'x', foo: 1 },
      spec: { whatever: 1 },
    };
    const spec = {
      size: 3,
      map: [{ name: 'x' }],
      any: { foo: { bar: 1 } },
      orNull: null,
      notNull: null,
      foo: 1,
      template,
    };
    const answer = await server.ask('POST', WIDGETS, widget('whole', spec, { status: { phase: 'x' } }));
    expect(answer.status).toBe(201);
    expect(answer.body.spec).toEqual({
      size: 3,
      color: 'red',
      map: [{ name: 'x', value: 5 }],
      any: { foo: { bar: 1 } },
      orNull: null,
      template: { ...template, metadata: { name: 'x' } },
    });
    expect(answer.body.status).toBeUndefined();
    expect(answer.body.metadata.generation).toBe(1);
    expect(answer.headers.get('warning')).toContain('unknown field \\"spec.foo\\"');
  });

  test('of strict decoding has no unknown fields', async () => {
    const spec = { size: 3, foo: 1, map: [{ name: 'x', bar: 1 }] };
    const answer = await server.ask('POST', `${WIDGETS}?fieldValidation=Strict`, widget('strict', spec));
    expect([answer.status, answer.body.message]).toEqual([
      400,
      'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.foo", unknown field "spec.map[0].bar"',
    ]);
  });

  const invalid: [change: Record<string, unknown>, ...problems: string[]][] = [
    [{ size: 0 }, 'spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1'],
    [{ size: 11 }, 'spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10'],
    [
      { size: 'x' },
      'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"',
    ],
    [{ size: undefined }, 'spec.size: Required value'],
    [{ color: 'green' }, 'spec.color: Unsupported value: "green": supported values: "red", "blue"'],
    [{ name: 'A' }, 'spec.name: Invalid value: "A": spec.name in body should be at least 2 chars long'],
    [{ name: 'AA' }, `spec.name: Invalid value: "AA": spec.name in body should match '^[a-z]+$'`],
    [{ name: 'abcdef' }, 'spec.name: Too long: may not be more than 5 bytes'],
    [{ when: 'no' }, 'spec.when: Invalid value: "no": spec.when in body must be of type date-time: "no"'],
    [
      { port: true },
      'spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"',
    ],
    [{ list: [] }, 'spec.list: Invalid value: 0: spec.list in body should have at least 1 items'],
    [{ list: ['a', 'b', 'c'] }, 'spec.list: Too many: 3: must have at most 2 items'],
    [
      { list: [1] },
      'spec.list[0]: Invalid value: "integer": spec.list[0] in body must be of type string: "integer"',
    ],
    [{ set: ['a', 'a'] }, 'spec.set[1]: Duplicate value: "a"'],
    [{ map: [{ name: 'x' }, { name: 'x' }] }, 'spec.map[1]: Duplicate value: {"name":"x"}'],
    [{ map: [{ value: 1 }] }, 'spec.map[0].name: Required value'],
    [{ labels: { a: '1', b: '2', c: '3' } }, 'spec.labels: Too many: 3: must have at most 2 items'],
    [{ template: {} }, 'spec.template.apiVersion: Required value', 'spec.template.kind: Required value'],
    [
      { one: {} },
      '<nil>: Invalid value: "": "spec.one" must validate one and only one schema (oneOf). Found none valid',
      'spec.one.a: Required value',
    ],
    [
      { one: { a: '1', b: '2' } },
      '<nil>: Invalid value: "": "spec.one" must validate one and only one schema (oneOf). Found 2 valid alternatives',
    ],
    [{ low: 7 }, '<nil>: Invalid value: "": "spec.low" must not validate the schema (not)'],
    [{ third: 4 }, 'spec.third: Invalid value: 4: spec.third in body should be a multiple of 3'],
    [{ positive: 0 }, 'spec.positive: Invalid value: 0: spec.positive in body should be greater than 0'],
  ];
  test.each(invalid)('is refused with %j', async (change, ...problems) => {
    const answer = await server.ask('POST', WIDGETS, widget('bad', { size: 1, ...change }));
    const list = problems.length === 1 ? problems[0] : `[${problems.join(', ')}]`;
    expect([answer.status, answer.body.message]).toEqual([422, `Widget.${GROUP} "bad" is invalid: ${list}`]);
  });

  test('is patched, but not strategically', async () => {
    await server.must('POST', WIDGETS, widget('patched', { size: 1, list: ['a'] }));
    const merged = await server.must(
      'PATCH',
      `${WIDGETS}/patched`,
      JSON.stringify({ spec: { size: 2 } }),
      MERGE,
    );
    expect([merged.spec.size, merged.metadata.generation]).toEqual([2, 2]);
    const operations = JSON.stringify([{ op: 'add', path: '/spec/list/-', value: 'b' }]);
    const json = { headers: { 'content-type': 'application/json-patch+json' } };
    expect((await server.must('PATCH', `${WIDGETS}/patched`, operations, json)).spec.list).toEqual([
      'a',
      'b',
    ]);
    const strategic = { headers: { 'content-type': 'application/strategic-merge-patch+json' } };
    expect((await server.ask('PATCH', `${WIDGETS}/patched`, '{}', strategic)).status).toBe(415);
  });

  test('has a status and a scale of their own', async () => {
    await server.must('POST', WIDGETS, widget('scaled', { size: 1 }));
    const missing = await server.ask('GET', `${WIDGETS}/scaled/scale`);
    expect(missing.body.message).toContain('the spec replicas field ".spec.replicas" does not exist');
    const status = { phase: 'y', replicas: 2, selector: 'a=b', unknown: 1 };
    const change = JSON.stringify({ spec: { size: 9 }, status, metadata: { labels: { x: 'y' } } });
    const changed = await server.must('PATCH', `${WIDGETS}/scaled/status`, change, MERGE);
    expect([changed.spec.size, changed.metadata.labels, changed.metadata.generation]).toEqual([
      1,
      undefined,
      1,
    ]);
    expect(changed.status).toEqual({ phase: 'y', replicas: 2, selector: 'a=b' });
    const scale = await server.must('PATCH', `${WIDGETS}/scaled/scale`, '{"spec":{"replicas":3}}', MERGE);
    expect(scale).toMatchObject({ spec: { replicas: 3 }, status: { replicas: 2, selector: 'a=b' } });
    const main = JSON.stringify({ status: { phase: 'z' } });
    const object = await server.must('PATCH', `${WIDGETS}/scaled`, main, MERGE);
    expect([object.spec.replicas, object.status.phase]).toEqual([3, 'y']);
  });

  test('is applied by several managers, list items by their keys', async () => {
    const apply = (manager: string, spec: object) =>
      server.ask(
        'PATCH',
        `${WIDGETS}/applied?fieldManager=${manager}`,
        JSON.stringify(widget('applied', spec)),
        APPLY,
      );
    expect((await apply('a', { size: 1, map: [{ name: 'x', value: 1 }], set: ['p'] })).status).toBe(201);
    const both = await apply('b', { map: [{ name: 'y' }], set: ['q'] });
    expect(both.body.spec).toMatchObject({
      map: [
        { name: 'x', value: 1 },
        { name: 'y', value: 5 },
      ],
      set: ['p', 'q'],
    });
    const conflict = await apply('b', { size: 2, map: [{ name: 'x', value: 2 }] });
    expect([
      conflict.status,
      conflict.body.details.causes.map(({ field }: { field: string }) => field),
    ]).toEqual([409, ['.spec.size', '.spec.map[name="x"].value']]);
    expect((await apply('a', { size: 1 })).body.spec).toMatchObject({
      map: [{ name: 'y', value: 5 }],
      set: ['q'],
    });
    const wrong = await apply('a', { size: 'x', nothing: 1 });
    expect([wrong.status, wrong.body.message]).toEqual([
      500,
      `failed to create typed patch object (/applied; ${GROUP}/v1, Kind=Widget): errors:\n  .spec.size: expected numeric (int or float), got string\n  .spec.nothing: field not declared in schema`,
    ]);
  });

  test('is shown by the columns of its definition', async () => {
    await server.must('POST', WIDGETS, widget('shown', { size: 4, color: 'blue' }));
    const { body } = await server.ask(
      'GET',
      `${WIDGETS}?fieldSelector=metadata.name%3Dshown`,
      undefined,
      TABLE,
    );
    const columns = body.columnDefinitions.map(({ name, type, priority }: Record<string, unknown>) => [
      name,
      type,
      priority,
    ]);
    expect(columns).toEqual([
      ['Name', 'string', 0],
      ['Size', 'integer', 0],
      ['Age', 'date', 0],
      ['Color', 'string', 1],
    ]);
    expect(body.rows[0].cells).toEqual(['shown', 4, expect.stringMatching(/^\d+s$/), 'blue']);
  });

  test('is selected by the fields that its definition names', async () => {
    await server.must('POST', WIDGETS, widget('chosen', { size: 4, color: 'blue' }, {}));
    const { items } = await server.must('GET', `${WIDGETS}?fieldSelector=spec.color%3Dblue`);
    expect(items.map(({ metadata }: ApiObject) => metadata.name)).toContain('chosen');
    expect(items.every(({ spec, kind }: ApiObject) => spec.color === 'blue' && kind === 'Widget')).toBe(true);
    const wrong = await server.ask('GET', `${WIDGETS}?fieldSelector=spec.size%3D4`);
    expect([wrong.status, wrong.body.message]).toEqual([400, 'field label not supported: spec.size']);
  });

  test('is watched', async () => {
    const events = server.events(`${WIDGETS}?watch=true&fieldSelector=metadata.name%3Dwatched`, 2);
    await server.must('POST', WIDGETS, widget('watched', { size: 4 }));
    await server.must('DELETE', `${WIDGETS}/watched`);
    expect(await events).toEqual(['ADDED watched', 'DELETED watched']);
  });

  test('may be read by who is allowed to', async () => {
    const path = `${WIDGETS}/whole`;
    const refused = await server.ask('GET', path, undefined, { user: 'bob' });
    expect(refused.body.message).toContain(
      `widgets.${GROUP} "whole" is forbidden: User "bob" cannot get resource "widgets" in API group "${GROUP}"`,
    );
    const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default';
    const rules = [{ apiGroups: [GROUP], resources: ['widgets'], verbs: ['get'] }];
    await server.must('POST', `${rbac}/roles`, { metadata: { name: 'widgets' }, rules });
    await server.must('POST', `${rbac}/rolebindings`, {
      metadata: { name: 'widgets' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'widgets' },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'bob' }],
    });
    await waitFor(
      'bob may read it',
      async () =>
        (await server.ask('GET', path, undefined, { user: 'bob' })).status === 200 ? true : undefined,
      { timeoutMs: 5000, intervalMs: 5 },
    );
  });
});

describe('versions', () => {
  const open = (fields: object) => ({
    openAPIV3Schema: {
      type: 'object',
      properties: { spec: { type: 'object', properties: { both: { type: 'string' }, ...fields } } },
    },
  });
  const GEARS = `/apis/${GROUP}`;

  test('are one object, each with its schema', async () => {
    await server.must(
      'POST',
      DEFINITIONS,
      definition({
        plural: 'gears',
        kind: 'Gear',
        scope: 'Cluster',
        versions: [
          {
            name: 'v1alpha1',
            served: true,
            storage: false,
            deprecated: true,
            schema: open({ old: { type: 'string' } }),
          },
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: open({ now: { type: 'string', default: 'd' } }),
          },
          { name: 'v0', served: false, storage: false, schema: open({}) },
        ],
      }),
    );
    await defined('gears', 'Established');
    const old = await server.ask('POST', `${GEARS}/v1alpha1/gears`, {
      metadata: { name: 'g' },
      spec: { both: 'x', old: 'y' },
    });
    expect(old.headers.get('warning')).toContain(`${GROUP}/v1alpha1 Gear is deprecated`);
    const current = await server.must('GET', `${GEARS}/v1/gears/g`);
    expect([current.apiVersion, current.spec]).toEqual([`${GROUP}/v1`, { both: 'x', now: 'd' }]);
    expect((await server.ask('GET', `${GEARS}/v0/gears`)).status).toBe(404);
    const group = await server.must('GET', GEARS);
    expect([
      group.preferredVersion.version,
      group.versions.map(({ version }: { version: string }) => version),
    ]).toEqual(['v1', ['v1', 'v1alpha1']]);
  });
});

describe('clients find', () => {
  test('the kind by discovery, plain and aggregated', async () => {
    const list = await server.must('GET', `/apis/${GROUP}/v1`);
    const names = list.resources.map(({ name }: { name: string }) => name);
    expect(names).toEqual(expect.arrayContaining(['widgets', 'widgets/scale', 'widgets/status']));
    expect(list.resources.find(({ name }: { name: string }) => name === 'widgets')).toMatchObject({
      singularName: 'widget',
      shortNames: ['wd'],
      categories: ['all'],
      namespaced: true,
    });
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
    const { body } = await server.ask('GET', '/apis', undefined, { headers: { accept } });
    const group = JSON.parse(JSON.stringify(body ?? null))?.items ?? [];
    expect(JSON.stringify(group)).toContain('"resource":"widgets"');
  });

  test('its schema in OpenAPI, of both versions, until it is gone', async () => {
    const index = await server.must('GET', '/openapi/v3');
    expect(Object.keys(index.paths)).toContain(`apis/${GROUP}/v1`);
    const { components, paths } = (await server.must('GET', `/openapi/v3/apis/${GROUP}/v1`)) as ApiObject;
    const name = 'com.example.stable.v1.Widget';
    expect(components.schemas[name].properties.spec.properties.size).toEqual(
      SCHEMA.properties.spec.properties.size,
    );
    expect(components.schemas[name]['x-kubernetes-group-version-kind']).toEqual([
      { group: GROUP, kind: 'Widget', version: 'v1' },
    ]);
    expect(components.schemas).toHaveProperty(['io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta']);
    expect(paths).toHaveProperty([`/apis/${GROUP}/v1/namespaces/{namespace}/widgets/{name}/scale`]);
    const v2 = await server.must('GET', '/openapi/v2');
    expect(v2.definitions[name].properties.spec.properties.size).toEqual({ type: 'integer' });
    const proto = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
    const encoded = await server.ask('GET', '/openapi/v2', undefined, { headers: { accept: proto } });
    expect([encoded.status, encoded.text.includes(name)]).toEqual([200, true]);
  });
});

test('a server that starts serves what was defined before', async () => {
  const storage = new FakeStorage();
  const first = await TestServer.start(storage);
  const before = server;
  server = first;
  await first.must('POST', DEFINITIONS, definition());
  await defined('widgets', 'Established');
  await first.must('POST', WIDGETS, widget('kept', { size: 1 }));
  server = before;
  const second = await TestServer.start(storage);
  expect((await second.must('GET', `${WIDGETS}/kept`)).spec.size).toBe(1);
  await second.stop();
  await first.stop();
});
