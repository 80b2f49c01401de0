/** No secret of a node gets into its report, whichever of the files that the report reads it is in. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { NodeReport } from '../../path/model/node-report.ts';
import { known } from '../../path/model/observed.ts';
import { output, realExec } from '../../sys/exec.ts';

const root = mkdtempSync(join(tmpdir(), 'hostport-planted-'));
/** What the node has besides its own: it goes over the directories of this machine in a mount namespace of the test's own. */
const tree = join(root, 'tree');

/** Secrets of every kind, each in a text as it would stand in a file. */
const SECRETS: Readonly<Record<string, (secret: string) => string>> = {
  jwt: (secret) => `eyJhbGciOiJSUzI1NiIsImtpZCI6In${secret}.e30.c2lnbmF0dXJl`,
  bearer: (secret) => `Authorization: Bearer ${secret}`,
  key: (secret) => `-----BEGIN RSA PRIVATE KEY-----\n${secret}\n-----END RSA PRIVATE KEY-----\n`,
  'key in base64': (secret) => `LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo${secret}`,
  'password in a URL': (secret) => `https://admin:${secret}@etcd:2379`,
  option: (secret) => `--etcd-password=${secret}`,
  'document in a text': (secret) => JSON.stringify({ a: 1, token: secret }),
  'block of YAML': (secret) => `users:\n- user:\n    token: |\n      ${secret}\n`,
  'line below a key of YAML': (secret) => `password:\n  ${secret}\n`,
  'variable in YAML': (secret) => `- name: ETCD_PASSWORD\n  value: ${secret}\n`,
  'option and value': (secret) => `run --token ${secret} --verbose`,
  'list of arguments': (secret) => JSON.stringify(['run', '--token', secret]),
  login: (secret) => `curl -u admin:${secret} https://h`,
  variable: (secret) => JSON.stringify([{ name: 'ETCD_PASSWORD', value: secret }]),
  'long name': (secret) => `tokenOf${'x'.repeat(40)}=${secret}`,
  'document eight texts deep': (secret) => {
    let text = JSON.stringify({ token: secret });
    for (let i = 0; i < 8; i++) text = JSON.stringify({ a: text });
    return text;
  },
  'document in a document in a text': (secret) => JSON.stringify(JSON.stringify({ clientSecret: secret })),
};
const planted: string[] = [];
/** Every kind of secret as values of a document, and once more under names that say what they are. */
function secretDocument(where: string): Record<string, unknown> {
  const mark = (kind: string) => {
    const secret = `S3CRET${where}${kind}`.replace(/[^A-Za-z0-9]/g, 'x');
    planted.push(secret);
    return secret;
  };
  const named = Object.fromEntries(
    [
      ...['token', 'k8s_auth_token', 'password', 'clientSecret', 'private_key', 'apiKey', 'client-key-data'],
      ...['psk', 'encryptionKey', 'signingKey', 'dbPass', 'mypwd', 'cookie'],
    ].map((name) => [name, mark(name)]),
  );
  const looking = Object.entries(SECRETS).map(([kind, text]) => text(mark(kind)));
  return { named, looking, [SECRETS.jwt!(mark('name'))]: 1, deep: [{ secrets: { a: [mark('deep')] } }] };
}

function kubeconfig(where: string): string {
  const { named } = secretDocument(where) as { named: Record<string, string> };
  return [
    'apiVersion: v1',
    'kind: Config',
    'users:',
    '- name: x',
    '  user:',
    ...Object.entries(named).map(([name, value]) => `    ${name}: ${value}`),
    '',
  ].join('\n');
}

function write(path: string, content: string, mode = 0o600): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), content, { mode });
}

function link(path: string, target: string): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  symlinkSync(target, join(tree, path));
}

const CONF = 'etc/cni/net.d';
const CACHE = 'var/lib/cni/results';

