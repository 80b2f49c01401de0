/** One request of the differential test. Later ones build on what earlier ones have made. */
export interface Operation {
  /** What is unusual about it; with method and path it is the operation's name. */
  note?: string;
  method: string;
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  /** A user of the test's token file; default `admin`. */
  user?: string;
  /** A watch: its events until `timeoutSeconds` are over. */
  watch?: true;
  /** Puts what only the server knows into the request, from the answers so far by name. */
  fill?: (answers: ReadonlyMap<string, Answered>, operation: Operation) => Operation;
}

export interface Answered {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: an answer is looked into as a client does.
  body: any;
}

const core = '/api/v1/namespaces/diff';
const apps = '/apis/apps/v1/namespaces/diff';
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const MERGE = { 'content-type': 'application/merge-patch+json' };
const STRATEGIC = { 'content-type': 'application/strategic-merge-patch+json' };
const JSON_PATCH = { 'content-type': 'application/json-patch+json' };
const APPLY = { 'content-type': 'application/apply-patch+yaml' };
const TABLE = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' };
const METADATA = { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' };
const METADATA_LIST = { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' };

/** Distinguishes it from all others: method, path, what is created or how it is changed, and the note. */
export function nameOf({ method, path, body, headers, note }: Operation): string {
  const created = (body as { metadata?: { name?: string } } | undefined)?.metadata?.name;
  const patched = /^application\/(.*-patch)\+/.exec(headers?.['content-type'] ?? '')?.[1];
  const what = method === 'POST' ? created : patched;
  return [method, path, what, note === undefined ? undefined : `(${note})`].filter(Boolean).join(' ');
}

type Rest = Omit<Operation, 'method' | 'path'>;
const get = (path: string, rest: Rest = {}): Operation => ({ method: 'GET', path, ...rest });
const post = (path: string, body: unknown, rest: Rest = {}): Operation => ({
  method: 'POST',
  path,
  body,
  ...rest,
});
const put = (path: string, body: unknown, rest: Rest = {}): Operation => ({
  method: 'PUT',
  path,
  body,
  ...rest,
});
const patch = (path: string, body: unknown, headers: Record<string, string>, rest: Rest = {}): Operation => ({
  method: 'PATCH',
  path,
  body,
  headers,
  ...rest,
});
const remove = (path: string, body?: unknown, rest: Rest = {}): Operation => ({
  method: 'DELETE',
  path,
  body,
  ...rest,
});

const configMap = (name: string, labels?: Record<string, string>, rest: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, labels },
  data: { key: name },
  ...rest,
});
const container = { name: 'main', image: 'registry.example/echo:1' };
const pod = (name: string, spec: object = {}, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec: { containers: [container], ...spec },
});
const template = (labels: object = { app: 'a' }, spec: object = {}) => ({
  metadata: { labels },
  spec: { containers: [container], ...spec },
});
const workload = (kind: string, name: string, spec: object = {}) => ({
  apiVersion: 'apps/v1',
  kind,
  metadata: { name },
  spec: { selector: { matchLabels: { app: 'a' } }, template: template(), ...spec },
});
const service = (name: string, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector: { app: 'a' }, ports: [{ port: 80 }], ...spec },
});
/** Continues a list where the one of that name ended. */
const next =
  (of: string): Operation['fill'] =>
  (answers, operation) => ({
    ...operation,
    path: `${operation.path}&continue=${encodeURIComponent(answers.get(of)?.body.metadata.continue ?? '')}`,
  });

const setUp: Operation[] = [
  post('/api/v1/namespaces', { metadata: { name: 'diff' } }),
  post(`${core}/serviceaccounts`, { metadata: { name: 'default' } }),
];

const namespaces: Operation[] = [
  post('/api/v1/namespaces', { metadata: { name: 'diff' } }, { note: 'again' }),
  post('/api/v1/namespaces', { metadata: { name: 'Not_A_Name' } }, { note: 'a bad name' }),
  get('/api/v1/namespaces/diff'),
  get('/api/v1/namespaces/diff', { note: 'as a table', headers: TABLE }),
  get('/api/v1/namespaces/none'),
  get('/api/v1/namespaces?labelSelector=kubernetes.io/metadata.name=diff'),
  patch('/api/v1/namespaces/diff', { metadata: { labels: { a: 'b' } } }, MERGE),
  patch('/api/v1/namespaces/diff', { metadata: { labels: { 'not ok': 'b' } } }, MERGE, {
    note: 'a bad label',
  }),
  remove('/api/v1/namespaces/kube-system'),
];

