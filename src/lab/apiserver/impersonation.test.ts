import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { impersonationOf } from './impersonation.ts';
import { FakeStorage } from './storage.fake.ts';
import { TestServer } from './test-server.fake.ts';

type Headers = readonly (readonly [string, string])[];
const AUTHENTICATED = 'system:authenticated';
const AS = 'Impersonate-User';
const GROUP = 'Impersonate-Group';
const UID = 'Impersonate-Uid';

describe('who is meant', () => {
  const cases: { name: string; headers: Headers; user: object; needs: string[] }[] = [
    {
      name: 'a user',
      headers: [[AS, 'bob']],
      user: { name: 'bob', groups: [AUTHENTICATED] },
      needs: ['users bob'],
    },
    {
      name: 'the first of two users',
      headers: [
        [AS, 'bob'],
        [AS, 'ann'],
      ],
      user: { name: 'bob', groups: [AUTHENTICATED] },
      needs: ['users bob'],
    },
    {
      name: 'groups, each in a header of its own',
      headers: [
        [AS, 'bob'],
        [GROUP, 'a,b'],
        [GROUP, 'c'],
      ],
      user: { name: 'bob', groups: ['a,b', 'c', AUTHENTICATED] },
      needs: ['users bob', 'groups a,b', 'groups c'],
    },
    {
      name: 'a group that says that the user is authenticated',
      headers: [
        [AS, 'bob'],
        [GROUP, AUTHENTICATED],
        [GROUP, 'a'],
      ],
      user: { name: 'bob', groups: [AUTHENTICATED, 'a'] },
      needs: ['users bob', `groups ${AUTHENTICATED}`, 'groups a'],
    },
    {
      name: 'a group that says that the user is not',
      headers: [
        [AS, 'bob'],
        [GROUP, 'system:unauthenticated'],
      ],
      user: { name: 'bob', groups: ['system:unauthenticated'] },
      needs: ['users bob', 'groups system:unauthenticated'],
    },
    {
      name: 'nobody',
      headers: [[AS, 'system:anonymous']],
      user: { name: 'system:anonymous', groups: ['system:unauthenticated'] },
      needs: ['users system:anonymous'],
    },
    {
      name: 'nobody, with its group',
      headers: [
        [AS, 'system:anonymous'],
        [GROUP, 'system:unauthenticated'],
      ],
      user: { name: 'system:anonymous', groups: ['system:unauthenticated'] },
      needs: ['users system:anonymous', 'groups system:unauthenticated'],
    },
    {
      name: 'a service account, with its groups',
      headers: [[AS, 'system:serviceaccount:foo:default']],
      user: {
        name: 'system:serviceaccount:foo:default',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:foo', AUTHENTICATED],
      },
      needs: ['serviceaccounts foo/default'],
    },
    {
      name: 'a service account, with other groups',
      headers: [
        [AS, 'system:serviceaccount:foo:default'],
        [GROUP, 'a'],
      ],
      user: { name: 'system:serviceaccount:foo:default', groups: ['a', AUTHENTICATED] },
      needs: ['serviceaccounts foo/default', 'groups a'],
    },
    ...['foo:default:more', 'foo', ':default', 'foo:', 'Foo:default', 'foo:De_fault'].map((rest) => ({
      name: `a user named like a service account that cannot be: ${rest}`,
      headers: [[AS, `system:serviceaccount:${rest}`]] as Headers,
      user: { name: `system:serviceaccount:${rest}`, groups: [AUTHENTICATED] },
      needs: [`users system:serviceaccount:${rest}`],
    })),
    {
      name: 'a uid',
      headers: [
        [AS, 'bob'],
        [UID, 'u-1'],
      ],
      user: { name: 'bob', uid: 'u-1', groups: [AUTHENTICATED] },
      needs: ['users bob', 'authentication.k8s.io uids u-1'],
    },
    {
      name: 'extras, by each value, their keys in lower case and unescaped',
      headers: [
        [AS, 'bob'],
        ['Impersonate-Extra-Scopes', 'a'],
        ['impersonate-extra-scopes', 'b, c'],
        ['Impersonate-Extra-Example.com%2fEscaped%e1%9b%84scopes', 'd'],
        ['Impersonate-Extra-almost%zzescaped', 'e'],
      ],
      user: {
        name: 'bob',
        groups: [AUTHENTICATED],
        extra: { scopes: ['a', 'b, c'], 'example.com/escapedᛄscopes': ['d'], 'almost%zzescaped': ['e'] },
      },
      needs: [
        'users bob',
        'authentication.k8s.io userextras/scopes a',
        'authentication.k8s.io userextras/scopes b, c',
        'authentication.k8s.io userextras/example.com/escapedᛄscopes d',
        'authentication.k8s.io userextras/almost%zzescaped e',
      ],
    },
  ];
  test.each(cases)('$name', ({ headers, user, needs }) => {
    const wanted = impersonationOf([['Host', 'x'] as const, ...headers].flat());
    expect(wanted?.user).toEqual({ uid: '', extra: {}, ...user } as never);
    expect(
      wanted?.needs.map(({ verb, group, plural, subresource, namespace, name }) => {
        expect(verb).toBe('impersonate');
        const resource = subresource === '' ? plural : `${plural}/${subresource}`;
        const subject = namespace === '' ? name : `${namespace}/${name}`;
        return [group, resource, subject].filter((part) => part !== '').join(' ');
      }),
    ).toEqual(needs);
  });

  test('nobody else, without these headers', () => {
    expect(impersonationOf(['Host', 'x', 'Authorization', 'Bearer y'])).toBeUndefined();
    expect(impersonationOf([AS, ''])).toBeUndefined();
  });

  test.each([
    { name: 'groups', headers: [GROUP, 'g'], text: '{Group  g    }' },
    { name: 'groups beside an empty name', headers: [AS, '', GROUP, 'g'], text: '{Group  g    }' },
    { name: 'a uid', headers: [UID, 'u'], text: '{UID  u  authentication.k8s.io/v1  }' },
    {
      name: 'extras',
      headers: ['Impersonate-Extra-Scopes', 'a'],
      text: '{UserExtra  a  authentication.k8s.io/v1  scopes}',
    },
  ])('$name without a user is a bad request', ({ headers, text }) => {
    expect(() => impersonationOf(headers)).toThrow(`requested [${text}] without impersonating a user`);
  });
});

