import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { UserError } from '../util/errors.ts';
import { inClusterConfig, kubectlTarget, loadKubeconfig } from './kubeconfig.ts';
import { kubeconfigDocument } from './kubeconfig-document.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kubeconfig-test-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

const server = 'https://127.0.0.1:6443';

const goodFile = {
  clusters: [{ name: 'c', cluster: { server } as Record<string, unknown> }],
  users: [{ name: 'u', user: { token: 't' } as Record<string, unknown> }],
  contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } as Record<string, unknown> }],
  'current-context': 'x' as string | undefined,
};

describe('loadKubeconfig', () => {
  test('reads back what kubeconfigDocument writes, token', async () => {
    const text = kubeconfigDocument({
      name: 'kind-kind',
      server,
      caPem: 'CA\n',
      credentials: { token: 't0k' },
    });
    expect(text).toContain('clusters:\n- cluster:');
    const path = await file('token.conf', text);
    expect(await loadKubeconfig(path)).toEqual({
      server,
      ca: 'CA\n',
      token: 't0k',
      origin: `context "kind-kind" of ${path}`,
      userAgent: 'hostport',
    });
  });

  test('reads back what kubeconfigDocument writes, certificate', async () => {
    const credentials = { certPem: 'CERT\n', keyPem: 'KEY\n' };
    const text = kubeconfigDocument({ name: 'a', server, caPem: 'CA\n', credentials });
    expect(await loadKubeconfig(await file('cert.conf', text))).toMatchObject({
      cert: 'CERT\n',
      key: 'KEY\n',
    });
  });

  test('files are relative to the kubeconfig, a token file is read for every request, a context can be named', async () => {
    await file('ca.crt', 'CA of file');
    await file('token', 'first\n');
    const path = await file(
      'files.conf',
      `
clusters: [{name: c, cluster: {server: "${server}/", certificate-authority: ca.crt}}]
users: [{name: u, user: {tokenFile: token}}]
contexts: [{name: other, context: {cluster: c, user: u}}]
current-context: missing
`,
    );
    const options = await loadKubeconfig(path, 'other');
    expect(options).toMatchObject({ server, ca: 'CA of file' });
    const token = options.token as () => Promise<string>;
    expect(await token()).toBe('first');
    await file('token', 'second');
    expect(await token()).toBe('second');
  });

  const good = goodFile;
  const v1 = 'client.authentication.k8s.io/v1';
  const exec = { command: 'x', apiVersion: v1, interactiveMode: 'Never' };
  const userCases = (
    [
      ['exec without command', { exec: { apiVersion: v1 } }, 'exec has no command'],
      ['exec without version', { exec: { command: 'x' } }, 'exec has no apiVersion'],
      [
        'exec of an old version',
        { exec: { command: 'x', apiVersion: 'client.authentication.k8s.io/v1alpha1' } },
        `exec: apiVersion "client.authentication.k8s.io/v1alpha1" is not one of ${v1}, client.authentication.k8s.io/v1beta1`,
      ],
      [
        'exec without mode',
        { exec: { command: 'x', apiVersion: v1 } },
        'exec: interactiveMode must be one of Never, IfAvailable, Always',
      ],
      [
        'exec with a nameless variable',
        { exec: { ...exec, env: [{ value: 'S3CRET' }] } },
        'exec: env has no name',
      ],
      [
        'exec with numeric arguments',
        { exec: { ...exec, args: [1] } },
        'exec: args is not a list of strings',
      ],
      ['exec that is a text', { exec: 'S3CRET' }, 'exec is not a mapping'],
      [
        'a mistake in exec beside a token',
        { exec: { command: 'x' }, token: 'S3CRET' },
        'exec has no apiVersion',
      ],
      [
        'two programs',
        { exec, 'auth-provider': { name: 'oidc' } },
        'exec and auth-provider are both given, only one is allowed',
      ],
      [
        'token and user',
        { token: 'S3CRET', username: 'a', password: 'S3CRET' },
        'token and username are both given, only one is allowed',
      ],
      ['a token of two lines', { token: 'S3CRET\r\nS3CRET' }, 'token has a control character'],
      [
        'an OpenID Connect token of two lines',
        { 'auth-provider': { name: 'oidc', config: { 'id-token': 'S3CRET\0' } } },
        'auth-provider: config: id-token has a control character',
      ],
      [
        'groups without a user',
        { token: 't', 'as-groups': ['a'] },
        'as-uid, as-groups and as-user-extra need as',
      ],
      [
        'a line break in a name',
        { token: 't', as: 'a\r\nb: c' },
        'a name to impersonate has a control character',
      ],
      [
        'extra that is no list',
        { token: 't', as: 'a', 'as-user-extra': { k: 'v' } },
        'as-user-extra: k is not a list of strings',
      ],
      [
        'gcp',
        { 'auth-provider': { name: 'gcp', config: { 'access-token': 'S3CRET' } } },
        'auth-provider "gcp" was removed from Kubernetes; use gke-gcloud-auth-plugin; run "gcloud container clusters get-credentials CLUSTER"',
      ],
      [
        'azure',
        { 'auth-provider': { name: 'azure' }, token: 'S3CRET' },
        'auth-provider "azure" was removed from Kubernetes; use kubelogin; run "kubelogin convert-kubeconfig"',
      ],
      [
        'another provider',
        { 'auth-provider': { name: 'toString' } },
        'auth-provider "toString" was removed from Kubernetes; use an exec plugin',
      ],
    ] as [string, Record<string, unknown>, string][]
  ).map(([name, user, problem]) => ({
    name,
    text: { ...good, users: [{ name: 'u', user }] },
    message: `user "u": ${problem}`,
  }));
  const cases: { name: string; text: string | typeof good; message: string | RegExp }[] = [
    { name: 'not YAML', text: 'a: [', message: /: not valid YAML: line 1, column \d+$/ },
    { name: 'a list', text: '- a', message: 'it is not a YAML mapping' },
    { name: 'empty', text: '', message: 'no current-context is set' },
    { name: 'another kind', text: 'kind: Pod', message: 'it is not a kubeconfig' },
    { name: 'another version', text: 'apiVersion: v2', message: 'it is not a kubeconfig' },
    { name: 'a mapping of users', text: 'users: {a: 1}', message: 'users is not a list' },
    {
      name: 'a user that is a text',
      text: 'users: [S3CRET]',
      message: 'users has an item that is not a mapping',
    },
    { name: 'a numeric name', text: 'users: [{name: 1}]', message: 'users has a name that is not a string' },
    { name: 'a name twice', text: 'users: [{name: u}, {name: u}]', message: 'user "u" is there twice' },
    { name: 'a numeric context', text: 'current-context: 1', message: 'current-context is not a string' },
    {
      name: 'no current-context',
      text: { ...good, 'current-context': undefined },
      message: 'no current-context is set; there is "x"',
    },
    { name: 'unknown context', text: { ...good, contexts: [] }, message: 'no context named "x"' },
    { name: 'unknown cluster', text: { ...good, clusters: [] }, message: 'no cluster named "c"' },
    { name: 'unknown user', text: { ...good, users: [] }, message: 'no user named "u"' },
    {
      name: 'context without cluster',
      text: { ...good, contexts: [{ name: 'x', context: {} }] },
      message: 'context "x" does not name a cluster',
    },
    {
      name: 'no server',
      text: { ...good, clusters: [{ name: 'c', cluster: {} }] },
      message: 'cluster "c" has no server',
    },
    ...['ftp://a', 'localhost/path', 'https://', 'a b'].map((bad) => ({
      name: `server ${bad}`,
      text: { ...good, clusters: [{ name: 'c', cluster: { server: bad } }] },
      message: 'cluster "c": server is not an http or https URL',
    })),
    ...['ftp://user:S3CRET@a', 'proxy:3128', 'http://'].map((bad) => ({
      name: `proxy-url ${bad}`,
      text: { ...good, clusters: [{ name: 'c', cluster: { server, 'proxy-url': bad } }] },
      message: 'cluster "c": proxy-url is not an http, https or socks5 URL',
    })),
    ...(['server', 'proxy-url'] as const).flatMap((field) =>
      ['https://us%zz:S3CRET@h:1', 'http://us:S3CRET%@h:1'].map((bad) => ({
        name: `${field} ${bad}`,
        text: { ...good, clusters: [{ name: 'c', cluster: { server, [field]: bad } }] },
        message: `cluster "c": ${field} has a user or a password that is not percent-encoded UTF-8`,
      })),
    ),
    {
      name: 'an authority that is not to be used',
      text: {
        ...good,
        clusters: [
          {
            name: 'c',
            cluster: { server, 'insecure-skip-tls-verify': true, 'certificate-authority-data': 'YQ==' },
          },
        ],
      },
      message: 'cluster "c": insecure-skip-tls-verify and a certificate-authority exclude each other',
    },
    {
      name: 'neither true nor false',
      text: { ...good, clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': 'S3CRET' } }] },
      message: 'cluster "c": insecure-skip-tls-verify is neither true nor false',
    },
    {
      name: 'bad base64',
      text: { ...good, clusters: [{ name: 'c', cluster: { server, 'certificate-authority-data': '§' } }] },
      message: 'cluster "c": certificate-authority-data is not base64',
    },
    {
      name: 'missing file',
      text: { ...good, clusters: [{ name: 'c', cluster: { server, 'certificate-authority': 'none.crt' } }] },
      message:
        /cluster "c": certificate-authority \/.*\/none\.crt cannot be read: no such file or directory$/,
    },
    {
      name: 'half a certificate',
      text: { ...good, users: [{ name: 'u', user: { 'client-key-data': 'YQ==' } }] },
      message: /needs both client-certificate and client-key/,
    },
    ...userCases,
    {
      name: 'token of the wrong type',
      text: { ...good, users: [{ name: 'u', user: { token: 12 } }] },
      message: 'user "u": token is not a string',
    },
  ];
  for (const { name, text, message } of cases) {
    test(`refuses: ${name}`, async () => {
      const path = await file('bad.conf', typeof text === 'string' ? text : JSON.stringify(text));
      const error = await loadKubeconfig(path).catch((thrown) => thrown);
      expect(error).toBeInstanceOf(UserError);
      if (typeof message === 'string')
        expect(error.message).toBe(`cannot use kubeconfig ${path}: ${message}`);
      else expect(error.message).toMatch(message);
      expect(error.message).not.toContain('S3CRET');
    });
  }

  test('the table of refusals starts from a file that is accepted', async () => {
    expect(await loadKubeconfig(await file('good.conf', JSON.stringify(good)))).toMatchObject({
      server,
      token: 't',
    });
  });

  test('refuses a file that is not there', async () => {
    await expect(loadKubeconfig(join(directory, 'none'))).rejects.toThrow(/kubeconfig .*none: no such file/);
  });
});

describe('what can change while a client runs', () => {
  test('certificates in files are read again for every request', async () => {
    await file('me.crt', 'FIRST');
    await file('me.key', 'KEY');
    const user = { 'client-certificate': 'me.crt', 'client-key': 'me.key', username: 'a' };
    const text = { ...goodFile, users: [{ name: 'u', user }] };
    const { credentials } = await loadKubeconfig(await file('rotated.conf', JSON.stringify(text)));
    const basic = { username: 'a', password: '' };
    expect(await credentials!.current()).toEqual({ cert: 'FIRST', key: 'KEY', basic });
    await file('me.crt', 'SECOND');
    expect(await credentials!.current()).toEqual({ cert: 'SECOND', key: 'KEY', basic });
  });

  test('a token stands in for a token file that cannot be read; without it that is an error at once', async () => {
    const users = (user: object) => JSON.stringify({ ...goodFile, users: [{ name: 'u', user }] });
    const both = await loadKubeconfig(await file('both.conf', users({ tokenFile: 'nowhere', token: 't' })));
    expect(await (both.token as () => Promise<string>)()).toBe('t');
    const alone = loadKubeconfig(await file('alone.conf', users({ tokenFile: 'nowhere' })));
    await expect(alone).rejects.toThrow(
      `cannot read bearer token ${join(directory, 'nowhere')}: no such file`,
    );
  });

  test('white space around a token is not part of it, and control characters in it are refused', async () => {
    const users = (user: object) => JSON.stringify({ ...goodFile, users: [{ name: 'u', user }] });
    expect(await loadKubeconfig(await file('blank.conf', users({ token: ' t\n' })))).toMatchObject({
      token: 't',
    });
    expect(await loadKubeconfig(await file('blank.conf', users({ token: '\n' })))).not.toHaveProperty(
      'token',
    );
    await file('token', 'S3CRET\nS3CRET\n');
    await expect(loadKubeconfig(await file('two.conf', users({ tokenFile: 'token' })))).rejects.toThrow(
      `cannot read bearer token ${join(directory, 'token')}: it has a control character`,
    );
  });

  test.each([
    ['valid', 4_000_000_000, undefined],
    [
      'ended',
      1_000_000_000,
      /: id-token ended at 2001-09-09T01:46:40\.000Z; run any kubectl command, which renews it/,
    ],
    ['without an end', undefined, /"oidc": id-token is not a JSON web token$/],
  ])('an OpenID Connect token that is %s', async (_, exp, problem) => {
    const token = `S3CRET.${Buffer.from(JSON.stringify({ exp })).toString('base64url')}.S3CRET`;
    const user = { 'auth-provider': { name: 'oidc', config: { 'id-token': token } } };
    const text = { ...goodFile, users: [{ name: 'u', user }] };
    const { credentials } = await loadKubeconfig(await file('oidc.conf', JSON.stringify(text)));
    const given = await credentials!.current().catch((thrown: Error) => thrown);
    if (problem === undefined) expect(given).toEqual({ token });
    else {
      expect((given as Error).message).toMatch(problem);
      expect((given as Error).message).not.toContain('S3CRET');
    }
  });
});

describe('kubectlTarget', () => {
  test.each([
    ['a line cut short', 'users:\n- user:\n    token: "S3CRET\n', /: not valid YAML: line 4, column 1$/],
    ['an alias of nothing', 'users: *S3CRET\n', /: not valid YAML$/],
    ['a text for a list', 'users: !S3CRET a\n', /: users is not a list$/],
  ])(
    'an invalid kubeconfig is reported by the place of its error, and none of it is quoted: %s',
    async (_, text, problem) => {
      const kubeconfig = await file('invalid.conf', text);
      const error = await kubectlTarget({ kubeconfig }).catch((thrown) => thrown);
      expect(error.message).toStartWith(`cannot use kubeconfig ${kubeconfig}: `);
      expect(error.message).toMatch(problem);
      expect(error.message).not.toContain('S3CRET');
    },
  );

  const service = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };

  test('without a current context: the pod, if this is one', async () => {
    const account = join(directory, 'account');
    await mkdir(account, { recursive: true });
    await writeFile(join(account, 'token'), 'pod');
    await writeFile(join(account, 'ca.crt'), 'CA');
    const env = { KUBECONFIG: join(directory, 'nowhere') };
    const inPod = { ...env, ...service };
    const pod = { server: 'https://10.96.0.1:443', origin: `service account of this pod, ${account}` };
    expect(await kubectlTarget({}, inPod, account)).toMatchObject({ context: '', access: pod });
    expect(
      (await kubectlTarget({ as: 'me', asGroup: ['a', 'b'], requestTimeout: 5000 }, inPod, account)).access,
    ).toMatchObject({
      ...pod,
      timeoutMs: 5000,
      headers: [
        ['Impersonate-User', 'me'],
        ['Impersonate-Group', 'a'],
        ['Impersonate-Group', 'b'],
      ],
    });
    const problem = `cannot use kubeconfig ${env.KUBECONFIG}: no such file`;
    await expect(kubectlTarget({}, env, account)).rejects.toThrow(problem);
    await expect(kubectlTarget({}, inPod, join(directory, 'nowhere'))).rejects.toThrow(problem);
    await expect(kubectlTarget({ context: 'x' }, inPod, account)).rejects.toThrow(problem);
    const path = await file('chosen.conf', JSON.stringify(goodFile));
    const chosen = { context: 'x', access: { server, token: 't' } };
    expect(await kubectlTarget({ kubeconfig: path }, inPod, account)).toMatchObject(chosen);
    expect(await kubectlTarget({}, { ...inPod, KUBECONFIG: path }, account)).toMatchObject(chosen);
  });

  test('flags need no current context where they name a cluster, and whom to impersonate also without a user', async () => {
    const kubeconfig = await file('no-current.conf', JSON.stringify({ ...goodFile, 'current-context': '' }));
    const { context, access } = await kubectlTarget({ kubeconfig, cluster: 'c', as: 'me' });
    expect(context).toBe('');
    expect(access).toEqual({
      server,
      headers: [['Impersonate-User', 'me']],
      origin: `cluster "c" of ${kubeconfig}`,
      userAgent: 'hostport',
    });
  });

  test('the current context is that of the first file that has one', async () => {
    const named = (name: string) => JSON.stringify({ ...goodFile, 'current-context': name });
    const first = await file('first.conf', 'current-context: ""');
    const second = await file('second.conf', named('x'));
    const third = await file('third.conf', named('other'));
    const env = { KUBECONFIG: [first, second, third].join(':') };
    expect((await kubectlTarget({}, env)).context).toBe('x');
    await expect(kubectlTarget({}, { KUBECONFIG: first })).rejects.toThrow('no current-context is set');
  });

  test.each([
    ['no context named "y"; there is "x"', { context: 'y' }],
    ['no cluster named "y"; there is "c"', { cluster: 'y' }],
    ['no user named "y"; there is "u"', { user: 'y' }],
    ['user "u": as-uid, as-groups and as-user-extra need as', { asGroup: ['g'] }],
    ['cluster "c": server is not an http or https URL', { server: 'ftp://x' }],
  ])('%s', async (problem, flags) => {
    const kubeconfig = await file('flags.conf', JSON.stringify(goodFile));
    await expect(kubectlTarget({ kubeconfig, ...flags })).rejects.toThrow(
      `cannot use kubeconfig ${kubeconfig}: ${problem}`,
    );
  });
});