const configMaps: Operation[] = [
  post(`${core}/configmaps?dryRun=All`, configMap('tried')),
  get(`${core}/configmaps/tried`),
  post(`${core}/configmaps?dryRun=Some`, configMap('tried'), { note: 'a bad dryRun' }),
  post(`${core}/configmaps`, configMap('a', { color: 'red', n: '1' })),
  post(`${core}/configmaps`, configMap('b', { color: 'blue', n: '2' })),
  post(`${core}/configmaps`, configMap('c', { color: 'red', n: '3' })),
  post(`${core}/configmaps`, configMap('d', { n: '4' })),
  post(`${core}/configmaps`, configMap('e')),
  post(`${core}/configmaps`, configMap('a'), { note: 'again' }),
  post(`${core}/configmaps`, { metadata: { generateName: 'generated-' } }, { note: 'generateName' }),
  post(`${core}/configmaps`, { metadata: {} }, { note: 'no name' }),
  post(`${core}/configmaps`, configMap('A_B'), { note: 'a bad name' }),
  post(`${core}/configmaps`, configMap('x', { 'a b': 'c' }), { note: 'a bad label' }),
  post(`${core}/configmaps`, configMap('x', undefined, { data: { 'a/b': 'c' } }), { note: 'a bad key' }),
  post(`${core}/configmaps`, configMap('x', undefined, { data: { a: 1 } }), {
    note: 'a value of another type',
  }),
  post(`${core}/configmaps`, configMap('x', undefined, { data: 'text' }), {
    note: 'a field of another type',
  }),
  post(`${core}/configmaps?fieldValidation=Strict`, configMap('x', undefined, { colour: 1 }), {
    note: 'an unknown field',
  }),
  post(`${core}/configmaps?fieldValidation=Warn`, configMap('warned', undefined, { colour: 1 }), {
    note: 'an unknown field',
  }),
  post(`${core}/configmaps?fieldValidation=Ignore`, configMap('ignored', undefined, { colour: 1 }), {
    note: 'an unknown field',
  }),
  post(`${core}/configmaps?fieldValidation=Perhaps`, configMap('x')),
  post(`${core}/configmaps`, { ...configMap('x'), kind: 'Secret' }, { note: 'another kind' }),
  post(`${core}/configmaps`, { ...configMap('x'), apiVersion: 'v2' }, { note: 'another version' }),
  post(`${core}/configmaps`, configMap('x', undefined, { metadata: { name: 'x', namespace: 'other' } }), {
    note: 'another namespace',
  }),
  post(`${core}/configmaps`, configMap('x', undefined, { metadata: { name: 'x', resourceVersion: '5' } }), {
    note: 'with a resourceVersion',
  }),
  post(`${core}/configmaps`, '{"metadata":', { note: 'no JSON' }),
  post(`${core}/configmaps`, '', { note: 'an empty body' }),
  post(`${core}/configmaps`, '[]', { note: 'a list' }),
  post(`${core}/configmaps`, 'a: [1', { note: 'no YAML', headers: { 'content-type': 'application/yaml' } }),
  post(`${core}/configmaps`, 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-yaml\n', {
    note: 'YAML',
    headers: { 'content-type': 'application/yaml' },
  }),
  post(`${core}/configmaps`, 'text', { note: 'text', headers: { 'content-type': 'text/plain' } }),
  post('/api/v1/namespaces/none/configmaps', configMap('x'), { note: 'no such namespace' }),
  get(`${core}/configmaps/a`),
  get(`${core}/configmaps/a`, { note: 'as a table', headers: TABLE }),
  get(`${core}/configmaps/a`, { note: 'as metadata', headers: METADATA }),
  get(`${core}/configmaps/a`, { note: 'as something else', headers: { accept: 'text/html' } }),
  get(`${core}/configmaps/a?resourceVersion=x`),
  get(`${core}/configmaps/none`),
  get(`${core}/configmaps?labelSelector=color`),
  get(`${core}/configmaps?labelSelector=color`, { note: 'as a table', headers: TABLE }),
  get(`${core}/configmaps?labelSelector=color&includeObject=None`, { note: 'as a table', headers: TABLE }),
  get(`${core}/configmaps?labelSelector=color`, { note: 'as metadata', headers: METADATA_LIST }),
  get(`${core}/configmaps?labelSelector=color%3Dred,n%21%3D1`),
  get(`${core}/configmaps?labelSelector=${encodeURIComponent('color in (blue, green),n notin (1)')}`),
  get(`${core}/configmaps?labelSelector=%21color`),
  get(`${core}/configmaps?labelSelector=n%3E2`),
  get(`${core}/configmaps?labelSelector=${encodeURIComponent('a in b')}`),
  get(`${core}/configmaps?labelSelector=${encodeURIComponent('=x')}`),
  get(`${core}/configmaps?labelSelector=${encodeURIComponent('a b=c')}`),
  get(`${core}/configmaps?fieldSelector=metadata.name%3Da`),
  get(`${core}/configmaps?fieldSelector=metadata.name%21%3Da,metadata.namespace%3Ddiff&labelSelector=color`),
  get(`${core}/configmaps?fieldSelector=data.key%3Da`),
  get(`${core}/configmaps?fieldSelector=nonsense`),
  get(`${core}/configmaps?limit=2`),
  get(`${core}/configmaps?limit=2`, { note: 'continued', fill: next(`GET ${core}/configmaps?limit=2`) }),
  get(`${core}/configmaps?limit=1&labelSelector=color%3Dred`),
  get(`${core}/configmaps?limit=1&labelSelector=color%3Dred`, {
    note: 'continued',
    fill: next(`GET ${core}/configmaps?limit=1&labelSelector=color%3Dred`),
  }),
  get(`${core}/configmaps?limit=x`),
  get(`${core}/configmaps?limit=-1`),
  get(`${core}/configmaps?continue=nonsense`),
  get(`${core}/configmaps?resourceVersion=0&labelSelector=color`),
  get(`${core}/configmaps?resourceVersion=x`),
  get(`${core}/configmaps?resourceVersionMatch=Exact`),
  get(`${core}/configmaps?resourceVersionMatch=Perhaps&resourceVersion=1`),
  get(`${core}/configmaps?resourceVersion=0&resourceVersionMatch=Exact`),
  put(`${core}/configmaps/a`, configMap('a', { color: 'red', n: '1' }, { data: { key: 'changed' } })),
  put(`${core}/configmaps/a`, configMap('b'), { note: 'another name' }),
  put(`${core}/configmaps/none`, configMap('none'), { note: 'a new one' }),
  put(`${core}/configmaps/a`, configMap('a', undefined, { metadata: { name: 'a', resourceVersion: '1' } }), {
    note: 'an old version',
  }),
  put(`${core}/configmaps/a`, configMap('a', undefined, { metadata: { name: 'a', uid: 'x' } }), {
    note: 'another uid',
  }),
  put(`${core}/configmaps/a?dryRun=All`, configMap('a', undefined, { data: { key: 'tried' } })),
  patch(`${core}/configmaps/a`, [{ op: 'add', path: '/data/j', value: '1' }], JSON_PATCH),
  patch(`${core}/configmaps/a`, [{ op: 'test', path: '/data/j', value: '2' }], JSON_PATCH, {
    note: 'a failing test',
  }),
  patch(`${core}/configmaps/a`, [{ op: 'remove', path: '/data/none' }], JSON_PATCH, {
    note: 'nothing to remove',
  }),
  patch(`${core}/configmaps/a`, [{ op: 'replace', path: '/data/none', value: '1' }], JSON_PATCH, {
    note: 'nothing to replace',
  }),
  patch(`${core}/configmaps/a`, [{ op: 'replace', path: '/none/a', value: '1' }], JSON_PATCH, {
    note: 'nothing to replace anything in',
  }),
  patch(`${core}/configmaps/a`, [{ op: 'jump', path: '/data' }], JSON_PATCH, {
    note: 'an unknown operation',
  }),
  patch(`${core}/configmaps/a`, { op: 'add' }, JSON_PATCH, { note: 'not a list' }),
  patch(`${core}/configmaps/a`, { data: { j: null, m: '2' } }, MERGE),
  patch(`${core}/configmaps/a`, { data: { m: 2 } }, MERGE, { note: 'a value of another type' }),
  patch(`${core}/configmaps/a`, '{"data":', MERGE, { note: 'no JSON' }),
  patch(`${core}/configmaps/a`, { metadata: { name: 'other' } }, MERGE, { note: 'another name' }),
  patch(`${core}/configmaps/a`, { kind: 'Secret' }, MERGE, { note: 'another kind' }),
  patch(`${core}/configmaps/a?fieldValidation=Strict`, { colour: 'red' }, MERGE, {
    note: 'an unknown field',
  }),
  patch(`${core}/configmaps/a`, { data: { s: '3', $patch: 'merge' } }, STRATEGIC, { note: 'a directive' }),
  patch(`${core}/configmaps/a`, { data: { s: '3' } }, STRATEGIC),
  patch(
    `${core}/configmaps/a`,
    { data: {} },
    { 'content-type': 'application/json' },
    { note: 'an unknown type' },
  ),
  patch(`${core}/configmaps/none`, { data: {} }, MERGE),
  patch(`${core}/configmaps/applied?fieldManager=one`, configMap('applied'), APPLY),
  patch(`${core}/configmaps/applied`, configMap('applied'), APPLY, { note: 'no manager' }),
  patch(
    `${core}/configmaps/applied?fieldManager=two`,
    configMap('applied', undefined, { data: { key: 'x' } }),
    APPLY,
    {
      note: 'a conflict',
    },
  ),
  patch(
    `${core}/configmaps/applied?fieldManager=two&force=true`,
    configMap('applied', undefined, { data: { key: 'x' } }),
    APPLY,
  ),
  post(`${core}/configmaps`, configMap('fixed', undefined, { immutable: true })),
  patch(`${core}/configmaps/fixed`, { data: { key: 'y' } }, MERGE, { note: 'of what is immutable' }),
];