describe('each part needs the right to be that', () => {
  const TOKENS = `admin,kubernetes-admin,1,"system:masters"
plain,plain,2
users,users,3
groups,groups,4
accounts,accounts,5
all,all,6
`;
  const RBAC = '/apis/rbac.authorization.k8s.io/v1';
  const may = (apiGroup: string, resources: string[], resourceNames?: string[]) => ({
    apiGroups: [apiGroup],
    resources,
    verbs: ['impersonate'],
    ...(resourceNames === undefined ? {} : { resourceNames }),
  });
  const RIGHTS: Record<string, object[]> = {
    users: [may('', ['users'], ['bob'])],
    groups: [may('', ['users']), may('', ['groups'], ['devs'])],
    accounts: [may('', ['serviceaccounts'], ['default'])],
    all: [
      may('', ['users', 'groups', 'serviceaccounts']),
      may('authentication.k8s.io', ['uids'], ['some-uid']),
      may('authentication.k8s.io', ['userextras/scopes'], ['a']),
      may('authentication.k8s.io', ['userextras/project']),
    ],
  };
  let api: TestServer;

  /** Over a socket: `fetch` would join headers of one name. Resolves to status and body. */
  async function ask(token: string, headers: Headers): Promise<{ status: number; body: never }> {
    const { port } = new URL(api.url);
    const socket = connect({ host: '127.0.0.1', port: Number(port), ca: api.ca.certPem });
    await once(socket, 'secureConnect');
    const body = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' });
    const lines = [
      'POST /apis/authentication.k8s.io/v1/selfsubjectreviews HTTP/1.1',
      'Host: 127.0.0.1',
      `Authorization: Bearer ${token}`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      'Connection: close',
      ...headers.map(([name, value]) => `${name}: ${value}`),
    ];
    socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
    let text = '';
    for await (const chunk of socket) text += chunk;
    return {
      status: Number(text.split(' ')[1]),
      body: JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as never,
    };
  }

  beforeAll(async () => {
    api = await TestServer.start(new FakeStorage(), (config) => ({
      ...config,
      tokenFile: { text: TOKENS, path: 'tokens.csv' },
    }));
    for (const [name, rules] of Object.entries(RIGHTS)) {
      await api.must('POST', `${RBAC}/clusterroles`, { metadata: { name }, rules });
      await api.must('POST', `${RBAC}/clusterrolebindings`, {
        metadata: { name },
        roleRef: { kind: 'ClusterRole', name },
        subjects: [{ kind: 'User', name }],
      });
    }
    let status = 403;
    for (let tries = 0; status === 403 && tries < 200; tries++)
      status = (await ask('all', [[AS, 'bob']])).status;
    expect(status).toBe(201);
  });
  afterAll(() => api.stop());

  const forbidden = (
    subject: string,
    who: string,
    resource: string,
    group = '',
    where = 'at the cluster scope',
  ) =>
    `${subject} is forbidden: User "${who}" cannot impersonate resource "${resource}" in API group "${group}" ${where}`;
  const cases: { name: string; token: string; headers: Headers; refused?: string; user?: object }[] = [
    {
      name: 'a user, without any right',
      token: 'plain',
      headers: [[AS, 'bob']],
      refused: forbidden('users "bob"', 'plain', 'users'),
    },
    {
      name: 'a user that one may',
      token: 'users',
      headers: [[AS, 'bob']],
      user: { username: 'bob', groups: [AUTHENTICATED] },
    },
    {
      name: 'a user that one may not',
      token: 'users',
      headers: [[AS, 'ann']],
      refused: forbidden('users "ann"', 'users', 'users'),
    },
    {
      name: 'a group, with the right for users only',
      token: 'users',
      headers: [
        [AS, 'bob'],
        [GROUP, 'system:masters'],
      ],
      refused: forbidden('groups "system:masters"', 'users', 'groups'),
    },
    {
      name: 'a group that one may',
      token: 'groups',
      headers: [
        [AS, 'ann'],
        [GROUP, 'devs'],
      ],
      user: { username: 'ann', groups: ['devs', AUTHENTICATED] },
    },
    {
      name: 'two groups, of which one may one',
      token: 'groups',
      headers: [
        [AS, 'ann'],
        [GROUP, 'devs'],
        [GROUP, 'ops'],
      ],
      refused: forbidden('groups "ops"', 'groups', 'groups'),
    },
    {
      name: 'one group with the names of two in it',
      token: 'all',
      headers: [
        [AS, 'ann'],
        [GROUP, 'devs,system:masters'],
      ],
      user: { username: 'ann', groups: ['devs,system:masters', AUTHENTICATED] },
    },
    {
      name: 'a service account, with the right for users only',
      token: 'groups',
      headers: [[AS, 'system:serviceaccount:kube-system:default']],
      refused: forbidden(
        'serviceaccounts "default"',
        'groups',
        'serviceaccounts',
        '',
        'in the namespace "kube-system"',
      ),
    },
    {
      name: 'a service account that one may',
      token: 'accounts',
      headers: [[AS, 'system:serviceaccount:foo:default']],
      user: {
        username: 'system:serviceaccount:foo:default',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:foo', AUTHENTICATED],
      },
    },
    {
      name: 'a user named like an account with more behind it, with the right for that account',
      token: 'accounts',
      headers: [[AS, 'system:serviceaccount:foo:default:x']],
      refused: forbidden('users "system:serviceaccount:foo:default:x"', 'accounts', 'users'),
    },
    {
      name: 'a uid that one may not',
      token: 'groups',
      headers: [
        [AS, 'ann'],
        [UID, 'some-uid'],
      ],
      refused: forbidden('uids.authentication.k8s.io "some-uid"', 'groups', 'uids', 'authentication.k8s.io'),
    },
    {
      name: 'another uid',
      token: 'all',
      headers: [
        [AS, 'ann'],
        [UID, 'other'],
      ],
      refused: forbidden('uids.authentication.k8s.io "other"', 'all', 'uids', 'authentication.k8s.io'),
    },
    {
      name: 'an extra that one may not',
      token: 'groups',
      headers: [
        [AS, 'ann'],
        ['Impersonate-Extra-Scopes', 'a'],
      ],
      refused: forbidden(
        'userextras.authentication.k8s.io "a"',
        'groups',
        'userextras/scopes',
        'authentication.k8s.io',
      ),
    },
    {
      name: 'another value of an extra',
      token: 'all',
      headers: [
        [AS, 'ann'],
        ['Impersonate-Extra-Scopes', 'a'],
        ['Impersonate-Extra-Scopes', 'b'],
      ],
      refused: forbidden(
        'userextras.authentication.k8s.io "b"',
        'all',
        'userextras/scopes',
        'authentication.k8s.io',
      ),
    },
    {
      name: 'everything that one may',
      token: 'all',
      headers: [
        [AS, 'ann'],
        [GROUP, AUTHENTICATED],
        [UID, 'some-uid'],
        ['Impersonate-Extra-Scopes', 'a'],
        ['Impersonate-Extra-Project', 'p'],
      ],
      user: {
        username: 'ann',
        uid: 'some-uid',
        groups: [AUTHENTICATED],
        extra: { scopes: ['a'], project: ['p'] },
      },
    },
  ];
  test.each(cases)('$name', async ({ token, headers, refused, user }) => {
    const { status, body } = await ask(token, headers);
    if (refused !== undefined) {
      expect(body).toMatchObject({ code: 403, reason: 'Forbidden', message: refused } as never);
      return;
    }
    // Everybody may ask who they are.
    expect(status).toBe(201);
    expect(body).toMatchObject({ status: { userInfo: user } } as never);
  });

  test('a group without a user is 400', async () => {
    const { body } = await ask('admin', [[GROUP, 'system:masters']]);
    expect(body).toMatchObject({ code: 400, reason: 'BadRequest' } as never);
  });

  test('an impersonated user grants only their own rights, whatever the requester has', async () => {
    const headers = { 'impersonate-user': 'ann' };
    await api.must('POST', `${RBAC}/clusterroles`, {
      metadata: { name: 'binds' },
      rules: [
        { apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterrolebindings'], verbs: ['create'] },
      ],
    });
    await api.must('POST', `${RBAC}/clusterrolebindings`, {
      metadata: { name: 'ann' },
      roleRef: { kind: 'ClusterRole', name: 'binds' },
      subjects: [{ kind: 'User', name: 'ann' }],
    });
    const object = { metadata: { name: 'all' }, roleRef: { kind: 'ClusterRole', name: 'cluster-admin' } };
    let message = '';
    // The authorizer learns of the binding from a watch.
    for (let tries = 0; !message.includes('attempting to grant') && tries < 200; tries++)
      message = (
        await api.ask(
          'POST',
          `${RBAC}/clusterrolebindings`,
          { ...object, metadata: { name: 'mine' } },
          { headers },
        )
      ).body.message;
    expect(message).toContain(
      'user "ann" (groups=["system:authenticated"]) is attempting to grant RBAC permissions',
    );
  });
});
