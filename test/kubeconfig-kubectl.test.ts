import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { selectContext } from '../src/kube/kubeconfig-context.ts';
import { readKubeconfigs } from '../src/kube/kubeconfig-files.ts';
import { mergeKubeconfig, removeFromKubeconfig } from '../src/kube/kubeconfig-merge.ts';
import { type Arrival, type ProxyArrival, Recorder } from '../src/kube/testing/recorder.ts';
import { kubectls } from './e2e/kubectls.ts';

/** The newest kubectl that is here. Without one there is nothing to compare with. */
const kubectl = Bun.which('kubectl') === null ? undefined : kubectls().at(-1)!;
const reason = kubectl === undefined ? ' (skipped: there is no kubectl on PATH)' : '';
const ROOT = join(import.meta.dir, '..');

let directory: string;
let recorder: Recorder;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kubeconfig-kubectl-'));
  recorder = await Recorder.start();
});
afterAll(async () => {
  await recorder[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const NO_PROXIES = /^(?:https?|all|no)_proxy$/i;

/** Runs a program with the given environment beside the inherited one, which loses its proxies; nothing to read, and no terminal. */
async function run(
  argv: string[],
  env: Record<string, string>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !NO_PROXIES.test(name) && name !== 'KUBECONFIG',
  );
  const child = Bun.spawn(argv, {
    env: { ...Object.fromEntries(inherited), HOME: directory, ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    cwd: directory,
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

function put(files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text, { mode: name.endsWith('.sh') ? 0o755 : 0o600 });
  }
}

describe.skipIf(kubectl === undefined)(
  `what is selected, as "kubectl config view --minify" has it${reason}`,
  () => {
    const FULL = `
apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: c, user: u, namespace: team}}, {name: other, context: {cluster: x}}]
clusters:
- name: c
  cluster:
    server: https://h:1/p/x/
    certificate-authority: ca.crt
    proxy-url: socks5://p:1
    tls-server-name: t
    disable-compression: yes
    extensions: [{name: client.authentication.k8s.io/exec, extension: {a: 1}}]
users:
- name: u
  user:
    tokenFile: token
    as: me
    as-uid: "1"
    as-groups: [g, h]
    as-user-extra: {k: [a, b]}
    exec: {command: bin/x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, args: [a], env: [{name: A, value: b}], installHint: hint}
`;
    const SECOND = `
current-context: b
contexts: [{name: a, context: {cluster: other}}, {name: b, context: {cluster: c2, user: u2}}]
clusters: [{name: c2, cluster: {server: "127.0.0.1:99", insecure-skip-tls-verify: true}}, {name: c, cluster: {server: "https://second"}}]
users: [{name: u2, user: {client-certificate: c.crt, client-key: /abs/k}}, {name: u, user: {token: second}}]
`;
    const cases: [what: string, files: Record<string, string>, kubeconfig: string][] = [
      ['one file', { one: FULL }, 'one'],
      ['the first file wins', { one: FULL, 'd/two': SECOND }, 'one:none:d/two'],
      ['the other way round', { one: FULL, 'd/two': SECOND }, 'd/two:one'],
      ['empty names, and one twice', { one: FULL, 'd/two': SECOND }, ':d/two:d/two::one'],
      ['a first file with nothing in it', { empty: '', one: FULL }, 'empty:one'],
      [
        'a first file with null lists',
        { nulls: 'clusters: null\nusers:\ncontexts: []\n', one: FULL },
        'nulls:one',
      ],
      ['an empty current-context', { none: 'current-context: ""\n', one: FULL }, 'none:one'],
      ['JSON', { json: JSON.stringify(Bun.YAML.parse(FULL.replace('yes', 'true'))) }, 'json'],
      ['unknown fields', { more: `${FULL}x-more: {a: 1}\n` }, 'more'],
      ['a key twice', { twice: `current-context: x\n${FULL.replace('apiVersion: v1\n', '')}` }, 'twice'],
      ['several documents', { documents: `${FULL}\n---\ncurrent-context: b\n` }, 'documents'],
      [
        'fields of other letters',
        { letters: FULL.replace('as: me', 'as: me\n    Token: x\n    TOKEN: y') },
        'letters',
      ],
    ];

    test.each(cases)('%s', async (_, files, kubeconfig) => {
      put(files);
      const viewed = await run([kubectl!, 'config', 'view', '--raw', '--minify', '-o', 'json'], {
        KUBECONFIG: kubeconfig,
      });
      expect(viewed.stderr).toBe('');
      const view = JSON.parse(viewed.stdout);
      const paths = kubeconfig.split(':').filter((path) => path !== '');
      const { name, context, cluster, user } = selectContext(
        await readKubeconfigs([...new Set(paths)].map((path) => join(directory, path))),
      );
      expect(name).toBe(view['current-context']);
      expect(view.contexts).toHaveLength(1);
      expect(context.fields).toEqual(view.contexts[0].context);
      expect(cluster.name).toBe(view.clusters[0].name);
      // What kubectl shows are files as they are found from here; "yes" is one of its words for true.
      const found = (fields: Record<string, unknown>, file: string) => {
        const shown: Record<string, unknown> = { ...fields };
        for (const field of ['certificate-authority', 'client-certificate', 'client-key', 'tokenFile']) {
          const path = fields[field];
          if (typeof path === 'string' && !path.startsWith('/')) {
            shown[field] = join(dirname(file), path).slice(directory.length + 1);
          }
        }
        if (shown['disable-compression'] === 'yes') shown['disable-compression'] = true;
        delete shown.Token;
        delete shown.TOKEN;
        return shown;
      };
      // kubectl writes paths beside the file as they were.
      const { extensions: _1, ...clusterShown } = found(cluster.stanza.fields, join(directory, 'x'));
      const { extensions: _2, ...clusterViewed } = view.clusters[0].cluster;
      expect(clusterShown).toEqual(clusterViewed);
      expect(user!.name).toBe(view.users[0].name);
      const { exec: execShown, ...userShown } = found(user!.stanza.fields, join(directory, 'x'));
      const { exec: execViewed, ...userViewed } = view.users[0].user;
      expect(userShown).toEqual(userViewed);
      if (execShown !== undefined) expect(execViewed).toMatchObject(execShown as object);
    });

    test.each([
      ['a list', '- a\n'],
      ['another kind', 'apiVersion: v1\nkind: Pod\n'],
      ['a token that is a number', 'users: [{name: u, user: {token: 12}}]\ncurrent-context: 12\n'],
      ['a name twice', 'users: [{name: u, user: {token: S3CRET}}, {name: u, user: {}}]\n'],
      ['a mapping for a list', 'users: {a: 1}\n'],
      ['no YAML', 'users: [S3CRET\n'],
    ])('refused by both: %s', async (_, text) => {
      put({ bad: text });
      expect((await run([kubectl!, 'config', 'view', '--raw'], { KUBECONFIG: 'bad' })).code).toBe(1);
      const error = await readKubeconfigs([join(directory, 'bad')]).catch((thrown) => thrown);
      expect(error.message).toStartWith(`cannot use kubeconfig ${join(directory, 'bad')}: `);
      expect(error.message).not.toContain('S3CRET');
    });
  },
);

describe.skipIf(kubectl === undefined)(`what kubectl reads after a cluster was merged${reason}`, () => {
  test('is what it read before, and the cluster', async () => {
    const path = join(directory, 'mine');
    const extension = '{a: 0644, b: 12345678901234567890, c: 1.50, d: yes, e: "yes", f: ~, g: 2024-01-01}';
    const extensions = `extensions: [{name: e, extension: ${extension}}]`;
    put({
      mine: `# mine
current-context: a
contexts:
- {name: a, context: {cluster: a, user: a, namespace: team, ${extensions}}}
clusters:
  - cluster:
        server: https://a
        ${extensions}
    name: a
users:
- name: a
  user: {exec: {command: x, apiVersion: client.authentication.k8s.io/v1beta1, env: [{name: A, value: "0644"}]}}
${extensions}
`,
    });
    const view = async () => {
      const viewed = await run([kubectl!, 'config', 'view', '--raw', '-o', 'json'], { KUBECONFIG: path });
      expect(viewed.stderr).toBe('');
      return viewed.stdout;
    };
    const before = await view();
    expect(before).toContain('420');
    const credentials = { token: 'T' };
    await mergeKubeconfig(path, {
      name: 'kind-kind',
      server: 'https://127.0.0.1:1',
      caPem: 'CA',
      credentials,
    });
    const merged = JSON.parse(await view());
    expect(merged['current-context']).toBe('kind-kind');
    expect(merged.users).toContainEqual({ name: 'kind-kind', user: credentials });
    await removeFromKubeconfig(path, 'kind-kind');
    expect(await view()).toBe(before.replace('"current-context": "a"', '"current-context": ""'));
  });
});

describe.skipIf(kubectl === undefined)(
  `what arrives at a server, as "kubectl get --raw /version" sends it${reason}`,
  () => {
    interface Case {
      what: string;
      cluster?: (at: Recorder) => Record<string, unknown>;
      user?: (at: Recorder) => Record<string, unknown>;
      /** What of the kubeconfig is another. */
      config?: Record<string, unknown>;
      files?: (at: Recorder) => Record<string, string>;
      env?: (at: Recorder) => Record<string, string>;
      /** What kubectl is to do instead: --raw does not know of a path of the server. */
      words?: string[];
      /** Flags that both get, relative to where they run. */
      flags?: (at: Recorder) => string[];
      /** What must have arrived, lest both send nothing. */
      arrived: (at: Recorder) => object;
    }
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    const far = { server: 'https://api.example:6443' };
    const authorization = (value: string) => ({
      headers: expect.arrayContaining([['authorization', value]]),
    });
    const plugin = (status: object) => `#!/bin/sh
echo "$A $1 $KUBERNETES_EXEC_INFO" >> "$RUNS"
cat <<'END'
${JSON.stringify({ kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1', status })}
END
`;
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: './plugin.sh',
      args: ['one'],
      env: [{ name: 'A', value: 'b' }],
      interactiveMode: 'IfAvailable',
      provideClusterInfo: true,
    };
    const proxied = (kind: 'http' | 'https' | 'socks5', user = '') => ({
      'proxy-url': `${kind}://${user}${kind === 'https' ? 'localhost' : '127.0.0.1'}:${recorder.port(kind)}`,
    });

    const cases: Case[] = [
      { what: 'a token', user: () => ({ token: 'T' }), arrived: () => authorization('Bearer T') },
      {
        what: 'a token that is not ASCII',
        user: () => ({ token: 'Tökn €' }),
        arrived: () => authorization(`Bearer ${Buffer.from('Tökn €').toString('latin1')}`),
      },
      {
        what: 'a token file',
        user: () => ({ tokenFile: 'd/token' }),
        files: () => ({ 'd/token': ' of-file\n' }),
        arrived: () => authorization('Bearer of-file'),
      },
      {
        what: 'a token file and a token',
        user: () => ({ tokenFile: 'd/token', token: 'T' }),
        files: () => ({ 'd/token': 'of-file' }),
        arrived: () => authorization('Bearer of-file'),
      },
      {
        what: 'user and password',
        user: () => ({ username: 'müller', password: 'p:w' }),
        arrived: () => authorization(`Basic ${base64('müller:p:w')}`),
      },
      {
        what: 'a certificate as data',
        user: ({ client }) => ({
          'client-certificate-data': base64(client.certPem),
          'client-key-data': base64(client.keyPem),
        }),
        arrived: () => ({ peer: 'me' }),
      },
      {
        what: 'a certificate in files, and a token',
        user: () => ({ 'client-certificate': 'me.crt', 'client-key': 'me.key', token: 'T' }),
        files: ({ client }) => ({ 'me.crt': client.certPem, 'me.key': client.keyPem }),
        arrived: () => ({ peer: 'me', ...authorization('Bearer T') }),
      },
      {
        what: 'impersonation',
        user: () => ({
          token: 'T',
          as: 'jané',
          'as-uid': 'u-1',
          'as-groups': ['one', 'two, three'],
          'as-user-extra': { 'example.org/Scope%': ['a', 'b'], k: ['c'] },
        }),
        arrived: () => ({
          headers: expect.arrayContaining([
            ['impersonate-group', 'one'],
            ['impersonate-group', 'two, three'],
            ['impersonate-extra-example.org%2fscope%25', 'b'],
          ]),
        }),
      },
      {
        what: 'a plugin that gives a token',
        user: () => ({ exec }),
        files: () => ({ 'plugin.sh': plugin({ token: 'P' }) }),
        arrived: () => authorization('Bearer P'),
      },
      {
        what: 'a plugin that gives a certificate, with configuration of the cluster',
        user: () => ({ exec }),
        cluster: () => ({
          extensions: [{ name: 'client.authentication.k8s.io/exec', extension: { audience: 'x' } }],
          'tls-server-name': 'api.example',
          'disable-compression': true,
          ...proxied('http'),
        }),
        files: ({ client }) => ({
          'plugin.sh': plugin({ clientCertificateData: client.certPem, clientKeyData: client.keyPem }),
        }),
        arrived: () => ({ peer: 'me' }),
      },
      {
        what: 'a plugin beside a token does not run',
        user: () => ({ exec, token: 'T' }),
        files: () => ({ 'plugin.sh': plugin({ token: 'P' }) }),
        arrived: () => authorization('Bearer T'),
      },
      {
        what: 'OpenID Connect, while its token is valid',
        user: () => ({
          'auth-provider': {
            name: 'oidc',
            config: {
              'client-id': 'c',
              'idp-issuer-url': 'https://127.0.0.1:1',
              'id-token': `e30.${Buffer.from('{"exp":9999999999}').toString('base64url')}.x`,
            },
          },
        }),
        arrived: () =>
          authorization(`Bearer e30.${Buffer.from('{"exp":9999999999}').toString('base64url')}.x`),
      },
      {
        what: 'no user',
        arrived: () => ({ path: '/version' }),
        user: () => ({ as: 'x', token: 'T' }),
      },
      {
        what: 'a path of the server',
        cluster: (at) => ({ server: `https://127.0.0.1:${at.port('server')}/k8s/clusters/c/?x=1` }),
        user: () => ({ token: 'T' }),
        words: ['version', '--request-timeout=0'],
        arrived: () => ({ path: '/k8s/clusters/c/version' }),
      },
      {
        what: 'a server without TLS sees no credentials',
        cluster: (at) => ({ server: `http://127.0.0.1:${at.port('plain')}` }),
        user: () => ({ token: 'T', as: 'me' }),
        arrived: () => ({ headers: expect.arrayContaining([['impersonate-user', 'me']]) }),
      },
      {
        what: 'a server without a scheme',
        cluster: (at) => ({ server: `127.0.0.1:${at.port('plain')}` }),
        user: () => ({ token: 'T' }),
        arrived: () => ({ path: '/version', headers: [expect.arrayContaining(['host'])] }),
      },
      {
        what: 'a server without a scheme, and insecure-skip-tls-verify',
        cluster: (at) => ({
          server: `127.0.0.1:${at.port('plain')}`,
          'certificate-authority-data': undefined,
          'insecure-skip-tls-verify': true,
        }),
        user: () => ({ token: 'T' }),
        arrived: () => ({ path: '/version', headers: [expect.arrayContaining(['host'])] }),
      },
      {
        what: 'a server without a scheme, and a certificate of the client',
        cluster: (at) => ({ server: `127.0.0.1:${at.port('plain')}` }),
        user: ({ client }) => ({
          'client-certificate-data': base64(client.certPem),
          'client-key-data': base64(client.keyPem),
        }),
        arrived: () => ({ path: '/version', peer: undefined }),
      },
      {
        what: 'a user in the URL of the server',
        cluster: (at) => ({ server: `https://u:p%40@127.0.0.1:${at.port('server')}` }),
        user: ({ client }) => ({
          'client-certificate-data': base64(client.certPem),
          'client-key-data': base64(client.keyPem),
        }),
        arrived: () => authorization(`Basic ${base64('u:p@')}`),
      },
      {
        what: 'tls-server-name',
        cluster: () => ({ 'tls-server-name': 'api.example' }),
        user: () => ({ token: 'T' }),
        arrived: () => ({ sni: 'api.example' }),
      },
      {
        what: 'insecure-skip-tls-verify',
        cluster: () => ({ 'insecure-skip-tls-verify': true, 'certificate-authority-data': undefined }),
        user: () => ({ token: 'T' }),
        arrived: () => authorization('Bearer T'),
      },
      {
        what: 'certificate-authority in a file',
        cluster: () => ({ 'certificate-authority': 'd/ca.crt', 'certificate-authority-data': undefined }),
        files: (at) => ({ 'd/ca.crt': at.caPem }),
        user: () => ({ token: 'T' }),
        arrived: () => authorization('Bearer T'),
      },
      {
        what: 'certificates of the system',
        cluster: () => ({ 'certificate-authority-data': undefined }),
        files: (at) => ({ 'd/ca.crt': at.caPem }),
        env: () => ({ SSL_CERT_FILE: join(directory, 'd/ca.crt') }),
        user: () => ({ token: 'T' }),
        arrived: () => authorization('Bearer T'),
      },
      ...(['http', 'https', 'socks5'] as const).map(
        (kind): Case => ({
          what: `proxy-url: ${kind}`,
          cluster: () => ({ ...far, ...proxied(kind, 'us:pw@') }),
          user: () => ({ token: 'T' }),
          env: () => ({ NO_PROXY: '*' }),
          arrived: () => ({ sni: 'api.example', ...authorization('Bearer T') }),
        }),
      ),
      {
        what: 'proxy-url and tls-server-name',
        cluster: () => ({ server: 'https://10.9.8.7', 'tls-server-name': 'api.example', ...proxied('http') }),
        user: () => ({ token: 'T' }),
        arrived: () => ({ sni: 'api.example' }),
      },
      {
        what: 'proxy-url also for loopback',
        cluster: () => proxied('http'),
        user: () => ({ token: 'T' }),
        arrived: () => ({ path: '/version' }),
      },
      {
        what: 'proxy-url for a server without TLS',
        cluster: () => ({ server: 'http://api.example', ...proxied('http', 'us:pw@') }),
        arrived: () => ({ path: 'http://api.example/version' }),
      },
      {
        what: 'HTTPS_PROXY',
        cluster: () => far,
        user: () => ({ token: 'T' }),
        env: (at) => ({ HTTPS_PROXY: `127.0.0.1:${at.port('http')}`, HTTP_PROXY: 'http://127.0.0.1:1' }),
        arrived: () => ({ sni: 'api.example' }),
      },
      {
        what: 'https_proxy to a SOCKS proxy',
        cluster: () => far,
        user: () => ({ token: 'T' }),
        env: (at) => ({ https_proxy: `socks5://127.0.0.1:${at.port('socks5')}` }),
        arrived: () => ({ sni: 'api.example' }),
      },
      {
        what: 'HTTPS_PROXY and loopback',
        user: () => ({ token: 'T' }),
        env: (at) => ({ HTTPS_PROXY: `http://127.0.0.1:${at.port('http')}` }),
        arrived: () => ({ path: '/version' }),
      },
      {
        what: 'HTTPS_PROXY and NO_PROXY',
        cluster: (at) => ({
          server: `https://0.0.0.0:${at.port('server')}`,
          'tls-server-name': 'api.example',
        }),
        user: () => ({ token: 'T' }),
        env: (at) => ({
          HTTPS_PROXY: `http://127.0.0.1:${at.port('http')}`,
          no_proxy: 'x.example,0.0.0.0/8',
        }),
        arrived: () => ({ path: '/version' }),
      },
      {
        what: 'ALL_PROXY is not for kubectl',
        user: () => ({ token: 'T' }),
        env: () => ({ ALL_PROXY: 'http://127.0.0.1:1', all_proxy: 'http://127.0.0.1:1' }),
        arrived: () => ({ path: '/version' }),
      },
      {
        what: 'disable-compression',
        cluster: () => ({ 'disable-compression': true }),
        user: () => ({ token: 'T' }),
        arrived: () => ({ path: '/version' }),
      },
      {
        what: '--context, of another file of KUBECONFIG, whose paths are beside it',
        files: (at) => ({
          'd/two': JSON.stringify({
            contexts: [{ name: 'two', context: { cluster: 'c2', user: 'u2' } }],
            clusters: [
              {
                name: 'c2',
                cluster: {
                  server: `https://127.0.0.1:${at.port('server')}`,
                  'certificate-authority': 'ca.crt',
                  'tls-server-name': 'api.example',
                },
              },
            ],
            users: [{ name: 'u2', user: { tokenFile: 'token' } }],
          }),
          'd/ca.crt': at.caPem,
          'd/token': 'second',
        }),
        env: () => ({ KUBECONFIG: `${join(directory, 'config')}:${join(directory, 'd/two')}` }),
        flags: () => ['--context', 'two'],
        arrived: () => ({ sni: 'api.example', ...authorization('Bearer second') }),
      },
      {
        what: '--kubeconfig, and not KUBECONFIG',
        env: () => ({ KUBECONFIG: '/nowhere' }),
        flags: () => ['--kubeconfig', 'config'],
        arrived: () => authorization('Bearer T'),
      },
      {
        what: '--cluster and --user without a current context',
        config: { 'current-context': '' },
        flags: () => ['--cluster', 'c', '--user', 'u'],
        arrived: () => authorization('Bearer T'),
      },
      {
        what: '--server, with the TLS name of the kubeconfig left out',
        cluster: () => ({ server: 'https://127.0.0.1:1', 'tls-server-name': 'wrong.example' }),
        flags: (at) => ['--server', `https://127.0.0.1:${at.port('server')}`],
        arrived: () => ({ sni: undefined, ...authorization('Bearer T') }),
      },
      {
        what: '--server and --tls-server-name',
        cluster: () => ({ server: 'https://127.0.0.1:1' }),
        flags: (at) => [
          ...['-s', `https://127.0.0.1:${at.port('server')}`],
          ...['--tls-server-name', 'api.example'],
        ],
        arrived: () => ({ sni: 'api.example' }),
      },
      {
        what: '--server without any kubeconfig',
        env: () => ({ KUBECONFIG: '/nowhere' }),
        flags: (at) => ['--server', `http://127.0.0.1:${at.port('plain')}`],
        arrived: () => ({ path: '/version' }),
      },
      {
        what: '--certificate-authority, beside where it runs, and not the data',
        cluster: () => ({ 'certificate-authority-data': base64('none') }),
        files: (at) => ({ 'e/ca.crt': at.caPem }),
        flags: () => ['--certificate-authority', 'e/ca.crt'],
        arrived: () => authorization('Bearer T'),
      },
      {
        what: '--insecure-skip-tls-verify, and not the authority',
        cluster: () => ({ 'certificate-authority-data': base64('none') }),
        flags: () => ['--insecure-skip-tls-verify'],
        arrived: () => authorization('Bearer T'),
      },
      {
        what: '--as, and the groups of the kubeconfig',
        user: () => ({ token: 'T', as: 'other', 'as-groups': ['old'], 'as-uid': '1' }),
        flags: () => ['--as', 'me'],
        arrived: () => ({ headers: expect.arrayContaining([['impersonate-user', 'me']]) }),
      },
      {
        what: '--as-group in place of those of the kubeconfig, and --as-uid',
        user: () => ({ token: 'T', as: 'other', 'as-groups': ['old'] }),
        flags: () => ['--as-group', 'a', '--as-group', 'b,c', '--as-uid', 'u'],
        arrived: () => ({
          headers: expect.arrayContaining([
            ['impersonate-group', 'a'],
            ['impersonate-uid', 'u'],
          ]),
        }),
      },
    ];

    const script = `
    import { ApiClient } from ${JSON.stringify(join(ROOT, 'src/kube/client.ts'))};
    import { kubectlTarget } from ${JSON.stringify(join(ROOT, 'src/kube/kubeconfig.ts'))};
    import { addTargetOptions } from ${JSON.stringify(join(ROOT, 'src/cli/target.ts'))};
    import { command } from ${JSON.stringify(join(ROOT, 'src/cli/verb.ts'))};
    const verb = command('x').action(() => {});
    addTargetOptions(verb, 'all');
    verb.parse(JSON.parse(process.env.FLAGS), { from: 'user' });
    try {
      const { access } = await kubectlTarget(verb.opts());
      const response = await new ApiClient(access).fetch('GET', '/version');
      process.stdout.write(await response.text());
    } catch (error) {
      process.stderr.write(error.message);
      process.exit(1);
    }`;

    /** What of a request is the kubeconfig's: not what every client says about itself. */
    function essence({ arrivals, proxied }: { arrivals: Arrival[]; proxied: ProxyArrival[] }) {
      return {
        proxied,
        arrivals: arrivals.map(({ headers, path, ...rest }) => ({
          ...rest,
          path: path.replace(/\?timeout=.*$/, ''),
          compressed: headers.some(([name, value]) => name === 'accept-encoding' && /gzip/.test(value)),
          headers: headers
            .filter(([name]) => /^(?:authorization|impersonate-.*|host|proxy-.*)$/.test(name))
            .sort(([a], [b]) => (a < b ? -1 : Number(a > b))),
        })),
      };
    }

    test.each(cases.map((each): [string, Case] => [each.what, each]))('%s', async (_, each) => {
      const cluster = {
        server: `https://127.0.0.1:${recorder.port('server')}`,
        'certificate-authority-data': base64(recorder.caPem),
        ...each.cluster?.(recorder),
      };
      put({
        config: JSON.stringify({
          clusters: [{ name: 'c', cluster }],
          users: [{ name: 'u', user: each.user?.(recorder) ?? { token: 'T' } }],
          contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
          'current-context': 'x',
          ...each.config,
        }),
        ...each.files?.(recorder),
      });
      recorder.take();
      const runs = join(directory, 'runs');
      const flags = each.flags?.(recorder) ?? [];
      const once = async (argv: string[]) => {
        rmSync(runs, { force: true });
        const ran = await run(argv, {
          KUBECONFIG: join(directory, 'config'),
          RUNS: runs,
          FLAGS: JSON.stringify(flags),
          ...each.env?.(recorder),
        });
        // kubectl may warn that its version is another than the server's.
        expect({ code: ran.code, why: ran.code === 0 ? '' : ran.stderr }).toEqual({ code: 0, why: '' });
        const printed = existsSync(runs) ? await Bun.file(runs).text() : '';
        const [, before = '', info = 'null'] = /^([^{]*)(.*)$/s.exec(printed) ?? [];
        return { ...essence(recorder.take()), plugin: { before, info: JSON.parse(info || 'null') } };
      };
      const ours = await once([process.execPath, '-e', script]);
      expect(ours.arrivals).toEqual([expect.objectContaining(each.arrived(recorder))]);
      const words = each.words ?? ['get', '--raw', '/version'];
      expect(ours).toEqual(await once([kubectl!, ...words, ...flags]));
    });

    interface Failure {
      what: string;
      cluster?: (at: Recorder) => Record<string, unknown>;
      user?: () => Record<string, unknown>;
      config?: Record<string, unknown>;
      files?: Record<string, string>;
      flags?: string[];
      /** What the server answers, whenever it is asked. */
      answer?: number;
      /** What ours says; CONFIG is the kubeconfig, SERVER the server's URL. */
      said: string;
    }
    const printing = (line: string) => ({ 'plugin.sh': `#!/bin/sh\n${line}\n` });
    const expired = {
      kind: 'ExecCredential',
      apiVersion: exec.apiVersion,
      status: { token: 'P', expirationTimestamp: '2001-01-01T00:00:00Z' },
    };
    const failures: Failure[] = [
      {
        what: 'a context that is not there',
        flags: ['--context', 'y'],
        said: 'cannot use kubeconfig CONFIG: no context named "y"; there is "x"',
      },
      {
        what: 'a current context that is not there',
        config: { 'current-context': 'y' },
        said: 'cannot use kubeconfig CONFIG: no context named "y"; there is "x"',
      },
      {
        what: 'a cluster that is not there',
        config: { clusters: [] },
        said: 'cannot use kubeconfig CONFIG: no cluster named "c"',
      },
      {
        what: 'a cluster by flag that is not there',
        flags: ['--cluster', 'y'],
        said: 'cannot use kubeconfig CONFIG: no cluster named "y"; there is "c"',
      },
      {
        what: 'a user by flag that is not there',
        flags: ['--user', 'y'],
        said: 'cannot use kubeconfig CONFIG: no user named "y"; there is "u"',
      },
      {
        what: 'a group without a user to impersonate',
        flags: ['--as-group', 'g'],
        said: 'cannot use kubeconfig CONFIG: user "u": as-uid, as-groups and as-user-extra need as',
      },
      {
        what: 'a plugin that is not there',
        user: () => ({ exec: { ...exec, command: './missing', installHint: 'install it' } }),
        said: 'user "u": exec: DIRECTORY/missing: not found; install it',
      },
      {
        what: 'a plugin that fails',
        user: () => ({ exec }),
        files: printing('exit 3'),
        said: 'user "u": exec: DIRECTORY/plugin.sh failed with exit status 3',
      },
      {
        what: 'a plugin whose credential has expired, and is refused',
        user: () => ({ exec }),
        files: printing(`echo '${JSON.stringify(expired)}'`),
        answer: 401,
        said: 'GET SERVER/version (context "x" of CONFIG): HTTP 401',
      },
      {
        what: 'a token that is refused',
        answer: 401,
        said: 'GET SERVER/version (context "x" of CONFIG): HTTP 401',
      },
      {
        what: 'a certificate authority that cannot be read',
        cluster: () => ({ 'certificate-authority': 'none.crt', 'certificate-authority-data': undefined }),
        said: 'cluster "c": certificate-authority DIRECTORY/none.crt cannot be read: no such file',
      },
      {
        what: "another authority than the server's",
        cluster: ({ client }) => ({ 'certificate-authority-data': base64(client.certPem) }),
        said: 'cannot GET SERVER/version (context "x" of CONFIG): the server\'s certificate is not signed by',
      },
      {
        what: 'another name than the server has',
        flags: ['--tls-server-name', 'other.example'],
        said: 'cannot GET SERVER/version (context "x" of CONFIG): the server\'s certificate is for another name',
      },
      {
        what: 'a server that does not listen',
        cluster: () => ({ server: 'https://127.0.0.1:1' }),
        said: 'cannot GET https://127.0.0.1:1/version (context "x" of CONFIG): connection refused',
      },
      {
        what: 'a proxy that does not listen',
        cluster: () => ({ 'proxy-url': 'http://us:S3CRET@127.0.0.1:1' }),
        said: 'cannot GET SERVER/version (context "x" of CONFIG, through the proxy http://127.0.0.1:1/): ',
      },
    ];

    test.each(failures.map((each): [string, Failure] => [each.what, each]))(
      'fails with both: %s',
      async (_, each) => {
        const config = join(directory, 'config');
        const server = `https://127.0.0.1:${recorder.port('server')}`;
        const cluster = {
          server,
          'certificate-authority-data': base64(recorder.caPem),
          ...each.cluster?.(recorder),
        };
        put({
          config: JSON.stringify({
            clusters: [{ name: 'c', cluster }],
            users: [{ name: 'u', user: each.user?.() ?? { token: 'S3CRET' } }],
            contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
            'current-context': 'x',
            ...each.config,
          }),
          ...each.files,
        });
        const flags = each.flags ?? [];
        const failed = async (argv: string[]) => {
          recorder.answers = each.answer === undefined ? [] : Array(20).fill(each.answer);
          const ran = await run(argv, { KUBECONFIG: config, FLAGS: JSON.stringify(flags) });
          recorder.answers = [];
          recorder.take();
          return ran;
        };
        const ours = await failed([process.execPath, '-e', script]);
        const said = each.said
          .replaceAll('CONFIG', config)
          .replaceAll('DIRECTORY', directory)
          .replaceAll('SERVER', server);
        expect(ours.stderr).toContain(said);
        expect(ours.stderr.trim()).not.toContain('\n');
        expect(ours.stderr).not.toContain('S3CRET');
        expect(ours.code).toBe(1);
        expect((await failed([kubectl!, 'get', '--raw', '/version', ...flags])).code).toBe(1);
      },
    );
  },
);