describe('inClusterConfig', () => {
  const env = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };

  test('reads the mounted service account, and its token for every request', async () => {
    await file('ca.crt', 'CA');
    await file('token', 'one');
    const options = await inClusterConfig(env, directory);
    expect(options).toMatchObject({ server: 'https://10.96.0.1:443', ca: 'CA' });
    await file('token', 'two');
    expect(await (options.token as () => Promise<string>)()).toBe('two');
    const v6 = await inClusterConfig({ ...env, KUBERNETES_SERVICE_HOST: 'fd00::1' }, directory);
    expect(v6.server).toBe('https://[fd00::1]:443');
  });

  test('says what is missing', async () => {
    await expect(inClusterConfig({}, directory)).rejects.toThrow(/run this in a pod/);
    await expect(inClusterConfig(env, join(directory, 'none'))).rejects.toThrow(/ca.crt does not exist/);
    await file('token', '\n');
    await expect(inClusterConfig(env, directory)).rejects.toThrow(/the file is empty/);
  });
});

test('a kubeconfig holds what kubectl looks for', () => {
  const text = kubeconfigDocument({ name: 'n', server, caPem: 'x', credentials: { token: 't' } });
  expect(parse(text)).toMatchObject({ apiVersion: 'v1', kind: 'Config', 'current-context': 'n' });
});
