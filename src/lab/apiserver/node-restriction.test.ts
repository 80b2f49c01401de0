import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { FakeStorage } from './storage.fake.ts';
import { type Answer, TestServer } from './test-server.fake.ts';

const MIRROR = { 'kubernetes.io/config.mirror': 'x' };
const MERGE = { 'content-type': 'application/merge-patch+json' };
const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const CORE = '/api/v1/namespaces/ns';
const LEASES = '/apis/coordination.k8s.io/v1/namespaces';

// `strong` is a node that a role allows everything: NodeRestriction still restricts it.
const TOKENS = `admin,kubernetes-admin,1,"system:masters"
worker,system:node:worker,2,"system:nodes"
strong,system:node:worker,3,"system:nodes,strong"
nameless,system:node:,4,"system:nodes,strong"
bob,bob,5,"strong"
`;

describe('a node writes what is its own and no more', () => {
  let api: TestServer;
  let nodeUid: string;
  let mineUid: string;
  let theirsUid: string;

  const write = (method: string, path: string, body?: unknown, user = 'worker') =>
    api.ask(method, path, body, { user, headers: method === 'PATCH' ? MERGE : {} });
  function refused(answer: Answer, subject: string, why: string): void {
    expect(answer.body.message).toBe(`${subject} is forbidden: ${why}`);
    expect(answer.body).toMatchObject({ code: 403, reason: 'Forbidden' });
  }
  const pod = (name: string, nodeName: string, spec: object = {}, metadata: object = {}) => ({
    metadata: { name, ...metadata },
    spec: { nodeName, containers: [{ name: 'main', image: 'echo' }], ...spec },
  });

  beforeAll(async () => {
    api = await TestServer.start(new FakeStorage(), (config) => ({
      ...config,
      tokenFile: { text: TOKENS, path: 'tokens.csv' },
    }));
    await api.must('POST', '/api/v1/namespaces', { metadata: { name: 'ns' } });
    await api.must('POST', `${CORE}/serviceaccounts`, { metadata: { name: 'default' } });
    await api.must('POST', '/api/v1/nodes', { metadata: { name: 'other' } });
    const volumes = [
      { name: 'v', projected: { sources: [{ serviceAccountToken: { path: 't', audience: 'vault' } }] } },
    ];
    const mine = await api.must(
      'POST',
      `${CORE}/pods`,
      pod('mine', 'worker', { volumes }, { labels: { app: 'a' } }),
    );
    const theirs = await api.must('POST', `${CORE}/pods`, pod('theirs', 'other'));
    mineUid = mine.metadata.uid!;
    theirsUid = theirs.metadata.uid!;
    await api.must('POST', `${RBAC}/clusterroles`, {
      metadata: { name: 'strong' },
      rules: [{ apiGroups: ['', 'coordination.k8s.io'], resources: ['*'], verbs: ['*'] }],
    });
    await api.must('POST', `${RBAC}/clusterrolebindings`, {
      metadata: { name: 'strong' },
      roleRef: { kind: 'ClusterRole', name: 'strong' },
      subjects: [{ kind: 'Group', name: 'strong' }],
    });
    let status = 403;
    for (let tries = 0; status === 403 && tries < 200; tries++)
      status = (await write('GET', `${CORE}/pods`, undefined, 'bob')).status;
    expect(status).toBe(200);
  });
  afterAll(() => api.stop());

  const TAINT = { key: 'dedicated', value: 'x', effect: 'NoSchedule' };
  const GUARDED = 'node-restriction.kubernetes.io/zone';
  beforeEach(async () => {
    await api.ask('DELETE', '/api/v1/nodes/worker');
    const node = {
      metadata: {
        name: 'worker',
        labels: {
          [GUARDED]: 'a',
          'node-role.kubernetes.io/worker': '',
          'kubernetes.io/os': 'linux',
          own: '1',
        },
      },
      spec: { taints: [TAINT] },
    };
    nodeUid = (await api.must('POST', '/api/v1/nodes', node)).metadata.uid!;
  });

  const STATUS = '/api/v1/nodes/worker/status';
  const NODE = '/api/v1/nodes/worker';
  const owner = (rest: object = {}) => [
    { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'y', ...rest },
  ];

  describe('its Node', () => {
    test.each([
      { name: 'a label of its own', patch: { metadata: { labels: { own: '2' } } } },
      { name: 'a label with a prefix', patch: { metadata: { labels: { 'example.com/a': '2' } } } },
      { name: 'a label of a kubelet', patch: { metadata: { labels: { 'kubernetes.io/os': 'windows' } } } },
      {
        name: 'a label in a domain of kubelets',
        patch: { metadata: { labels: { 'node.kubernetes.io/a': '' } } },
      },
      { name: 'a label below it', patch: { metadata: { labels: { 'x.kubelet.kubernetes.io/a': '' } } } },
      { name: 'the zone', patch: { metadata: { labels: { 'topology.kubernetes.io/zone': 'z' } } } },
      { name: 'an annotation', patch: { metadata: { annotations: { a: 'b' } } } },
      { name: 'its address ranges', patch: { spec: { podCIDR: '10.0.0.0/24', podCIDRs: ['10.0.0.0/24'] } } },
      { name: 'nothing', patch: {} },
    ])('may change $name', async ({ patch }) => {
      expect((await write('PATCH', NODE, patch)).status).toBe(200);
    });

    const labels = (keys: string) => `is not allowed to modify labels: ${keys}`;
    test.each([
      {
        name: 'a taint',
        patch: { spec: { taints: [] } },
        why: 'node "worker" is not allowed to modify taints',
      },
      {
        name: 'all taints away',
        patch: { spec: { taints: null } },
        why: 'node "worker" is not allowed to modify taints',
      },
      {
        name: 'a taint more',
        patch: { spec: { taints: [TAINT, { key: 'a', effect: 'NoExecute' }] } },
        why: 'node "worker" is not allowed to modify taints',
      },
      { name: 'a guarded label', patch: { metadata: { labels: { [GUARDED]: 'b' } } }, why: labels(GUARDED) },
      {
        name: 'a guarded label away',
        patch: { metadata: { labels: { [GUARDED]: null } } },
        why: labels(GUARDED),
      },
      {
        name: 'a label below a guarded domain',
        patch: { metadata: { labels: { 'x.node-restriction.kubernetes.io/a': '' } } },
        why: labels('x.node-restriction.kubernetes.io/a'),
      },
      {
        name: 'its role, and another label of Kubernetes',
        patch: { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '', 'k8s.io/a': '' } } },
        why: labels('k8s.io/a, node-role.kubernetes.io/control-plane'),
      },
      {
        name: 'its role away',
        patch: { metadata: { labels: { 'node-role.kubernetes.io/worker': null } } },
        why: labels('node-role.kubernetes.io/worker'),
      },
      {
        name: 'all labels away',
        patch: { metadata: { labels: null } },
        why: labels(`node-restriction.kubernetes.io/zone, node-role.kubernetes.io/worker`),
      },
      {
        name: 'its owner',
        patch: { metadata: { ownerReferences: owner() } },
        why: 'node "worker" is not allowed to modify ownerReferences',
      },
      {
        name: 'where its configuration comes from',
        patch: {
          spec: { configSource: { configMap: { name: 'a', namespace: 'b', kubeletConfigKey: 'c' } } },
        },
        why: 'node "worker" is not allowed to update configSource to a new non-nil configSource',
      },
    ])('may not change $name, not through its status either', async ({ patch, why }) => {
      const before = await api.must('GET', NODE);
      for (const path of [NODE, STATUS]) {
        refused(await write('PATCH', path, patch), 'nodes "worker"', why);
        refused(await write('PATCH', `${path}?dryRun=All`, patch), 'nodes "worker"', why);
        refused(await write('PATCH', path, patch, 'strong'), 'nodes "worker"', why);
      }
      expect(await api.must('GET', NODE)).toEqual(before);
      expect((await write('PATCH', NODE, patch, 'bob')).status).toBe(200);
    });

    test('may not be changed by what an update leaves out', async () => {
      const whole = await api.must('GET', NODE);
      refused(
        await write('PUT', NODE, { ...whole, spec: {} }),
        'nodes "worker"',
        'node "worker" is not allowed to modify taints',
      );
      refused(
        await write('PUT', STATUS, { ...whole, metadata: { name: 'worker' } }),
        'nodes "worker"',
        'is not allowed to modify labels: node-restriction.kubernetes.io/zone, node-role.kubernetes.io/worker',
      );
      expect((await write('PUT', STATUS, whole)).status).toBe(200);
    });

    test.each(['json', 'strategic-merge'])('may not be changed by a %s patch', async (type) => {
      const patch =
        type === 'json'
          ? [{ op: 'remove', path: '/spec/taints' }]
          : { spec: { taints: [{ $patch: 'replace' }] } };
      const headers = { 'content-type': `application/${type}-patch+json` };
      const answer = await api.ask('PATCH', NODE, patch, { user: 'worker', headers });
      refused(answer, 'nodes "worker"', 'node "worker" is not allowed to modify taints');
    });

    const create = (name: string, labels: object = {}, spec: object = {}, user = 'worker') =>
      write('POST', '/api/v1/nodes', { metadata: { name, labels }, spec }, user);

    test('may be registered with taints and labels of a kubelet', async () => {
      await api.must('DELETE', NODE);
      const labels = { 'kubernetes.io/hostname': 'worker', own: '1', 'node.kubernetes.io/a': '' };
      expect((await create('worker', labels, { taints: [TAINT] })).status).toBe(201);
    });

    test.each([
      { labels: { [GUARDED]: 'a' }, keys: GUARDED },
      {
        labels: { 'node-role.kubernetes.io/x': '', 'kubernetes.io/a': '', own: '' },
        keys: 'kubernetes.io/a, node-role.kubernetes.io/x',
      },
    ])('may not be registered with labels $keys', async ({ labels, keys }) => {
      await api.must('DELETE', NODE);
      refused(
        await create('worker', labels),
        'nodes "worker"',
        `node "worker" is not allowed to set the following labels: ${keys}`,
      );
    });

    test('may not be registered with a source of its configuration', async () => {
      await api.must('DELETE', NODE);
      const configSource = { configMap: { name: 'a', namespace: 'b', kubeletConfigKey: 'c' } };
      const why = 'node "worker" is not allowed to create pods with a non-nil configSource';
      refused(await create('worker', {}, { configSource }), 'nodes "worker"', why);
    });

    test("another node's is not touched", async () => {
      const why = 'node "worker" is not allowed to modify node "other"';
      refused(await create('other'), 'nodes "other"', why);
      refused(await write('PATCH', '/api/v1/nodes/other', {}), 'nodes "other"', why);
      refused(await write('PATCH', '/api/v1/nodes/other/status', {}), 'nodes "other"', why);
      refused(await write('DELETE', '/api/v1/nodes/other', undefined, 'strong'), 'nodes "other"', why);
      refused(
        await write('DELETE', '/api/v1/nodes', undefined, 'strong'),
        'nodes "Unknown"',
        'node "worker" is not allowed to modify node ""',
      );
    });

    test('a node that is no particular one writes nothing', async () => {
      for (const [method, path] of [
        ['PATCH', NODE],
        ['DELETE', `${CORE}/pods/mine`],
      ] as const) {
        const answer = await write(method, path, method === 'PATCH' ? {} : undefined, 'nameless');
        expect(answer.body.message).toContain('could not determine node from user "system:node:"');
        expect(answer.status).toBe(403);
      }
    });
  });

  describe("a pod's status", () => {
    const status = { status: { phase: 'Running' } };

    test('of its own it may write', async () => {
      expect((await write('PATCH', `${CORE}/pods/mine/status`, status)).status).toBe(200);
      const same = { metadata: { labels: { app: 'a' } }, ...status };
      expect((await write('PATCH', `${CORE}/pods/mine/status`, same)).status).toBe(200);
    });

    test.each([
      { labels: { app: 'b' } },
      { labels: { more: 'b' } },
      { labels: { app: null } },
      { labels: null },
    ])('may not change labels: %j', async ({ labels }) => {
      const answer = await write('PATCH', `${CORE}/pods/mine/status`, { metadata: { labels }, ...status });
      refused(answer, 'pods "mine"', 'node "worker" cannot update labels through pod status');
      expect((await api.must('GET', `${CORE}/pods/mine`)).metadata.labels).toEqual({ app: 'a' });
    });

    test('may not change claims of resources', async () => {
      const patch = { status: { resourceClaimStatuses: [{ name: 'a', resourceClaimName: 'b' }] } };
      const answer = await write('PATCH', `${CORE}/pods/mine/status`, patch);
      refused(answer, 'pods "mine"', 'node "worker" cannot update resource claim statues');
    });

    test("of another node's pod it may not", async () => {
      refused(
        await write('PATCH', `${CORE}/pods/theirs/status`, status),
        'pods "theirs"',
        'node "worker" can only update pod status for pods with spec.nodeName set to itself',
      );
    });
  });

  describe('pods', () => {
    const self = (rest: object = {}) => [
      { apiVersion: 'v1', kind: 'Node', name: 'worker', uid: nodeUid, controller: true, ...rest },
    ];
    const mirror = (metadata: object = {}, spec: object = {}, nodeName = 'worker') =>
      pod('mirror', nodeName, spec, { annotations: MIRROR, ownerReferences: self(), ...metadata });
    const create = (object: object, user = 'worker') => write('POST', `${CORE}/pods`, object, user);

    test('a mirror of its own may be created and deleted', async () => {
      expect((await create(mirror())).status).toBe(201);
      const gone = await write('DELETE', `${CORE}/pods/mirror`, { gracePeriodSeconds: 0 });
      expect(gone.status).toBe(200);
    });

    const can = (what: string) => `node "worker" can only create pods with ${what}`;
    const own = 'set to itself';
    test.each<{ name: string; object: () => object; why: string | (() => string) }>([
      {
        name: 'that is not a mirror',
        object: () => mirror({ annotations: {} }),
        why: 'pod does not have "kubernetes.io/config.mirror" annotation, node "worker" can only create mirror pods',
      },
      { name: 'of another node', object: () => mirror({}, {}, 'other'), why: can(`spec.nodeName ${own}`) },
      { name: 'of no node', object: () => mirror({}, {}, ''), why: can(`spec.nodeName ${own}`) },
      {
        name: 'without an owner',
        object: () => mirror({ ownerReferences: [] }),
        why: can(`an owner reference ${own}`),
      },
      {
        name: 'of two owners',
        object: () => mirror({ ownerReferences: [...self(), ...owner()] }),
        why: can(`a single owner reference ${own}`),
      },
      ...[{ apiVersion: 'v2' }, { kind: 'Pod' }, { name: 'other' }].map((rest) => ({
        name: `of another owner: ${JSON.stringify(rest)}`,
        object: () => mirror({ ownerReferences: self(rest) }),
        why: can(`an owner reference ${own}`),
      })),
      ...[{ controller: false }, { controller: undefined }].map((rest) => ({
        name: `that its owner does not control: ${rest.controller}`,
        object: () => mirror({ ownerReferences: self(rest) }),
        why: can(`a controller owner reference ${own}`),
      })),
      {
        name: 'that blocks its owner',
        object: () => mirror({ ownerReferences: self({ blockOwnerDeletion: true }) }),
        why: 'node "worker" must not set blockOwnerDeletion on an owner reference',
      },
      {
        name: 'of an earlier Node',
        object: () => mirror({ ownerReferences: self({ uid: 'old' }) }),
        why: () => `node worker UID mismatch: expected old got ${nodeUid}`,
      },
      ...(
        [
          ['serviceaccounts', { serviceAccountName: 'default' }],
          ['secrets', { imagePullSecrets: [{ name: 'a' }] }],
          ['secrets', { volumes: [{ name: 'v', secret: { secretName: 'a' } }] }],
          ['secrets', { volumes: [{ name: 'v', projected: { sources: [{ secret: { name: 'a' } }] } }] }],
          [
            'secrets',
            {
              volumes: [
                { name: 'v', iscsi: { targetPortal: 'p', iqn: 'i', lun: 0, secretRef: { name: 'a' } } },
              ],
            },
          ],
          ['configmaps', { volumes: [{ name: 'v', configMap: { name: 'a' } }] }],
          [
            'configmaps',
            { containers: [{ name: 'm', image: 'i', envFrom: [{ configMapRef: { name: 'a' } }] }] },
          ],
          [
            'serviceaccounts (via projected volumes)',
            { volumes: [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }] },
          ],
          ['persistentvolumeclaims', { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'a' } }] }],
          ['csidrivers (via CSI volumes)', { volumes: [{ name: 'v', csi: { driver: 'd' } }] }],
        ] as const
      ).map(([what, spec]) => ({
        name: `that refers to ${what}: ${JSON.stringify(spec)}`,
        object: () => mirror({}, spec),
        why: `node "worker" can not create pods that reference ${what}`,
      })),
    ])('none may be created $name', async ({ object, why }) => {
      const text = typeof why === 'string' ? why : why();
      for (const user of ['worker', 'strong']) refused(await create(object(), user), 'pods "mirror"', text);
    });

    test('none before the Node is there', async () => {
      await api.must('DELETE', NODE);
      expect((await create(mirror())).body).toMatchObject({ code: 404, message: 'nodes "worker" not found' });
    });

    test.each([
      { spec: { serviceAccountName: 'default' }, why: 'a mirror pod may not reference service accounts' },
      { spec: { imagePullSecrets: [{ name: 'a' }] }, why: 'a mirror pod may not reference secrets' },
      {
        spec: { volumes: [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }] },
        why: 'a mirror pod may not use service account token volumes',
      },
    ])('no mirror gets anything of the API, whoever creates it: $why', async ({ spec, why }) => {
      refused(await create(mirror({}, spec), 'bob'), 'pods "mirror"', why);
    });

    test('of its own may be deleted and evicted, others not', async () => {
      await api.must('POST', `${CORE}/pods`, pod('doomed', 'worker', { terminationGracePeriodSeconds: 0 }));
      await api.must('POST', `${CORE}/pods`, pod('evicted', 'worker', { terminationGracePeriodSeconds: 0 }));
      expect((await write('DELETE', `${CORE}/pods/doomed`)).status).toBe(200);
      const eviction = (name: string) => ({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name } });
      expect((await write('POST', `${CORE}/pods/evicted/eviction`, eviction('evicted'))).status).toBe(201);
      refused(
        await write('DELETE', `${CORE}/pods/theirs`),
        'pods "theirs"',
        'node "worker" can only delete pods with spec.nodeName set to itself',
      );
      refused(
        await write('POST', `${CORE}/pods/theirs/eviction`, eviction('theirs')),
        'pods "theirs"',
        'node worker can only evict pods with spec.nodeName set to itself',
      );
      expect((await write('DELETE', `${CORE}/pods/gone`)).status).toBe(404);
      expect((await write('DELETE', `${CORE}/pods`, undefined, 'strong')).status).toBe(404);
      expect((await api.must('GET', `${CORE}/pods/theirs`)).metadata.deletionTimestamp).toBeUndefined();
    });

    test('may neither be changed nor bound, whatever a role allows', async () => {
      for (const as of ['worker', 'strong'])
        expect((await write('PATCH', `${CORE}/pods/mine`, {}, as)).status).toBe(403);
      refused(
        await write('PATCH', `${CORE}/pods/mine`, {}, 'strong'),
        'pods "mine"',
        'unexpected operation "UPDATE", node "worker" can only create and delete mirror pods',
      );
      await api.must('POST', `${CORE}/pods`, pod('waiting', ''));
      const binding = { metadata: { name: 'waiting' }, target: { kind: 'Node', name: 'worker' } };
      refused(
        await write('POST', `${CORE}/pods/waiting/binding`, binding, 'strong'),
        'pods "waiting"',
        `unexpected pod subresource "binding", only 'status' and 'eviction' are allowed`,
      );
      await api.must('DELETE', `${CORE}/pods/waiting`);
    });
  });

  describe('tokens', () => {
    const token = (spec: object, user = 'worker') =>
      write('POST', `${CORE}/serviceaccounts/default/token`, { spec }, user);
    const bound = (rest: object = {}) => ({
      boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'mine', uid: mineUid, ...rest },
    });

    test('of its pods, for the audiences that these ask for', async () => {
      expect((await token(bound())).status).toBe(201);
      expect((await token({ ...bound(), audiences: [] })).status).toBe(201);
      expect((await token({ ...bound(), audiences: ['vault'] })).status).toBe(201);
    });

    test.each<{ name: string; spec: () => object; why: string }>([
      { name: 'unbound', spec: () => ({}), why: 'node requested token not bound to a pod' },
      {
        name: 'bound to a secret',
        spec: () => bound({ kind: 'Secret' }),
        why: 'node requested token not bound to a pod',
      },
      {
        name: 'bound to its Node',
        spec: () => bound({ kind: 'Node' }),
        why: 'node requested token not bound to a pod',
      },
      {
        name: 'bound to a pod of no version',
        spec: () => bound({ apiVersion: '' }),
        why: 'node requested token not bound to a pod',
      },
      {
        name: 'bound to a pod without a name',
        spec: () => bound({ name: '' }),
        why: 'node requested token not bound to a pod',
      },
      {
        name: 'bound to a pod without a uid',
        spec: () => bound({ uid: undefined }),
        why: 'node requested token with a pod binding without a uid',
      },
      {
        name: 'bound to an earlier pod',
        spec: () => bound({ uid: 'old' }),
        why: 'the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated',
      },
      {
        name: "bound to another node's pod",
        spec: () => bound({ name: 'theirs', uid: theirsUid }),
        why: 'node requested token bound to a pod scheduled on a different node',
      },
      {
        name: 'for two audiences',
        spec: () => ({ ...bound(), audiences: ['vault', 'other'] }),
        why: 'node may only request 0 or 1 audiences',
      },
      {
        name: 'for an audience that no volume asks for',
        spec: () => ({ ...bound(), audiences: ['other'] }),
        why: 'audience "other" not found in pod spec volume, system:node:worker is not authorized to request tokens for this audience',
      },
    ])('none $name', async ({ spec, why }) => {
      refused(await token(spec()), 'serviceaccounts "default"', why);
    });

    test('none bound to a pod that is gone', async () => {
      const answer = await token(bound({ name: 'gone' }));
      expect(answer.body).toMatchObject({ code: 404, message: 'pods "gone" not found' });
    });

    test('for an audience that a role allows the node to ask for', async () => {
      expect((await token({ ...bound(), audiences: ['other'] }, 'strong')).status).toBe(201);
    });
  });

  describe('leases', () => {
    const create = (namespace: string, name: string, user = 'worker') =>
      write('POST', `${LEASES}/${namespace}/leases`, { metadata: { name } }, user);

    test('its own', async () => {
      expect((await create('kube-node-lease', 'worker')).status).toBe(201);
      const path = `${LEASES}/kube-node-lease/leases/worker`;
      expect((await write('PATCH', path, { spec: { holderIdentity: 'worker' } })).status).toBe(200);
      expect((await write('DELETE', path)).status).toBe(200);
    });

    test("not another node's, nor one elsewhere", async () => {
      const name = 'can only access node lease with the same name as the requesting node';
      refused(await create('kube-node-lease', 'other'), 'leases.coordination.k8s.io "other"', name);
      await api.must('POST', `${LEASES}/kube-node-lease/leases`, { metadata: { name: 'other' } });
      const path = `${LEASES}/kube-node-lease/leases/other`;
      refused(await write('PATCH', path, {}, 'strong'), 'leases.coordination.k8s.io "other"', name);
      refused(await write('DELETE', path, undefined, 'strong'), 'leases.coordination.k8s.io "other"', name);
      refused(
        await create('ns', 'worker', 'strong'),
        'leases.coordination.k8s.io "worker"',
        'can only access leases in the "kube-node-lease" system namespace',
      );
    });
  });

  describe('addresses', () => {
    const put = (addresses: object[], user = 'worker') =>
      write('PATCH', STATUS, { status: { addresses } }, user);

    test('that are addresses, and names', async () => {
      const addresses = [
        { type: 'InternalIP', address: '172.17.0.3' },
        { type: 'InternalIP', address: 'fd00::3' },
        { type: 'ExternalIP', address: '192.0.2.1' },
        { type: 'Hostname', address: 'worker' },
        { type: 'InternalDNS', address: 'worker.example.internal' },
      ];
      expect((await put(addresses)).status).toBe(200);
    });

    test.each([
      { type: 'InternalIP', address: '999.1.1.1' },
      { type: 'InternalIP', address: '' },
      { type: 'InternalIP', address: '172.17.0.03' },
      { type: 'InternalIP', address: '172.17.0.3/16' },
      { type: 'InternalIP', address: 'fe80::1%eth0' },
      { type: 'ExternalIP', address: 'worker' },
      { type: 'Hostname', address: 'two words' },
      { type: 'Hostname', address: '' },
      { type: 'ExternalDNS', address: '-a.example.org' },
    ])('that are not are refused: $type $address', async (bad) => {
      const before = await api.must('GET', NODE);
      for (const user of ['worker', 'admin']) {
        const answer = await put([{ type: 'InternalIP', address: '172.17.0.3' }, bad], user);
        expect(answer.body).toMatchObject({ code: 422, reason: 'Invalid' });
        expect(answer.body.details.causes[0].field).toBe('status.addresses[1].address');
        expect(answer.body.message).toStartWith(
          `Node "worker" is invalid: status.addresses[1].address: Invalid value: ${JSON.stringify(bad.address)}: `,
        );
      }
      expect(await api.must('GET', NODE)).toEqual(before);
      await api.must('DELETE', NODE);
      const registered = await write('POST', '/api/v1/nodes', {
        metadata: { name: 'worker' },
        status: { addresses: [bad] },
      });
      expect(registered.status).toBe(422);
    });

    test('that are there twice are refused', async () => {
      const one = { type: 'InternalIP', address: '172.17.0.3' };
      const answer = await put([one, one]);
      expect(answer.body.message).toContain('status.addresses[1]: Duplicate value');
    });

    test.each([
      { status: { podIP: '999.1.1.1' }, field: 'status.podIPs[0]' },
      { status: { podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: 'x' }] }, field: 'status.podIPs[1]' },
      { status: { hostIP: '1.2.3' }, field: 'status.hostIP' },
      { status: { hostIPs: [{ ip: '' }] }, field: 'status.hostIPs[0]' },
      { status: { podIPs: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }] }, field: 'status.podIPs' },
    ])('of a pod that are not are refused: $field', async ({ status, field }) => {
      const answer = await write('PATCH', `${CORE}/pods/mine/status`, { status });
      expect(answer.body).toMatchObject({ code: 422, reason: 'Invalid' });
      expect(answer.body.details.causes[0].field).toBe(field);
    });

    test('of a pod, of both families', async () => {
      const status = {
        podIP: '10.0.0.1',
        podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }],
        hostIP: '172.17.0.3',
      };
      expect((await write('PATCH', `${CORE}/pods/mine/status`, { status })).status).toBe(200);
    });
  });
});
