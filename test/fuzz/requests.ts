import fc from 'fast-check';
import { FakeStorage } from '../../src/lab/apiserver/storage.fake.ts';
import { TestServer } from '../../src/lab/apiserver/test-server.fake.ts';
import { changedDocument, type FuzzTarget, target } from './fuzz.ts';

const container = {
  ...{
    name: 'c',
    image: 'i',
    command: ['a'],
    env: [
      { name: 'A', value: 'b' },
      { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    ],
  },
  ports: [{ containerPort: 80, hostPort: 80, protocol: 'TCP', hostIP: '10.0.0.1' }],
  resources: { requests: { cpu: '1', memory: '1Gi' } },
  volumeMounts: [{ name: 'v', mountPath: '/v' }],
  readinessProbe: { httpGet: { path: '/', port: 80 } },
};
const podSpec = {
  ...{
    containers: [container],
    nodeName: 'n',
    hostNetwork: false,
    tolerations: [{ key: 'a', operator: 'Exists' }],
  },
  volumes: [
    { name: 'v', hostPath: { path: '/', type: 'Directory' } },
    { name: 'w', configMap: { name: 'a', items: [{ key: 'k', path: 'p' }] } },
  ],
};
const selector = {
  matchLabels: { app: 'a' },
  matchExpressions: [{ key: 'b', operator: 'In', values: ['c'] }],
};
const template = { metadata: { labels: { app: 'a', b: 'c' } }, spec: podSpec };
const metadata = {
  ...{
    name: 'a',
    namespace: 'default',
    labels: { a: 'b' },
    annotations: { a: 'b' },
    finalizers: ['x/y'],
    resourceVersion: '1',
  },
  ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'a', uid: 'u' }],
  managedFields: [
    {
      manager: 'm',
      operation: 'Apply',
      apiVersion: 'v1',
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:data': { '.': {}, 'f:k': {} } },
    },
  ],
};
const rule = { apiGroups: [''], resources: ['pods'], verbs: ['get'], resourceNames: ['a'] };

/** Objects of kinds that have rules of their own. */
const OBJECTS: readonly [path: string, object: object][] = [
  [
    '/api/v1/namespaces/default/pods',
    { metadata, spec: podSpec, status: { phase: 'Running', podIP: '10.1.1.1' } },
  ],
  [
    '/api/v1/namespaces/default/configmaps',
    { metadata, data: { k: 'v' }, binaryData: { b: 'AA==' }, immutable: true },
  ],
  [
    '/api/v1/namespaces/default/services',
    {
      metadata,
      spec: {
        selector: { a: 'b' },
        type: 'NodePort',
        clusterIP: '10.96.0.9',
        ports: [{ name: 'p', port: 80, targetPort: 'x', nodePort: 30000 }],
      },
    },
  ],
  [
    '/api/v1/namespaces/default/events',
    {
      metadata,
      involvedObject: { kind: 'Pod', name: 'a', namespace: 'default' },
      reason: 'R',
      message: 'm',
      count: 1,
    },
  ],
  [
    '/api/v1/nodes',
    {
      metadata,
      spec: { podCIDR: '10.1.0.0/24', taints: [{ key: 'a', effect: 'NoSchedule' }] },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }], capacity: { cpu: '1' } },
    },
  ],
  [
    '/apis/apps/v1/namespaces/default/deployments',
    { metadata, spec: { replicas: 1, selector, template, strategy: { rollingUpdate: { maxSurge: '25%' } } } },
  ],
  ['/apis/apps/v1/namespaces/default/daemonsets', { metadata, spec: { selector, template } }],
  [
    '/apis/rbac.authorization.k8s.io/v1/clusterroles',
    { metadata, rules: [rule], aggregationRule: { clusterRoleSelectors: [selector] } },
  ],
  [
    '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
    {
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'a' },
      subjects: [{ kind: 'User', name: 'u' }],
    },
  ],
  [
    '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    { spec: { user: 'u', groups: ['g'], resourceAttributes: { verb: 'get', resource: 'pods' } } },
  ],
  [
    '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    {
      metadata: { name: 'things.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'things', kind: 'Thing' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: {
                    type: 'object',
                    'x-kubernetes-validations': [{ rule: 'self.a > 1' }],
                    properties: {
                      a: { type: 'integer', default: 2 },
                      b: { type: 'string', pattern: '^a+$' },
                    },
                  },
                },
              },
            },
          },
        ],
      },
    },
  ],
  [
    '/apis/example.com/v1/namespaces/default/things',
    { apiVersion: 'example.com/v1', kind: 'Thing', metadata, spec: { a: 3, b: 'aa' } },
  ],
  [
    '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases',
    { metadata, spec: { holderIdentity: 'h', leaseDurationSeconds: 40 } },
  ],
  ['/api/v1/namespaces/default/pods/a/binding', { target: { kind: 'Node', name: 'n' } }],
  [
    '/api/v1/namespaces/default/serviceaccounts/default/token',
    { spec: { audiences: ['a'], expirationSeconds: 600 } },
  ],
  [
    '/apis/policy/v1/namespaces/default/pods/a/eviction',
    { metadata, deleteOptions: { gracePeriodSeconds: 0 } },
  ],
];
const PATCHES: readonly unknown[] = [
  [
    { op: 'replace', path: '/metadata/labels/a', value: 'c' },
    { op: 'test', path: '/spec', value: {} },
    { op: 'move', from: '/a', path: '/b~1c' },
  ],
  {
    metadata: { labels: { a: null }, $retainKeys: ['x'], finalizers: [] },
    spec: { containers: [{ name: 'c', $patch: 'delete' }], $setElementOrder: 1 },
  },
];
const TYPES = [
  ...[
    'application/json',
    'application/json',
    'application/yaml',
    'application/vnd.kubernetes.protobuf',
    'text/plain',
    '',
  ],
  ...[
    'application/json-patch+json',
    'application/merge-patch+json',
    'application/strategic-merge-patch+json',
    'application/apply-patch+yaml',
  ],
];
const QUERIES = [
  ...[
    '',
    '',
    '',
    '?dryRun=All',
    '?limit=1&continue=abc',
    '?labelSelector=a%3Db,c%20in%20(d)',
    '?labelSelector=!(',
    '?fieldSelector=metadata.name%3Da',
  ],
  ...[
    '?fieldManager=m&force=true',
    '?fieldValidation=Strict',
    '?resourceVersion=x',
    '?resourceVersion=1&resourceVersionMatch=Exact',
    '?propagationPolicy=Orphan',
  ],
  ...[
    '?gracePeriodSeconds=-1',
    '?timeoutSeconds=1&watch=1',
    '?pretty=true&limit=99999999999999999999',
    '?container=../..&tailLines=-1',
  ],
];
const ENDS = [
  '',
  '',
  '/a',
  '/a',
  '/a/status',
  '/a/scale',
  '/a/log',
  '/a/exec?command=x',
  '/a/proxy/%2e%2e/x',
  '/%00',
  '/a/..',
  '/%zz',
  '/a/ephemeralcontainers',
];
const ACCEPTS = [
  'application/json',
  'application/json;as=Table;v=v1;g=meta.k8s.io',
  'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
  'application/yaml',
  '*/*',
  'a/b',
  ';;',
];