function plant(): void {
  write('etc/kubernetes/kubelet.conf', kubeconfig('kubelet'));
  write('etc/kubernetes/config.json', JSON.stringify({ name: 'net', type: 'a', ...secretDocument('json') }));
  const list = (where: string) =>
    JSON.stringify({
      cniVersion: '1.0.0',
      name: 'net',
      plugins: [
        { type: 'primary', ...secretDocument(`${where}1`) },
        { type: 'portmap', capabilities: { portMappings: true }, ...secretDocument(`${where}2`) },
      ],
    });
  write(`${CONF}/10-net.conflist`, list('list'));
  write(`${CONF}/11-net.conflist.cilium_bak`, list('aside'));
  write(
    `${CONF}/12-quotes.conf`,
    JSON.stringify({ name: 'q', type: 'a', b: '"'.repeat(50_000), ...secretDocument('quotes') }),
  );
  write(
    `${CONF}/13-twice.conf`,
    `{"name":"t","type":"a","x":${JSON.stringify(secretDocument('twice'))},"x":1}`,
  );
  write(`${CONF}/20-cut.conflist`, list('cut').slice(0, -5));
  write(`${CONF}/21-other.json`, JSON.stringify(secretDocument('other')));
  write(
    `${CONF}/22-wrong.conflist`,
    JSON.stringify({ name: 'x', plugins: [{ type: 'a', capabilities: secretDocument('wrong') }] }),
  );
  write(
    `${CONF}/23-deep.conf`,
    `{"name":"d","type":"a","x":${'['.repeat(500)}${JSON.stringify(secretDocument('deep'))}${']'.repeat(500)}}`,
  );
  write(`${CONF}/30-kubeconfig`, kubeconfig('beside'));
  write(`${CONF}/31-key.conf`, SECRETS.key!('S3CRETpem'));
  link(`${CONF}/00-s.conflist`, '/etc/kubernetes/kubelet.conf');
  link(`${CONF}/01-s.conf`, '../../kubernetes/config.json');
  link(`${CONF}/02-s.conf`, '00-s.conflist');
  write(`${CONF}/net/10-a.conf`, JSON.stringify({ type: 'tuning', ...secretDocument('dropin') }));
  write(`${CONF}/net/20-b.conf`, kubeconfig('dropin2'));
  link(`${CONF}/net/30-c.conf`, '/etc/kubernetes/config.json');
  link(`${CONF}/q`, '/etc/kubernetes');
  const entry = (where: string) => ({
    kind: 'cniCacheV1',
    containerId: 'c1',
    config: Buffer.from(list(`${where}config`)).toString('base64'),
    ifName: 'eth0',
    networkName: 'net',
    cniArgs: [['K8S_POD_TOKEN', Object.values(secretDocument(`${where}args`))]],
    capabilityArgs: {
      'io.kubernetes.cri.pod-annotations': secretDocument(`${where}capability`),
      portMappings: [],
    },
    result: { cniVersion: '1.0.0', ...secretDocument(`${where}result`) },
  });
  write(`${CACHE}/net-c1-eth0`, JSON.stringify(entry('entry')));
  write(
    `${CACHE}/net-c2-eth0`,
    JSON.stringify({ ...entry('text'), config: Buffer.from(kubeconfig('cached')).toString('base64') }),
  );
  write(`${CACHE}/net-c3-eth0`, JSON.stringify(entry('cutentry')).slice(0, -5));
  write(`${CACHE}/net-c4-eth0`, kubeconfig('noentry'));
  link(`${CACHE}/net-c5-eth0`, '/etc/kubernetes/kubelet.conf');
  write('opt/cni/bin/primary', `#!/bin/sh\ncat /etc/kubernetes/kubelet.conf >&2\nexit 1\n`, 0o755);
  write('opt/cni/bin/portmap', `#!/bin/sh\ncat /etc/kubernetes/kubelet.conf\n`, 0o755);
  write('opt/cni/bin/tuning', `#!/bin/sh\necho '{"supportedVersions":["S3CRETversion"]}'\n`, 0o755);
  write('opt/cni/bin/text', kubeconfig('bin'), 0o755);
  write('opt/cni/bin/shebang', '#!S3CRETshebang\n', 0o755);
  link('opt/cni/bin/a', '/etc/kubernetes/kubelet.conf');
  planted.push('S3CRETpem', 'S3CRETversion', 'S3CRETshebang');
}

