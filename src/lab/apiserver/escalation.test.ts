import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { FakeStorage } from './storage.fake.ts';
import { type Answer, TestServer } from './test-server.fake.ts';

const RBAC = 'rbac.authorization.k8s.io';
const CLUSTER = `/apis/${RBAC}/v1`;
const NS = 'team';
const SPACE = `${CLUSTER}/namespaces/${NS}`;
const PATHS = {
  Role: `${SPACE}/roles`,
  RoleBinding: `${SPACE}/rolebindings`,
  ClusterRole: `${CLUSTER}/clusterroles`,
  ClusterRoleBinding: `${CLUSTER}/clusterrolebindings`,
} as const;
type Kind = keyof typeof PATHS;
const NEW = ['roles', 'rolebindings', 'clusterroles', 'clusterrolebindings'];

const TOKENS = `admin,kubernetes-admin,1,"system:masters"
manager,manager,2,"managers"
escalator,escalator,3
binder,binder,4
local,local,5
chief,chief,6
`;

const on = (resources: string[], verbs: string[], rest: object = {}) => ({
  apiGroups: [''],
  resources,
  verbs,
  ...rest,
});
const rbacOn = (resources: string[], verbs: string[], rest: object = {}) => ({
  apiGroups: [RBAC],
  resources,
  verbs,
  ...rest,
});
const role = (name: string, ...rules: object[]) => ({ metadata: { name }, rules });
const roleRef = (name: string, kind = 'ClusterRole') => ({ apiGroup: RBAC, kind, name });
const user = (name: string) => ({ kind: 'User', apiGroup: RBAC, name });
const binding = (name: string, ref: object, ...subjects: object[]) => ({
  metadata: { name },
  roleRef: ref,
  subjects,
});
const WRITE_RBAC = rbacOn(NEW, ['get', 'create', 'update', 'patch']);
const PODS = on(['pods'], ['get', 'list']);
const refusal = (who: string, groups: string, missing: string) =>
  `user "${who}" (groups=[${groups}]) is attempting to grant RBAC permissions not currently held:\n${missing}`;
const MANAGER = (missing: string) => refusal('manager', '"managers" "system:authenticated"', missing);
const SECRETS = '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}';

