import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { UserError } from '../util/errors.ts';
import { inClusterConfig, loadKubeconfig } from './kubeconfig.ts';
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

describe('loadKubeconfig', () => {
  test('reads back what kubeconfigDocument writes, token', async () => {
    const text = kubeconfigDocument({
      name: 'kind-kind',
      server,
      caPem: 'CA\n',
      credentials: { token: 't0k' },
    });
    expect(text).toContain('clusters:\n- cluster:');
    expect(await loadKubeconfig(await file('token.conf', text))).toEqual({
      server,
      ca: 'CA\n',
      cert: undefined,
      key: undefined,
      token: 't0k',
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

  const good = {
    clusters: [{ name: 'c', cluster: { server } as Record<string, unknown> }],
    users: [{ name: 'u', user: { token: 't' } as Record<string, unknown> }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } as Record<string, unknown> }],
    'current-context': 'x' as string | undefined,
  };
  const cases: { name: string; text: string | typeof good; message: string | RegExp }[] = [
    { name: 'not YAML', text: 'a: [', message: /: not valid YAML: line 1, column \d+$/ },
    { name: 'a list', text: '- a', message: 'it is not a YAML mapping' },
    { name: 'empty', text: '', message: 'it is not a YAML mapping' },
    {
      name: 'no current-context',
      text: { ...good, 'current-context': undefined },
      message: 'no current-context is set',
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
    {
      name: 'server without scheme',
      text: { ...good, clusters: [{ name: 'c', cluster: { server: 'localhost' } }] },
      message: 'cluster "c": server "localhost" is not an http or https URL',
    },
    {
      name: 'insecure',
      text: { ...good, clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }] },
      message: /insecure-skip-tls-verify is not supported/,
    },
    {
      name: 'bad base64',
      text: { ...good, clusters: [{ name: 'c', cluster: { server, 'certificate-authority-data': '§' } }] },
      message: 'cluster "c": certificate-authority-data is not base64',
    },
    {
      name: 'missing file',
      text: { ...good, clusters: [{ name: 'c', cluster: { server, 'certificate-authority': 'none.crt' } }] },
      message: /^.*cluster "c": certificate-authority cannot be read/,
    },
    {
      name: 'half a certificate',
      text: { ...good, users: [{ name: 'u', user: { 'client-key-data': 'YQ==' } }] },
      message: /needs both client-certificate and client-key/,
    },
    {
      name: 'exec plugin',
      text: { ...good, users: [{ name: 'u', user: { exec: { command: 'x' } } }] },
      message: 'user "u": exec is not supported; set a token or a client certificate',
    },
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