const request = fc.record({
  method: fc.constantFrom(
    'POST',
    'POST',
    'POST',
    'PUT',
    'PATCH',
    'PATCH',
    'GET',
    'DELETE',
    'HEAD',
    'OPTIONS',
  ),
  place: fc.constantFrom(
    ...OBJECTS.map(([path]) => path),
    '/openapi/v3',
    '/api/v1/namespaces',
    '/apis/x.y/v1/z',
    '/version',
  ),
  end: fc.constantFrom(...ENDS),
  query: fc.constantFrom(...QUERIES),
  type: fc.constantFrom(...TYPES),
  accept: fc.constantFrom(...ACCEPTS),
  user: fc.constantFrom('admin', 'admin', 'admin', 'worker', 'bob', ''),
  body: fc.oneof(
    { arbitrary: fc.constantFrom(...OBJECTS).chain(([, object]) => changedDocument([object])), weight: 6 },
    { arbitrary: fc.constantFrom(...OBJECTS).map(([, object]) => object as unknown), weight: 3 },
    { arbitrary: changedDocument(PATCHES), weight: 3 },
    { arbitrary: fc.string({ unit: 'binary', maxLength: 50 }) as fc.Arbitrary<unknown>, weight: 1 },
  ),
  isOwn: fc.boolean(),
});

/** A server keeps every version of everything in memory, and searches all of it. */
const REQUESTS_OF_A_SERVER = 300;

let server: TestServer | undefined;
let asked = 0;
/** What it logged of errors that it did not expect, with their stacks. */
let mistakes: string[] = [];

async function fresh(): Promise<TestServer> {
  if (server !== undefined && asked++ < REQUESTS_OF_A_SERVER) return server;
  await server?.stop();
  asked = 0;
  server = await TestServer.start(new FakeStorage(), undefined, undefined, (line) => {
    if (/\n +at /.test(line)) mistakes.push(line);
  });
  await server.must('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
  return server;
}

const requests = target(
  'requests of API clients',
  0.05,
  request,
  async ({ method, place, end, query, type, accept, user, body, isOwn }) => {
    const api = await fresh();
    const own = OBJECTS.find(([path]) => path === place)?.[1];
    const sent = isOwn && own !== undefined ? own : body;
    const hasBody = method !== 'GET' && method !== 'HEAD';
    const path = `${place}${end}${end.includes('?') ? '' : query}`;
    const answer = await api.ask(
      method,
      path,
      hasBody ? (typeof sent === 'string' ? sent : JSON.stringify(sent)) : undefined,
      {
        user,
        headers: { accept, ...(type === '' ? {} : { 'content-type': type }) },
      },
    );
    const found = mistakes;
    mistakes = [];
    if (found.length > 0) throw new Error(`${method} ${path}: ${answer.status}: ${found.join('\n')}`);
    const { message } = (answer.status >= 400 && method !== 'HEAD' ? answer.body : undefined) ?? {};
    if (
      answer.status >= 400 &&
      typeof message !== 'string' &&
      method !== 'HEAD' &&
      /^\/apis?\//.test(place)
    ) {
      throw new Error(`${method} ${path}: ${answer.status} without a Status: ${answer.text}`);
    }
    // It is still there for others.
    if (asked % 10 === 0 && (await api.ask('GET', '/readyz')).status !== 200)
      throw new Error('not ready any more');
  },
);

/** Of clients of the lab's API server. */
export const requestTargets: readonly FuzzTarget[] = [
  {
    ...requests,
    async run(parameters) {
      try {
        return await requests.run(parameters);
      } finally {
        await server?.stop();
        server = undefined;
      }
    },
  },
];