let text: string;
let report: NodeReport;
beforeAll(async () => {
  plant();
  const layer = join(root, 'layer');
  mkdirSync(layer);
  const script = [
    'set -e',
    `mount -t tmpfs tmpfs ${layer}`,
    `cp -a ${tree}/. ${layer}/`,
    'for directory in etc opt var/lib; do',
    `  mkdir -p ${layer}/work/$directory`,
    `  mount -t overlay overlay -o lowerdir=/$directory,upperdir=${layer}/$directory,workdir=${layer}/work/$directory /$directory`,
    'done',
    // Whatever this machine has of the CNI itself is not to be seen.
    `for directory in etc/cni opt/cni var/lib/cni; do mount --bind ${layer}/$directory /$directory; done`,
    'iptables -A OUTPUT -m string --string "Bearer S3CRETrule" --algo bm -j ACCEPT -m comment --comment "pwd=S3CRETcomment"',
    `exec ${process.execPath} ${join(import.meta.dir, '../../cli/main.ts')} node-report --node n1`,
  ].join('\n');
  text = await output(
    realExec,
    ['unshare', '--mount', '--net', '--propagation', 'private', 'sh', '-c', script],
    { env: { ...process.env, CONTAINER_RUNTIME_ENDPOINT: '/nowhere.sock' }, timeoutMs: 30_000 },
  );
  report = JSON.parse(text) as NodeReport;
});
afterAll(() => rmSync(root, { recursive: true }));

test('none of them', () => {
  expect(new Set(planted).size).toBe(planted.length);
  expect(planted.length).toBeGreaterThan(300);
  expect(planted.filter((secret) => text.includes(secret))).toEqual([]);
  expect(text).not.toContain('S3CRET');
});

describe('and yet what a node has is reported', () => {
  const files = () => Object.fromEntries(known(report.cni.files)!.map((file) => [file.name, file]));

  test('the boot that it is of', () => {
    expect(report.machine.bootId).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  });

  test('configurations are quoted', () => {
    const { plugins } = JSON.parse(known(files()['10-net.conflist']!.content)!) as {
      plugins: { type: string }[];
    };
    expect(plugins.map(({ type }) => type)).toEqual(['primary', 'portmap']);
    expect(files()['11-net.conflist.cilium_bak']!.content).toEqual({
      value: expect.stringContaining('portmap'),
    });
  });

  test('what is none is described, and links that lead elsewhere are named', () => {
    expect(files()['30-kubeconfig']).toMatchObject({
      broken: true,
      content: { unknown: expect.stringMatching(/^30-kubeconfig: not JSON: .* of YAML-like text\)$/) },
    });
    expect(files()['00-s.conflist']).toMatchObject({
      target: '/etc/kubernetes/kubelet.conf',
      content: {
        unknown:
          '/etc/cni/net.d/00-s.conflist: a link that leads out of its directory, to /etc/kubernetes/kubelet.conf: not followed',
      },
    });
    expect(files()['00-s.conflist']).not.toHaveProperty('broken');
  });

  test('rules, without the words that they look for', () => {
    const texts = report.netfilter.iptables.map(({ text }) => known(text) ?? '');
    expect(texts.join('\n')).toMatch(/-A OUTPUT -m string --string "\(left out by hostport\)" .*-j ACCEPT/);
  });

  test('drop-in directories', () => {
    expect(
      report.cni.dropIns!.map(({ network, files }) => [network, known(files)?.map(({ name }) => name)]),
    ).toEqual([['net', ['10-a.conf', '20-b.conf', '30-c.conf']]]);
  });

  test('attachments, and what is none', () => {
    expect(known(report.cni.attachments)!.map(({ containerId }) => containerId)).toEqual(['c1', 'c1']);
    expect(report.cni.skipped.map(({ file }) => file.slice(-8))).toEqual([
      '-c3-eth0',
      '-c4-eth0',
      '-c5-eth0',
    ]);
  });

  test('plugins', () => {
    const plugins = Object.fromEntries(known(report.cni.plugins)!.map((file) => [file.name, file]));
    expect(Object.keys(plugins)).toEqual(['a', 'portmap', 'primary', 'shebang', 'text', 'tuning']);
    expect(plugins.a).toMatchObject({ target: '/etc/kubernetes/kubelet.conf', format: { kind: 'other' } });
    expect(plugins.primary!.versions).toEqual({ unknown: expect.stringContaining('VERSION: exit status 1') });
  });
});