const deletions: Operation[] = [
  remove(`${core}/configmaps/none`),
  remove(`${core}/configmaps/e?dryRun=All`),
  remove(`${core}/configmaps/e`, { preconditions: { uid: 'other' } }, { note: 'another uid' }),
  remove(`${core}/configmaps/e`, { preconditions: { resourceVersion: '1' } }, { note: 'another version' }),
  remove(`${core}/configmaps/e`, { propagationPolicy: 'Never' }, { note: 'a bad policy' }),
  remove(
    `${core}/configmaps/e`,
    { propagationPolicy: 'Orphan', orphanDependents: true },
    { note: 'two policies' },
  ),
  remove(`${core}/configmaps/e`, { gracePeriodSeconds: 'x' }, { note: 'a bad grace' }),
  remove(`${core}/configmaps/e?propagationPolicy=Background`),
  remove(`${core}/configmaps/d`, { propagationPolicy: 'Orphan' }),
  get(`${core}/configmaps/d`, { note: 'waiting for its dependents' }),
  remove(`${core}/configmaps/c`, { propagationPolicy: 'Foreground' }),
  get(`${core}/configmaps/c`, { note: 'waiting for its dependents' }),
  patch(`${core}/configmaps/c`, { metadata: { finalizers: ['example.org/mine'] } }, MERGE, {
    note: 'while it goes',
  }),
  patch(`${core}/configmaps/c`, { metadata: { finalizers: [] } }, MERGE, { note: 'nothing keeps it' }),
  get(`${core}/configmaps/c`, { note: 'gone' }),
  remove(`${core}/configmaps?labelSelector=color`),
  get(`${core}/configmaps?labelSelector=color`, { note: 'after the deletion' }),
];

