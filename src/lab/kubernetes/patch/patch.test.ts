import { describe, expect, test } from 'bun:test';
import { kindByName } from '../../../kube/kinds.ts';
import { jsonPatch, mergePatch, PatchError, strategicMergePatch } from './index.ts';

const pod = kindByName('v1', 'Pod')!;
const deployment = kindByName('apps/v1', 'Deployment')!;
const service = kindByName('v1', 'Service')!;

// RFC 7386, appendix A.
test.each([
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
] as [unknown, unknown, unknown][])('merge patch %j with %j', (document, patch, expected) => {
  const before = JSON.stringify(document);
  expect(mergePatch(document, patch)).toEqual(expected);
  expect(JSON.stringify(document)).toBe(before);
});

test('a patch cannot reach a prototype', () => {
  const evil = JSON.parse('{"__proto__": {"polluted": true}}');
  expect(Object.keys(mergePatch({}, evil) as object)).toEqual(['__proto__']);
  const added = jsonPatch({}, [{ op: 'add', path: '/__proto__', value: { polluted: true } }]);
  expect(Object.getPrototypeOf(added)).toBe(Object.prototype);
  expect(() => jsonPatch({}, [{ op: 'add', path: '/constructor/prototype/x', value: 1 }])).toThrow(
    PatchError,
  );
  expect(Object.getPrototypeOf(strategicMergePatch(pod, {}, evil))).toBe(Object.prototype);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

describe('JSON patch', () => {
  test.each([
    // RFC 6902, appendix A.
    [{ foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
    [{ foo: ['bar', 'baz'] }, [{ op: 'add', path: '/foo/1', value: 'qux' }], { foo: ['bar', 'qux', 'baz'] }],
    [{ baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
    [{ foo: ['bar', 'qux', 'baz'] }, [{ op: 'remove', path: '/foo/1' }], { foo: ['bar', 'baz'] }],
    [{ baz: 'qux', foo: 'bar' }, [{ op: 'replace', path: '/baz', value: 'boo' }], { baz: 'boo', foo: 'bar' }],
    [
      { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
      [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
      { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
    ],
    [
      { foo: ['all', 'grass', 'cows', 'eat'] },
      [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
      { foo: ['all', 'cows', 'eat', 'grass'] },
    ],
    [
      { baz: 'qux', foo: ['a', 2, 'c'] },
      [
        { op: 'test', path: '/baz', value: 'qux' },
        { op: 'test', path: '/foo/1', value: 2 },
      ],
      { baz: 'qux', foo: ['a', 2, 'c'] },
    ],
    [
      { foo: 'bar' },
      [{ op: 'add', path: '/child', value: { grandchild: {} } }],
      { foo: 'bar', child: { grandchild: {} } },
    ],
    [{ foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux', xyz: 123 }], { foo: 'bar', baz: 'qux' }],
    [{ '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
    [
      { foo: ['bar'] },
      [{ op: 'add', path: '/foo/-', value: ['abc', 'def'] }],
      { foo: ['bar', ['abc', 'def']] },
    ],
    [
      { a: { b: 1 } },
      [
        { op: 'copy', from: '/a', path: '/c' },
        { op: 'replace', path: '/c/b', value: 2 },
      ],
      { a: { b: 1 }, c: { b: 2 } },
    ],
    [{ a: 1 }, [{ op: 'replace', path: '', value: { b: 2 } }], { b: 2 }],
    [
      { a: null },
      [
        { op: 'test', path: '/a', value: null },
        { op: 'test', path: '/b', value: null },
      ],
      { a: null },
    ],
    [{ a: { x: 1, y: [2] } }, [{ op: 'test', path: '/a', value: { y: [2], x: 1 } }], { a: { x: 1, y: [2] } }],
    [{ a: 1 }, [{ op: 'add', path: '/a', value: null }], { a: null }],
    [
      { metadata: { annotations: {} } },
      [{ op: 'add', path: '/metadata/annotations/a.b~1c', value: 'd' }],
      { metadata: { annotations: { 'a.b/c': 'd' } } },
    ],
  ] as [object, object[], object][])('%j with %j', (document, patch, expected) => {
    const before = JSON.stringify(document);
    expect(jsonPatch(document, patch)).toEqual(expected);
    expect(JSON.stringify(document)).toBe(before);
  });

  test.each([
    [
      { foo: 'bar' },
      [{ op: 'add', path: '/baz/bat', value: 'qux' }],
      422,
      'add operation does not apply: doc is missing path: /baz/bat: missing value',
    ],
    [
      {},
      [{ op: 'remove', path: '/a' }],
      422,
      'remove operation does not apply: doc is missing path: /a: missing value',
    ],
    [
      {},
      [{ op: 'replace', path: '/a', value: 1 }],
      422,
      'replace operation does not apply: doc is missing path: /a: missing value',
    ],
    [
      { a: [1] },
      [{ op: 'add', path: '/a/2', value: 1 }],
      422,
      'add operation does not apply: Unable to access invalid index: 2: invalid index referenced',
    ],
    [
      { a: [1] },
      [{ op: 'remove', path: '/a/-' }],
      422,
      'remove operation does not apply: Unable to access invalid index: -: invalid index referenced',
    ],
    [
      { a: [1, 2] },
      [{ op: 'remove', path: '/a/01' }],
      422,
      'remove operation does not apply: Unable to access invalid index: 01: invalid index referenced',
    ],
    [{ a: 1 }, [{ op: 'test', path: '/a', value: 2 }], 422, 'testing value /a failed: test failed'],
    [{ a: 1 }, [{ op: 'test', path: '/a', value: '1' }], 422, 'testing value /a failed: test failed'],
    [
      { a: { b: 1 } },
      [{ op: 'move', from: '/a', path: '/a/b/c' }],
      422,
      'move operation does not apply: /a cannot be moved into itself (/a/b/c)',
    ],
    [{ a: 1 }, { op: 'add' }, 400, 'error decoding patch: a JSON patch is a list of operations'],
    [{ a: 1 }, [1], 400, 'error decoding patch: operation 0: not an object'],
    [{ a: 1 }, [{ path: '/a' }], 400, 'error decoding patch: operation 0: missing "op"'],
    [{ a: 1 }, [{ op: 'set', path: '/a' }], 400, 'error decoding patch: operation 0: Unexpected kind: set'],
    [{ a: 1 }, [{ op: 'add', path: '/b' }], 400, 'error decoding patch: operation 0: missing "value"'],
    [
      { a: 1 },
      [{ op: 'add', path: 'b', value: 1 }],
      400,
      'error decoding patch: operation 0: "path" must begin with /: b',
    ],
    [{ a: 1 }, [{ op: 'copy', path: '/b' }], 400, 'error decoding patch: operation 0: missing "from"'],
    [
      { a: 1 },
      [{ op: 'remove', path: '/b~2' }],
      400,
      'error decoding patch: operation 0: "path" has an invalid escape: /b~2',
    ],
    [
      { a: 1 },
      Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/a', value: 1 })),
      400,
      'The allowed maximum operations in a JSON patch is 10000, got 10001',
    ],
  ] as [object, unknown, number, string][])(
    '%j refuses a bad patch (%#)',
    (document, patch, code, message) => {
      let error: unknown;
      try {
        jsonPatch(document, patch);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(PatchError);
      expect([(error as PatchError).code, (error as PatchError).message]).toEqual([code, message] as [
        400,
        string,
      ]);
    },
  );

  test('all operations or none', () => {
    const document = { a: 1 };
    const patch = [
      { op: 'add', path: '/b', value: 1 },
      { op: 'test', path: '/a', value: 2 },
    ];
    expect(() => jsonPatch(document, patch)).toThrow(PatchError);
    expect(document).toEqual({ a: 1 });
  });
});

test('a member that is not there is replaced as by Kubernetes, where that is asked for', () => {
  const replace = (path: string) => [{ op: 'replace', path, value: 1 }];
  expect(jsonPatch({ a: {} }, replace('/a/b'), { replaceAdds: true })).toEqual({ a: { b: 1 } });
  for (const path of ['/b/c', '/l/0'])
    expect(() => jsonPatch({ a: {}, l: [] }, replace(path), { replaceAdds: true })).toThrow(PatchError);
});

describe('strategic merge patch', () => {
  const containers = (...list: object[]): object => ({ spec: { containers: list } });
  const cases: [string, typeof pod, object, object, object][] = [
    [
      'maps merge and null removes',
      pod,
      { metadata: { labels: { a: '1', b: '2' } } },
      { metadata: { labels: { a: null, c: '3' } } },
      { metadata: { labels: { b: '2', c: '3' } } },
    ],
    [
      'null for what is not there leaves nothing',
      pod,
      {},
      { metadata: { labels: { a: null, b: 'c' } } },
      { metadata: { labels: { b: 'c' } } },
    ],
    [
      'containers merge by name',
      pod,
      containers({ name: 'a', image: '1' }, { name: 'b', image: '1' }),
      containers({ name: 'b', image: '2' }),
      containers({ name: 'a', image: '1' }, { name: 'b', image: '2' }),
    ],
    [
      'a new item comes first when no order is given',
      pod,
      containers({ name: 'a' }),
      containers({ name: 'b' }),
      containers({ name: 'b' }, { name: 'a' }),
    ],
    [
      'ports merge by containerPort',
      pod,
      containers({ name: 'a', ports: [{ containerPort: 8080, protocol: 'TCP' }] }),
      containers({ name: 'a', ports: [{ containerPort: 8080, hostPort: 80 }] }),
      containers({ name: 'a', ports: [{ containerPort: 8080, protocol: 'TCP', hostPort: 80 }] }),
    ],
    [
      'volumes merge by name',
      pod,
      { spec: { volumes: [{ name: 'v', hostPath: { path: '/a' } }] } },
      { spec: { volumes: [{ name: 'v', hostPath: { type: 'File' } }] } },
      { spec: { volumes: [{ name: 'v', hostPath: { path: '/a', type: 'File' } }] } },
    ],
    [
      'retained keys clear the others',
      pod,
      { spec: { volumes: [{ name: 'v', hostPath: { path: '/a' } }] } },
      { spec: { volumes: [{ $retainKeys: ['name', 'emptyDir'], name: 'v', emptyDir: {} }] } },
      { spec: { volumes: [{ name: 'v', emptyDir: {} }] } },
    ],
    [
      'retained keys of a strategy',
      deployment,
      { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } },
      { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } },
      { spec: { strategy: { type: 'Recreate' } } },
    ],
    [
      'an item is deleted',
      pod,
      containers({ name: 'a' }, { name: 'b' }),
      containers({ name: 'a', $patch: 'delete' }),
      containers({ name: 'b' }),
    ],
    [
      'deleting what is not there',
      pod,
      containers({ name: 'a' }),
      containers({ name: 'x', $patch: 'delete' }),
      containers({ name: 'a' }),
    ],
    [
      'deleting from a list that is not there',
      pod,
      { spec: {} },
      { spec: { containers: [{ name: 'a', $patch: 'delete' }] } },
      { spec: { containers: [] } },
    ],
    [
      'a list is replaced',
      pod,
      containers({ name: 'a' }, { name: 'b' }),
      containers({ name: 'c' }, { $patch: 'replace' }),
      containers({ name: 'c' }),
    ],
    [
      'a map is replaced',
      pod,
      { metadata: { labels: { a: '1' } } },
      { metadata: { labels: { $patch: 'replace', b: '2' } } },
      { metadata: { labels: { b: '2' } } },
    ],
    [
      'a map is deleted',
      pod,
      { spec: { securityContext: { runAsUser: 1 } } },
      { spec: { securityContext: { $patch: 'delete' } } },
      { spec: { securityContext: {} } },
    ],
    [
      'an explicit merge',
      pod,
      { metadata: { labels: { a: '1' } } },
      { metadata: { labels: { $patch: 'merge', b: '2' } } },
      { metadata: { labels: { a: '1', b: '2' } } },
    ],
    [
      'lists without a key are replaced',
      pod,
      containers({ name: 'a', command: ['x', 'y'] }),
      containers({ name: 'a', command: ['z'] }),
      containers({ name: 'a', command: ['z'] }),
    ],
    [
      'tolerations are replaced',
      pod,
      { spec: { tolerations: [{ key: 'a' }] } },
      { spec: { tolerations: [{ key: 'b' }] } },
      { spec: { tolerations: [{ key: 'b' }] } },
    ],
    [
      'finalizers merge as a set',
      pod,
      { metadata: { finalizers: ['a', 'b'] } },
      { metadata: { finalizers: ['b', 'c'] } },
      { metadata: { finalizers: ['a', 'b', 'c'] } },
    ],
    [
      'finalizers are removed',
      pod,
      { metadata: { finalizers: ['a', 'b', 'c'] } },
      {
        metadata: { '$deleteFromPrimitiveList/finalizers': ['b'], '$setElementOrder/finalizers': ['c', 'a'] },
      },
      { metadata: { finalizers: ['c', 'a'] } },
    ],
    [
      'the order that is asked for',
      pod,
      containers({ name: 'a' }, { name: 'b' }),
      { spec: { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] } },
      containers({ name: 'b' }, { name: 'a' }),
    ],
    [
      'the order, with a change',
      pod,
      containers({ name: 'a' }, { name: 'b' }),
      {
        spec: {
          '$setElementOrder/containers': [{ name: 'b' }, { name: 'c' }, { name: 'a' }],
          containers: [{ name: 'c', image: '1' }],
        },
      },
      containers({ name: 'b' }, { name: 'c', image: '1' }, { name: 'a' }),
    ],
    [
      'what only the server has keeps its place',
      pod,
      containers({ name: 's' }, { name: 'a' }, { name: 'b' }),
      {
        spec: {
          '$setElementOrder/containers': [{ name: 'a' }, { name: 'c' }, { name: 'b' }],
          containers: [{ name: 'c' }],
        },
      },
      containers({ name: 's' }, { name: 'a' }, { name: 'c' }, { name: 'b' }),
    ],
    [
      'the order of ports',
      pod,
      containers({ name: 'a', ports: [{ containerPort: 1 }, { containerPort: 2 }] }),
      containers({
        name: 'a',
        '$setElementOrder/ports': [{ containerPort: 2 }, { containerPort: 1 }],
      } as object),
      containers({ name: 'a', ports: [{ containerPort: 2 }, { containerPort: 1 }] }),
    ],
    [
      'env merges by name',
      pod,
      containers({ name: 'a', env: [{ name: 'A', value: '1' }] }),
      containers({ name: 'a', env: [{ name: 'B', value: '2' }] }),
      containers({
        name: 'a',
        env: [
          { name: 'B', value: '2' },
          { name: 'A', value: '1' },
        ],
      }),
    ],
    [
      'conditions merge by type',
      pod,
      { status: { conditions: [{ type: 'Ready', status: 'False', reason: 'x' }] } },
      { status: { conditions: [{ type: 'Ready', status: 'True', reason: null }] } },
      { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
    ],
    [
      'a service’s ports merge by port',
      service,
      { spec: { ports: [{ port: 80, targetPort: 1 }] } },
      { spec: { ports: [{ port: 80, targetPort: 2 }] } },
      { spec: { ports: [{ port: 80, targetPort: 2 }] } },
    ],
    [
      'inside a template',
      deployment,
      { spec: { template: { spec: { containers: [{ name: 'a', image: '1' }] } } } },
      { spec: { template: { spec: { containers: [{ name: 'a', image: '2' }] } } } },
      { spec: { template: { spec: { containers: [{ name: 'a', image: '2' }] } } } },
    ],
    [
      'new values carry no directives',
      pod,
      {},
      containers({
        name: 'a',
        '$setElementOrder/ports': [{ containerPort: 1 }],
        ports: [{ containerPort: 1, hostIP: null }],
      } as object),
      containers({ name: 'a', ports: [{ containerPort: 1 }] }),
    ],
    [
      'a value of another form replaces',
      pod,
      { metadata: { labels: 'odd' } },
      { metadata: { labels: { a: 'b' } } },
      { metadata: { labels: { a: 'b' } } },
    ],
    [
      'unknown fields merge as JSON does',
      pod,
      { spec: { foo: { a: 1, l: [1] } } },
      { spec: { foo: { b: 2, l: [2] } } },
      { spec: { foo: { a: 1, b: 2, l: [2] } } },
    ],
  ];
  test.each(cases)('%s', (_name, info, document, patch, expected) => {
    const before = JSON.stringify([document, patch]);
    expect(strategicMergePatch(info, document, patch)).toEqual(expected);
    expect(JSON.stringify([document, patch])).toBe(before);
  });

  test('a second name of a kind merges as the first', () => {
    const legacy = kindByName('extensions/v1beta1', 'Deployment')!;
    const document = { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: {} } } };
    const patch = { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } };
    expect(strategicMergePatch(legacy, document, patch)).toEqual({
      spec: { strategy: { type: 'Recreate' } },
    });
  });

  test.each([
    ['no object', [], 'error decoding patch: a strategic merge patch is an object'],
    [
      'no merge key',
      containers({ image: 'a' }),
      'map: {"image":"a"} does not contain declared merge key: name',
    ],
    [
      'no object in a merged list',
      containers(1 as unknown as object),
      'invalid patch: an item of containers is not an object',
    ],
    [
      'unknown directive in a list',
      containers({ name: 'a', $patch: 'drop' }),
      'unknown patch type: "drop" in list',
    ],
    ['unknown directive in a map', { spec: { $patch: 'drop' } }, 'unknown patch type: "drop" in map'],
    [
      'merge directive in a list',
      containers({ name: 'a', $patch: 'merge' }),
      'merging lists cannot yet be specified in the patch',
    ],
    [
      'keys set but not retained',
      { spec: { $retainKeys: ['a'], b: 1 } },
      'invalid patch format of retainKeys: b is set but not retained',
    ],
  ])('%s is refused', (_name, patch, message) => {
    const document = { spec: { containers: [{ name: 'a' }] } };
    expect(() => strategicMergePatch(pod, document, patch)).toThrow(new PatchError(400, message));
  });
});