describe('nobody grants rights they do not have', () => {
  let api: TestServer;
  let made = 0;

  beforeAll(async () => {
    api = await TestServer.start(new FakeStorage(), (config) => ({
      ...config,
      tokenFile: { text: TOKENS, path: 'tokens.csv' },
    }));
    await api.must('POST', '/api/v1/namespaces', { metadata: { name: NS } });
    const bind = (kind: 'RoleBinding' | 'ClusterRoleBinding', name: string, ref: object) =>
      api.must('POST', PATHS[kind], binding(name, ref, user(name)));
    for (const object of [
      role('manager', WRITE_RBAC, PODS, { nonResourceURLs: ['/metrics/*'], verbs: ['get'] }),
      role('escalator', WRITE_RBAC, rbacOn(['roles'], ['escalate']), {
        ...rbacOn(['clusterroles'], ['escalate']),
        resourceNames: ['mine'],
      }),
      role('binder', WRITE_RBAC, rbacOn(['clusterroles'], ['bind'], { resourceNames: ['secret-reader'] }), {
        ...rbacOn(['roles'], ['bind']),
      }),
      role('secret-reader', on(['secrets'], ['get'])),
      role('pod-reader', PODS),
      role('local', WRITE_RBAC),
      role('mine'),
    ]) {
      await api.must('POST', PATHS.ClusterRole, object);
    }
    await api.must('POST', PATHS.Role, role('secret-reader', on(['secrets'], ['get'])));
    await api.must('POST', PATHS.Role, role('pod-reader', PODS));
    for (const name of ['manager', 'escalator', 'binder', 'local'])
      await bind('ClusterRoleBinding', name, roleRef(name));
    await bind('RoleBinding', 'chief', roleRef('admin'));
    await bind('RoleBinding', 'local', roleRef('pod-reader'));
    // The last one is seen when all are: changes come in their order.
    let status = 403;
    const path = `/api/v1/namespaces/${NS}/pods`;
    for (let tries = 0; status === 403 && tries < 200; tries++)
      status = (await api.ask('GET', path, undefined, { user: 'local' })).status;
    expect(status).toBe(200);
  });
  afterAll(() => api.stop());

  const create = (kind: Kind, object: object, as: string, query = '') =>
    api.ask('POST', PATHS[kind] + query, object, { user: as });
  /** An object that the administrator has made. */
  async function given(kind: Kind, object: { metadata: object }): Promise<{ path: string; object: object }> {
    const name = `given-${++made}`;
    const stored = await api.must('POST', PATHS[kind], { ...object, metadata: { ...object.metadata, name } });
    return { path: `${PATHS[kind]}/${name}`, object: stored };
  }
  function refused(answer: Answer, subject: string, why: string): void {
    expect(answer.body).toMatchObject({ code: 403, reason: 'Forbidden' });
    expect(answer.body.message).toBe(`${subject} is forbidden: ${why}`);
  }

  const plural = (kind: Kind) => `${kind.toLowerCase()}s.${RBAC}`;

  describe('creating', () => {
    const secrets = on(['secrets'], ['get']);
    const cases: { name: string; as: string; kind: Kind; object: object; why?: string; status?: number }[] = [
      {
        name: 'a role with rights one has',
        as: 'manager',
        kind: 'Role',
        object: role('r1', on(['pods'], ['get'])),
      },
      {
        name: 'a role with rights one does not have',
        as: 'manager',
        kind: 'Role',
        object: role('r2', secrets),
        why: MANAGER(SECRETS),
      },
      {
        name: 'a cluster role with rights one has',
        as: 'manager',
        kind: 'ClusterRole',
        object: role('c1', PODS),
      },
      {
        name: 'a cluster role with rights one does not have',
        as: 'manager',
        kind: 'ClusterRole',
        object: role('c2', secrets, PODS),
        why: MANAGER(SECRETS),
      },
      {
        name: 'a cluster role with everything',
        as: 'manager',
        kind: 'ClusterRole',
        object: role(
          'c3',
          { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
          { nonResourceURLs: ['*'], verbs: ['*'] },
        ),
        why: MANAGER('{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n{NonResourceURLs:["*"], Verbs:["*"]}'),
      },
      {
        name: 'a cluster role with a path that one has',
        as: 'manager',
        kind: 'ClusterRole',
        object: role('c4', { nonResourceURLs: ['/metrics/cadvisor'], verbs: ['get'] }),
      },
      { name: 'a role without rules', as: 'local', kind: 'ClusterRole', object: role('c5') },
      { name: 'any role, with escalate', as: 'escalator', kind: 'Role', object: role('r3', secrets) },
      {
        name: 'a cluster role, with escalate of another by its name',
        as: 'escalator',
        kind: 'ClusterRole',
        object: role('c6', secrets),
        why: refusal('escalator', '"system:authenticated"', SECRETS),
      },
      {
        name: 'an aggregated role',
        as: 'manager',
        kind: 'ClusterRole',
        object: { ...role('c7'), aggregationRule: { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] } },
        why: 'must have cluster-admin privileges to use the aggregationRule',
      },
      {
        name: 'a binding to a role whose rights one has',
        as: 'manager',
        kind: 'ClusterRoleBinding',
        object: binding('b1', roleRef('pod-reader'), user('x')),
      },
      {
        name: 'a binding of cluster-admin to oneself',
        as: 'manager',
        kind: 'ClusterRoleBinding',
        object: binding('b2', roleRef('cluster-admin'), user('manager')),
        why: MANAGER('{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n{NonResourceURLs:["*"], Verbs:["*"]}'),
      },
      {
        name: 'a binding without subjects to a role whose rights one does not have',
        as: 'manager',
        kind: 'ClusterRoleBinding',
        object: binding('b3', roleRef('secret-reader')),
        why: MANAGER(SECRETS),
      },
      {
        name: 'a binding whose role has no group yet',
        as: 'manager',
        kind: 'ClusterRoleBinding',
        object: binding('b4', { kind: 'ClusterRole', name: 'secret-reader' }, user('x')),
        why: MANAGER(SECRETS),
      },
      {
        name: "a binding in a namespace to a cluster's role",
        as: 'manager',
        kind: 'RoleBinding',
        object: binding('b5', roleRef('secret-reader'), user('x')),
        why: MANAGER(SECRETS),
      },
      {
        name: 'a binding in a namespace to its role',
        as: 'manager',
        kind: 'RoleBinding',
        object: binding('b6', roleRef('secret-reader', 'Role'), user('x')),
        why: MANAGER(SECRETS),
      },
      {
        name: 'a binding with bind of that role',
        as: 'binder',
        kind: 'ClusterRoleBinding',
        object: binding('b7', roleRef('secret-reader'), user('x')),
      },
      {
        name: 'a binding in a namespace with bind of that role',
        as: 'binder',
        kind: 'RoleBinding',
        object: binding('b8', roleRef('secret-reader'), user('x')),
      },
      {
        name: 'a binding with bind of every role',
        as: 'binder',
        kind: 'RoleBinding',
        object: binding('b9', roleRef('secret-reader', 'Role'), user('x')),
      },
      {
        name: 'a binding with bind of another role',
        as: 'binder',
        kind: 'ClusterRoleBinding',
        object: binding('b10', roleRef('pod-reader'), user('x')),
        why: refusal(
          'binder',
          '"system:authenticated"',
          '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}',
        ),
      },
      {
        name: 'a binding with bind, to a role that does not exist',
        as: 'binder',
        kind: 'RoleBinding',
        object: binding('b11', roleRef('later', 'Role'), user('x')),
      },
      {
        name: 'rights one has in the namespace, in it',
        as: 'local',
        kind: 'RoleBinding',
        object: binding('b12', roleRef('pod-reader'), user('x')),
      },
      {
        name: 'rights one has in a namespace, for the cluster',
        as: 'local',
        kind: 'ClusterRoleBinding',
        object: binding('b13', roleRef('pod-reader'), user('x')),
        why: refusal(
          'local',
          '"system:authenticated"',
          '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}',
        ),
      },
      {
        name: 'anything, as a member of system:masters',
        as: 'admin',
        kind: 'ClusterRoleBinding',
        object: binding('b14', roleRef('cluster-admin'), user('x')),
      },
    ];
    test.each(cases)('$name', async ({ as, kind, object, why }) => {
      const dry = await create(kind, object, as, '?dryRun=All');
      const answer = await create(kind, object, as);
      expect(dry.status).toBe(answer.status);
      const { name } = (object as { metadata: { name: string } }).metadata;
      if (why === undefined) expect(answer.status).toBe(201);
      else {
        refused(answer, `${plural(kind)} "${name}"`, why);
        expect((await api.ask('GET', `${PATHS[kind]}/${name}`)).status).toBe(404);
      }
    });

    test.each([
      { kind: 'RoleBinding', ref: roleRef('gone', 'Role'), message: `roles.${RBAC} "gone" not found` },
      { kind: 'RoleBinding', ref: roleRef('gone'), message: `clusterroles.${RBAC} "gone" not found` },
      { kind: 'ClusterRoleBinding', ref: roleRef('gone'), message: `clusterroles.${RBAC} "gone" not found` },
    ] as const)('a $kind to a role that does not exist is 404: $message', async ({ kind, ref, message }) => {
      const answer = await create(kind, binding('lost', ref, user('manager')), 'manager');
      expect(answer.body).toMatchObject({ code: 404, reason: 'NotFound', message });
    });

    test.each([
      { kind: 'RoleBinding', ref: {}, code: 500, message: 'unsupported role reference kind: ""' },
      { kind: 'RoleBinding', ref: { kind: 'Role' }, code: 404, message: `roles.${RBAC} "" not found` },
      {
        kind: 'RoleBinding',
        ref: roleRef('r', 'Pod'),
        code: 500,
        message: 'unsupported role reference kind: "Pod"',
      },
      {
        kind: 'RoleBinding',
        ref: roleRef('r', 'constructor'),
        code: 500,
        message: 'unsupported role reference kind: "constructor"',
      },
      {
        kind: 'ClusterRoleBinding',
        ref: roleRef('pod-reader', 'Role'),
        code: 400,
        message: 'Namespace parameter required.',
      },
    ] as const)('a $kind to $ref is refused', async ({ kind, ref, code, message }) => {
      const answer = await create(kind, binding('odd', ref, user('manager')), 'manager');
      expect(answer.body.code).toBe(code);
      expect(answer.body.message).toContain(message);
    });

    test.each([
      { name: 'admin', status: 201 },
      { name: 'edit', status: 201 },
      { name: 'view', status: 201 },
      { name: 'cluster-admin', status: 403 },
      { name: 'system:kube-controller-manager', status: 403 },
    ])('the administrator of a namespace grants $name in it: $status', async ({ name, status }) => {
      const object = binding(`of-chief-${name}`, roleRef(name), user('x'));
      expect((await create('RoleBinding', object, 'chief')).status).toBe(status);
    });

    test('a rule without verbs is a matter of validation', async () => {
      const answer = await create(
        'Role',
        role('verbless', { apiGroups: [''], resources: ['pods'] }),
        'local',
      );
      expect(answer.body).toMatchObject({ code: 422, reason: 'Invalid' });
    });

    test('a role counts the moment it is written', async () => {
      for (let turn = 0; turn < 20; turn++) {
        const name = `fresh-${turn}`;
        expect((await create('Role', role(name, PODS), 'manager')).status).toBe(201);
        const bound = await create('RoleBinding', binding(name, roleRef(name, 'Role'), user('x')), 'manager');
        expect(bound.status).toBe(201);
      }
    });

    test('a role that is bound and gone is named among the reasons', async () => {
      const { path } = await given('ClusterRoleBinding', binding('', roleRef('vanished'), user('manager')));
      const answer = await create('Role', role('r9', on(['secrets'], ['get'])), 'manager');
      refused(
        answer,
        `roles.${RBAC} "r9"`,
        `${MANAGER(SECRETS)}; resolution errors: [clusterroles.${RBAC} "vanished" not found]`,
      );
      await api.must('DELETE', path);
    });
  });

  describe('changing', () => {
    const secrets = [on(['secrets'], ['get'])];
    const types = [
      { type: 'application/merge-patch+json', patch: { rules: secrets } },
      { type: 'application/strategic-merge-patch+json', patch: { rules: secrets } },
      { type: 'application/json-patch+json', patch: [{ op: 'replace', path: '/rules', value: secrets }] },
    ];
    const patched = (path: string, patch: unknown, as: string, type = types[0]!.type) =>
      api.ask('PATCH', path, patch, { user: as, headers: { 'content-type': type } });

    test.each(types)('a role by a patch of $type', async ({ type, patch }) => {
      for (const kind of ['Role', 'ClusterRole'] as const) {
        const { path } = await given(kind, role('', PODS));
        const answer = await patched(path, patch, 'manager', type);
        refused(answer, `${plural(kind)} "${path.split('/').at(-1)}"`, MANAGER(SECRETS));
        const dry = await patched(`${path}?dryRun=All`, patch, 'manager', type);
        expect(dry.status).toBe(403);
        expect((await api.must('GET', path)).rules).toEqual([PODS]);
      }
    });

    test('a role by an update', async () => {
      const { path, object } = await given('ClusterRole', role('', PODS));
      const grown = await api.ask('PUT', path, { ...object, rules: secrets }, { user: 'manager' });
      refused(grown, `clusterroles.${RBAC} "${path.split('/').at(-1)}"`, MANAGER(SECRETS));
      const shrunk = await api.ask('PUT', path, { ...object, rules: [] }, { user: 'manager' });
      expect(shrunk.status).toBe(200);
    });

    test('with escalate of that very role', async () => {
      const path = `${PATHS.ClusterRole}/mine`;
      expect((await patched(path, { rules: secrets }, 'escalator')).status).toBe(200);
      expect((await patched(`${PATHS.ClusterRole}/pod-reader`, { rules: secrets }, 'escalator')).status).toBe(
        403,
      );
    });

    test.each([
      { name: 'its label', patch: { metadata: { labels: { a: 'b' } } }, status: 403 },
      { name: 'its rules, to the same', patch: { rules: secrets }, status: 200 },
      { name: 'its finalizers', patch: { metadata: { finalizers: ['a.example/b'] } }, status: 200 },
      {
        name: 'its owner, as the garbage collector does',
        patch: {
          metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'y' }] },
        },
        status: 200,
      },
      {
        name: 'its owner and its label',
        patch: { metadata: { finalizers: [], labels: { a: 'b' } } },
        status: 403,
      },
    ])('of a role with rights one does not have, $name: $status', async ({ patch, status }) => {
      for (const kind of ['Role', 'ClusterRole'] as const) {
        const { path } = await given(kind, role('', ...secrets));
        expect((await patched(path, patch, 'manager')).status).toBe(status);
      }
    });

    test.each([
      { name: 'its subjects', patch: { subjects: [user('somebody')] }, status: 403 },
      { name: 'its label', patch: { metadata: { labels: { a: 'b' } } }, status: 403 },
      { name: 'its finalizers', patch: { metadata: { finalizers: ['a.example/b'] } }, status: 200 },
    ])('of a binding to a role with rights one does not have, $name: $status', async ({ patch, status }) => {
      for (const kind of ['RoleBinding', 'ClusterRoleBinding'] as const) {
        const { path } = await given(kind, binding('', roleRef('secret-reader'), user('x')));
        expect((await patched(path, patch, 'manager')).status).toBe(status);
        if ('subjects' in patch) expect((await patched(path, patch, 'binder')).status).toBe(200);
      }
    });

    test('a binding keeps its role, whoever asks', async () => {
      const { path } = await given('ClusterRoleBinding', binding('', roleRef('pod-reader'), user('x')));
      const answer = await patched(path, { roleRef: { name: 'cluster-admin' } }, 'admin');
      expect(answer.body).toMatchObject({ code: 422, reason: 'Invalid' });
      expect(answer.body.message).toContain('roleRef: Invalid value');
      expect(answer.body.message).toContain('cannot change roleRef');
      expect((await patched(path, { roleRef: { name: 'cluster-admin' } }, 'manager')).status).toBe(403);
    });

    test('an aggregated role, also when it is to be one no more', async () => {
      const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] };
      const { path } = await given('ClusterRole', { ...role('', PODS), aggregationRule } as never);
      const answer = await patched(path, { aggregationRule: null }, 'manager');
      expect(answer.body.message).toContain('must have cluster-admin privileges to use the aggregationRule');
      expect((await patched(path, { aggregationRule: null }, 'admin')).status).toBe(200);
    });
  });

  test('deleting needs no rights that a role gives', async () => {
    const { path } = await given('ClusterRole', role('', on(['secrets'], ['get'])));
    expect((await api.ask('DELETE', path)).status).toBe(200);
  });
});