/** From the version of the first list on, so that both servers have the same events to tell. */
const since =
  (of: string): Operation['fill'] =>
  (answers, operation) => ({
    ...operation,
    path: `${operation.path}&resourceVersion=${answers.get(of)?.body.metadata.resourceVersion ?? ''}`,
  });
const WATCHED = `GET ${core}/secrets`;

const watches: Operation[] = [
  get(`${core}/secrets`),
  post(`${core}/secrets`, { metadata: { name: 's', labels: { a: '1' } }, stringData: { k: 'v' } }),
  patch(`${core}/secrets/s`, { metadata: { labels: { a: '2' } } }, MERGE),
  patch(`${core}/secrets/s`, { data: { k: 'bad' } }, MERGE, { note: 'not base64' }),
  patch(`${core}/secrets/s`, { type: 'other' }, MERGE, { note: 'another type' }),
  post(
    `${core}/secrets`,
    { metadata: { name: 't' }, type: 'kubernetes.io/tls' },
    { note: 'without its keys' },
  ),
  post(
    `${core}/secrets`,
    { metadata: { name: 't' }, type: 'kubernetes.io/basic-auth', data: {} },
    { note: 'basic-auth' },
  ),
  remove(`${core}/secrets/s`),
  get(`${core}/secrets?watch=1&timeoutSeconds=1`, { watch: true, fill: since(WATCHED) }),
  get(`${core}/secrets?watch=1&timeoutSeconds=1&labelSelector=a%3D1`, { watch: true, fill: since(WATCHED) }),
  get(`${core}/secrets?watch=1&timeoutSeconds=1`, {
    watch: true,
    note: 'as a table',
    headers: TABLE,
    fill: since(WATCHED),
  }),
  get(`${core}/secrets?watch=1&timeoutSeconds=1`, {
    watch: true,
    note: 'as metadata',
    headers: METADATA,
    fill: since(WATCHED),
  }),
  get(
    `${core}/configmaps?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=n`,
    {
      watch: true,
    },
  ),
  get(`${core}/configmaps?watch=1&timeoutSeconds=1&sendInitialEvents=true`, {
    watch: true,
    note: 'without a match',
  }),
  get(`${core}/configmaps?watch=1&resourceVersion=x`),
  get(`${core}/configmaps?watch=1&labelSelector=${encodeURIComponent('a in b')}`),
  get(`${core}/secrets?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dnone`, {
    watch: true,
    fill: since(WATCHED),
  }),
];

const pods: Operation[] = [
  post(`${core}/pods`, pod('p', {}, { labels: { app: 'a' } })),
  get(`${core}/pods/p`),
  get(`${core}/pods/p`, { note: 'as a table', headers: TABLE }),
  get(`${core}/pods?fieldSelector=spec.nodeName%3D,status.phase%3DPending`),
  get(`${core}/pods?fieldSelector=spec.image%3Dx`),
  post(
    `${core}/pods`,
    pod('full', {
      hostNetwork: true,
      restartPolicy: 'Never',
      initContainers: [{ name: 'init', image: 'busybox' }],
      containers: [
        {
          ...container,
          ports: [{ containerPort: 80, hostPort: 80, name: 'web' }],
          resources: { limits: { cpu: '0.5', memory: '64Mi' }, requests: { cpu: '250m' } },
          env: [{ name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
          livenessProbe: { httpGet: { port: 80 } },
          lifecycle: { preStop: { exec: { command: ['true'] } } },
          securityContext: { runAsUser: 1 },
          volumeMounts: [{ name: 'v', mountPath: '/v' }],
        },
      ],
      volumes: [
        { name: 'v', hostPath: { path: '/tmp' } },
        { name: 'c', configMap: { name: 'warned' } },
        { name: 'e', emptyDir: {} },
      ],
      tolerations: [{ operator: 'Exists' }],
    }),
  ),
  post(`${core}/pods`, { metadata: { name: 'x' } }, { note: 'no spec' }),
  post(`${core}/pods`, pod('x', { containers: [] }), { note: 'no containers' }),
  post(`${core}/pods`, pod('x', { containers: [container, container] }), { note: 'two of one name' }),
  post(`${core}/pods`, pod('x', { containers: [{ name: 'A_B' }] }), { note: 'a bad container' }),
  post(`${core}/pods`, pod('x', { restartPolicy: 'Sometimes', dnsPolicy: 'None' }), { note: 'bad policies' }),
  post(
    `${core}/pods`,
    pod('x', { containers: [{ ...container, ports: [{ containerPort: 0, hostPort: 70000 }] }] }),
    {
      note: 'bad ports',
    },
  ),
  post(
    `${core}/pods`,
    pod('x', {
      containers: [
        {
          ...container,
          ports: [
            { containerPort: 1, hostPort: 80 },
            { containerPort: 2, hostPort: 80 },
          ],
        },
      ],
    }),
    { note: 'a hostPort twice' },
  ),
  post(
    `${core}/pods`,
    pod('x', {
      hostNetwork: true,
      containers: [{ ...container, ports: [{ containerPort: 1, hostPort: 2 }] }],
    }),
    { note: 'another hostPort on the host network' },
  ),
  post(
    `${core}/pods`,
    pod('x', { containers: [{ ...container, volumeMounts: [{ name: 'no', mountPath: '/a' }] }] }),
    {
      note: 'no such volume',
    },
  ),
  post(`${core}/pods`, pod('x', { volumes: [{ name: 'v', hostPath: { path: '/..' }, emptyDir: {} }] }), {
    note: 'two volumes in one',
  }),
  post(`${core}/pods`, pod('x', { terminationGracePeriodSeconds: -1, activeDeadlineSeconds: 0 }), {
    note: 'bad times',
  }),
  post(`${core}/pods`, pod('x', { containers: [{ ...container, resources: { limits: { cpu: 'much' } } }] }), {
    note: 'no quantity',
  }),
  post(
    `${core}/pods`,
    pod('x', { containers: [{ ...container, resources: { limits: { cpu: '1' }, requests: { cpu: '2' } } }] }),
    { note: 'more than the limit' },
  ),
  post(`${core}/pods`, pod('x', { containers: 'main' }), { note: 'a field of another type' }),
  post(`${core}/pods`, pod('x', { serviceAccountName: 'none' }), { note: 'no such account' }),
  post(`${core}/pods?fieldValidation=Strict`, pod('x', { hostPort: 80 }), { note: 'an unknown field' }),
  patch(
    `${core}/pods/p`,
    { spec: { containers: [{ name: 'main', image: 'registry.example/echo:2' }] } },
    STRATEGIC,
    {
      note: 'another image',
    },
  ),
  patch(`${core}/pods/p`, { spec: { activeDeadlineSeconds: 600 } }, STRATEGIC),
  patch(`${core}/pods/p`, { spec: { hostNetwork: true } }, STRATEGIC, { note: 'what may not change' }),
  patch(`${core}/pods/p`, { metadata: { labels: { app: 'b' } }, status: { phase: 'Running' } }, STRATEGIC, {
    note: 'a status, which is not for it',
  }),
  patch(
    `${core}/pods/p/status`,
    { status: { phase: 'Running', podIP: '10.1.1.1', podIPs: [{ ip: '10.1.1.1' }] } },
    STRATEGIC,
  ),
  patch(`${core}/pods/p/status`, { status: { podIP: 'nowhere' } }, STRATEGIC, { note: 'no address' }),
  get(`${core}/pods/p/status`),
  get(`${core}/pods/p/log`),
  get(`${core}/pods/p/log?container=none`),
  get(`${core}/pods/p/log?tailLines=x`),
  get(`${core}/pods/none/log`),
  post(`${core}/pods/p/exec?command=ls&stdout=true`, undefined, { note: 'no upgrade' }),
  get(`${core}/pods/p/nonsense`),
  post(
    `${core}/pods/p/binding`,
    { metadata: { name: 'p' }, target: { kind: 'Service', name: 'n' } },
    { note: 'to no node' },
  ),
  post(
    `${core}/pods/p/binding`,
    { metadata: { name: 'p' }, target: { kind: 'Node' } },
    { note: 'to nothing' },
  ),
  post(
    `${core}/pods/p/binding`,
    { metadata: { name: 'other' }, target: { kind: 'Node', name: 'n' } },
    { note: 'another name' },
  ),
  post(`${core}/pods/p/binding`, { metadata: { name: 'p' }, target: { kind: 'Node', name: 'n' } }),
  post(
    `${core}/pods/p/binding`,
    { metadata: { name: 'p' }, target: { kind: 'Node', name: 'm' } },
    { note: 'again' },
  ),
  post(`${core}/pods/none/binding`, { metadata: { name: 'none' }, target: { kind: 'Node', name: 'n' } }),
  get(`${core}/pods/p`, { note: 'bound' }),
  get(`${core}/pods?fieldSelector=spec.nodeName%3Dn`, { note: 'as a table', headers: TABLE }),
  remove(`${core}/pods/p`, { gracePeriodSeconds: 60 }, { note: 'in a minute' }),
  remove(`${core}/pods/p`, { gracePeriodSeconds: 5 }, { note: 'sooner' }),
  get(`${core}/pods/p`, { note: 'ending' }),
  remove(`${core}/pods/p`, { gracePeriodSeconds: 0 }, { note: 'now' }),
  get(`${core}/pods/p`, { note: 'gone' }),
  post(`${core}/pods/full/eviction`, { metadata: { name: 'other' } }, { note: 'another name' }),
  post(
    `${core}/pods/full/eviction`,
    { metadata: { name: 'full' }, deleteOptions: { dryRun: ['All'] } },
    { note: 'tried' },
  ),
  post(`${core}/pods/full/eviction`, { metadata: { name: 'full' } }),
  post(`${core}/pods/full/eviction`, { metadata: { name: 'full' } }, { note: 'of what is gone' }),
  remove(`${core}/pods`, { propagationPolicy: 'Background' }),
];

const workloads: Operation[] = [
  post(`${apps}/deployments`, workload('Deployment', 'd')),
  get(`${apps}/deployments/d`, { note: 'as a table', headers: TABLE }),
  get(`${apps}/deployments/d/scale`),
  put(`${apps}/deployments/d/scale`, { metadata: { name: 'd', namespace: 'diff' }, spec: { replicas: 3 } }),
  put(
    `${apps}/deployments/d/scale`,
    { metadata: { name: 'd', namespace: 'diff' }, spec: { replicas: -1 } },
    { note: 'less than none' },
  ),
  put(
    `${apps}/deployments/d/scale`,
    { metadata: { name: 'e', namespace: 'diff' }, spec: { replicas: 1 } },
    { note: 'another name' },
  ),
  patch(`${apps}/deployments/d/scale`, { spec: { replicas: 2 } }, MERGE),
  patch(`${apps}/deployments/d/scale`, [{ op: 'replace', path: '/spec/replicas', value: 1 }], JSON_PATCH),
  get(`${apps}/deployments/none/scale`),
  patch(`${apps}/deployments/d`, { spec: { selector: { matchLabels: { app: 'b' } } } }, MERGE, {
    note: 'another selector',
  }),
  patch(`${apps}/deployments/d`, { spec: { replicas: 'x' } }, MERGE, { note: 'no number' }),
  patch(
    `${apps}/deployments/d`,
    { spec: { template: { spec: { containers: [{ name: 'second', image: 'x' }] } } } },
    STRATEGIC,
  ),
  patch(
    `${apps}/deployments/d`,
    { spec: { template: { spec: { containers: [{ name: 'second', $patch: 'delete' }] } } } },
    STRATEGIC,
    { note: 'one of a list' },
  ),
  patch(`${apps}/deployments/d/status`, { status: { replicas: 1, observedGeneration: 2 } }, MERGE),
  patch(`${apps}/deployments/d/status`, { spec: { replicas: 9 } }, MERGE, {
    note: 'a spec, which is not for it',
  }),
  post(`${apps}/deployments`, workload('Deployment', 'x', { selector: undefined }), { note: 'no selector' }),
  post(`${apps}/deployments`, workload('Deployment', 'x', { selector: {} }), { note: 'an empty selector' }),
  post(`${apps}/deployments`, workload('Deployment', 'x', { template: template({ app: 'b' }) }), {
    note: 'labels that do not match',
  }),
  post(`${apps}/deployments`, workload('Deployment', 'x', { template: undefined }), { note: 'no template' }),
  post(`${apps}/deployments`, workload('Deployment', 'x', { replicas: -1 }), { note: 'less than none' }),
  post(`${apps}/deployments`, workload('Deployment', 'x', { strategy: { type: 'Blue' } }), {
    note: 'an unknown strategy',
  }),
  post(
    `${apps}/deployments`,
    workload('Deployment', 'x', { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } }),
    { note: 'no way forward' },
  ),
  post(
    `${apps}/deployments`,
    workload('Deployment', 'x', { template: template(undefined, { restartPolicy: 'Never' }) }),
    {
      note: 'a bad restartPolicy',
    },
  ),
  post(
    `${apps}/deployments`,
    workload('Deployment', 'x', { template: template(undefined, { containers: [] }) }),
    {
      note: 'no containers',
    },
  ),
  post(`${apps}/replicasets`, workload('ReplicaSet', 'r', { replicas: 2 })),
  get(`${apps}/replicasets/r/scale`),
  get(`${apps}/replicasets/r`, { note: 'as a table', headers: TABLE }),
  post(`${apps}/daemonsets`, workload('DaemonSet', 'ds')),
  get(`${apps}/daemonsets/ds`, { note: 'as a table', headers: TABLE }),
  post(`${apps}/daemonsets`, workload('DaemonSet', 'x', { updateStrategy: { type: 'Perhaps' } }), {
    note: 'an unknown strategy',
  }),
  post(`${core}/replicationcontrollers`, {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { name: 'rc' },
    spec: { replicas: 1, template: template() },
  }),
  get(`${core}/replicationcontrollers/rc/scale`),
  put(`${core}/replicationcontrollers/rc/scale`, {
    metadata: { name: 'rc', namespace: 'diff' },
    spec: { replicas: 4 },
  }),
  get(`${core}/replicationcontrollers/rc`, { note: 'as a table', headers: TABLE }),
  post(
    `${core}/replicationcontrollers`,
    { metadata: { name: 'x' }, spec: { selector: { a: 'b' }, template: template() } },
    {
      note: 'labels that do not match',
    },
  ),
  post(`${core}/replicationcontrollers`, { metadata: { name: 'x' }, spec: {} }, { note: 'nothing in it' }),
  remove(`${apps}/deployments/d`, { propagationPolicy: 'Foreground' }),
  get(`${apps}/deployments/d`, { note: 'waiting for its dependents' }),
  remove(`${apps}/replicasets/r`),
  remove(`${core}/replicationcontrollers/rc`),
];

const services: Operation[] = [
  post(`${core}/services`, service('s')),
  post(`${core}/services`, service('headless', { clusterIP: 'None' })),
  post(`${core}/services`, service('np', { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] })),
  post(`${core}/services`, service('np2', { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] }), {
    note: 'the same nodePort',
  }),
  post(`${core}/services`, service('np3', { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }), {
    note: 'out of range',
  }),
  post(`${core}/services`, {
    metadata: { name: 'ext' },
    spec: { type: 'ExternalName', externalName: 'example.org' },
  }),
  post(`${core}/services`, service('x', { clusterIP: '10.97.0.1' }), { note: 'an address out of range' }),
  post(`${core}/services`, service('x', { clusterIP: '10.96.0.1' }), { note: 'an address that is taken' }),
  post(`${core}/services`, service('x', { clusterIP: 'nowhere' }), { note: 'no address' }),
  post(`${core}/services`, service('x', { ports: [] }), { note: 'no ports' }),
  post(`${core}/services`, service('x', { ports: [{ port: 80 }, { port: 81 }] }), {
    note: 'ports without names',
  }),
  post(`${core}/services`, service('x', { ports: [{ port: 0, protocol: 'ICMP' }] }), { note: 'a bad port' }),
  post(`${core}/services`, service('x', { type: 'Perhaps' }), { note: 'an unknown type' }),
  post(`${core}/services`, service('1x'), { note: 'a bad name' }),
  patch(`${core}/services/s`, { spec: { clusterIP: '10.96.0.77' } }, MERGE, { note: 'another address' }),
  patch(`${core}/services/s`, { spec: { type: 'NodePort' } }, MERGE),
  get(`${core}/services`, { note: 'as a table', headers: TABLE }),
  remove(`${core}/services/s`),
  post(`${core}/endpoints`, {
    metadata: { name: 'ep' },
    subsets: [{ addresses: [{ ip: '10.1.1.1' }], ports: [{ port: 80 }] }],
  }),
  post(
    `${core}/endpoints`,
    { metadata: { name: 'x' }, subsets: [{ addresses: [{ ip: '127.0.0.1' }], ports: [{ port: 0 }] }] },
    {
      note: 'a bad one',
    },
  ),
  post('/apis/discovery.k8s.io/v1/namespaces/diff/endpointslices', {
    metadata: { name: 'slice' },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.1.1.1'] }],
    ports: [{ port: 80 }],
  }),
  post(
    '/apis/discovery.k8s.io/v1/namespaces/diff/endpointslices',
    { metadata: { name: 'x' }, addressType: 'IPv5', endpoints: [{ addresses: [] }] },
    { note: 'a bad one' },
  ),
  post('/apis/coordination.k8s.io/v1/namespaces/diff/leases', {
    metadata: { name: 'l' },
    spec: { leaseDurationSeconds: 5 },
  }),
  post(
    '/apis/coordination.k8s.io/v1/namespaces/diff/leases',
    { metadata: { name: 'x' }, spec: { leaseDurationSeconds: 0 } },
    { note: 'no duration' },
  ),
  post(`${core}/events`, {
    metadata: { name: 'ev', namespace: 'diff' },
    involvedObject: { kind: 'Pod', name: 'p', namespace: 'diff' },
    reason: 'Tested',
    type: 'Normal',
  }),
  get(`${core}/events?fieldSelector=involvedObject.name%3Dp,reason%3DTested`),
  get(`${core}/events`, { note: 'as a table', headers: TABLE }),
  post(`${core}/serviceaccounts/default/token`, { spec: { expirationSeconds: 60 } }, { note: 'too short' }),
  post(`${core}/serviceaccounts/none/token`, { spec: {} }),
  post(
    `${core}/serviceaccounts/default/token`,
    { spec: { audiences: ['a'], boundObjectRef: { kind: 'Pod', name: 'none' } } },
    {
      note: 'bound to what is not there',
    },
  ),
];

const nodes: Operation[] = [
  post('/api/v1/nodes', {
    metadata: { name: 'n', labels: { 'kubernetes.io/hostname': 'n' } },
    spec: { podCIDR: '10.1.0.0/24' },
  }),
  get('/api/v1/nodes/n', { note: 'as a table', headers: TABLE }),
  patch(
    '/api/v1/nodes/n/status',
    {
      status: {
        capacity: { cpu: '2', memory: '1Gi' },
        conditions: [{ type: 'Ready', status: 'True' }],
        addresses: [{ type: 'InternalIP', address: '192.0.2.2' }],
      },
    },
    STRATEGIC,
  ),
  patch('/api/v1/nodes/n', { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } }, STRATEGIC),
  patch('/api/v1/nodes/n', { spec: { taints: [{ key: 'a', effect: 'Perhaps' }] } }, STRATEGIC, {
    note: 'a bad taint',
  }),
  patch('/api/v1/nodes/n', { spec: { podCIDR: '10.2.0.0/24', podCIDRs: ['10.2.0.0/24'] } }, MERGE, {
    note: 'another subnet',
  }),
  post('/api/v1/nodes', { metadata: { name: 'other' } }, { user: 'worker', note: 'a node makes another' }),
  post('/api/v1/nodes', { metadata: { name: 'worker' } }, { user: 'worker', note: 'a node makes itself' }),
  patch('/api/v1/nodes/worker', { metadata: { labels: { 'node-role.kubernetes.io/x': '' } } }, MERGE, {
    user: 'worker',
    note: 'a label that it may not have',
  }),
  patch('/api/v1/nodes/n', { metadata: { labels: { a: 'b' } } }, MERGE, {
    user: 'worker',
    note: 'of another node',
  }),
  get(`${core}/secrets/none`, { user: 'worker', note: 'a secret of no pod of it' }),
  get('/api/v1/pods', { user: 'worker', note: 'all pods, as a node' }),
  remove('/api/v1/nodes/n'),
];

const access: Operation[] = [
  get('/api/v1/pods', { user: '', note: 'by nobody' }),
  get('/api/v1/pods', { user: 'wrong', note: 'with a wrong token' }),
  get('/api/v1/pods', { user: 'bob', note: 'by one who may not' }),
  get(`${core}/pods/p`, { user: 'bob', note: 'by one who may not' }),
  get(`${core}/pods/p/log`, { user: 'bob', note: 'by one who may not' }),
  get('/metrics', { user: 'bob', note: 'by one who may not' }),
  get('/version', { user: '', note: 'by nobody' }),
  get('/api/v1/pods', { note: 'as somebody else', headers: { 'impersonate-user': 'bob' } }),
  get('/api/v1/pods', {
    note: 'as somebody else without the right',
    user: 'bob',
    headers: { 'impersonate-user': 'admin' },
  }),
  post(`${rbac}/namespaces/diff/roles`, {
    metadata: { name: 'reader' },
    rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] }],
  }),
  post(
    `${rbac}/namespaces/diff/roles`,
    { metadata: { name: 'x' }, rules: [{ resources: ['pods'] }] },
    { note: 'no verbs' },
  ),
  post(`${rbac}/namespaces/diff/rolebindings`, {
    metadata: { name: 'bob' },
    roleRef: { kind: 'Role', name: 'reader', apiGroup: 'rbac.authorization.k8s.io' },
    subjects: [{ kind: 'User', name: 'bob' }],
  }),
  patch(`${rbac}/namespaces/diff/rolebindings/bob`, { roleRef: { name: 'other' } }, MERGE, {
    note: 'another role',
  }),
  post(
    `${rbac}/namespaces/diff/rolebindings`,
    {
      metadata: { name: 'x' },
      roleRef: { kind: 'Pod', name: 'reader', apiGroup: 'rbac.authorization.k8s.io' },
    },
    { note: 'a role of another kind' },
  ),
  get(`${core}/pods`, { user: 'bob', note: 'by one who may now' }),
  post(`${rbac}/clusterroles`, {
    metadata: { name: 'r' },
    rules: [{ nonResourceURLs: ['/x'], verbs: ['get'] }],
  }),
  post(
    `${rbac}/clusterroles`,
    { metadata: { name: 'x' }, rules: [{ apiGroups: [''], verbs: ['get'] }] },
    { note: 'no resources' },
  ),
  post(
    '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    {
      spec: { resourceAttributes: { namespace: 'diff', verb: 'list', resource: 'pods' } },
    },
    { user: 'bob' },
  ),
  post(
    '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    {
      spec: { resourceAttributes: { namespace: 'diff', verb: 'delete', resource: 'pods' } },
    },
    { user: 'bob', note: 'what he may not' },
  ),
  post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { spec: {} }, { note: 'about nothing' }),
  post('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
    spec: { user: 'bob', nonResourceAttributes: { path: '/metrics', verb: 'get' } },
  }),
  post(
    '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
    { spec: { namespace: 'diff' } },
    { user: 'bob' },
  ),
  post('/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, { user: 'bob' }),
  post('/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token: 'bob' } }),
  post(
    '/apis/authentication.k8s.io/v1/tokenreviews',
    { spec: { token: 'wrong' } },
    { note: 'a wrong token' },
  ),
];

const paths: Operation[] = [
  get('/apis/apps'),
  get('/apis/none'),
  get('/apis/none/v1'),
  get('/apis/apps/v2'),
  get('/api/v1/nonsense'),
  get(`${core}/nonsense/x`),
  get('/nonsense'),
  get('/api/v1/pods/p', { note: 'without its namespace' }),
  post('/api/v1/pods', pod('x'), { note: 'without a namespace' }),
  remove('/api/v1/namespaces', undefined, { note: 'all' }),
  put(`${core}/configmaps`, configMap('x'), { note: 'of a collection' }),
  post(`${core}/configmaps/a`, configMap('a'), { note: 'to an object' }),
  get('/livez'),
  get('/readyz/etcd'),
  get('/healthz/none'),
];

const ending: Operation[] = [
  remove('/api/v1/namespaces/diff'),
  get('/api/v1/namespaces/diff', { note: 'ending' }),
  post(`${core}/configmaps`, configMap('late'), { note: 'in what is ending' }),
  remove('/api/v1/namespaces/diff', undefined, { note: 'again' }),
  put('/api/v1/namespaces/diff/finalize', { metadata: { name: 'diff' }, spec: { finalizers: [] } }),
  get('/api/v1/namespaces/diff', { note: 'gone' }),
];

/** Everything that is asked of both servers, in this order. */
export const OPERATIONS: readonly Operation[] = [
  ...setUp,
  ...namespaces,
  ...configMaps,
  ...watches,
  ...deletions,
  ...nodes.slice(0, 1),
  ...pods,
  ...workloads,
  ...services,
  ...nodes.slice(1),
  ...access,
  ...paths,
  ...ending,
];
