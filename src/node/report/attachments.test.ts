import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readAttachments } from './attachments.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-cache-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const config = JSON.stringify({ name: 'net', plugins: [{ type: 'portmap' }] });
const entry = {
  kind: 'cniCacheV1',
  containerId: 'c1',
  config: Buffer.from(config).toString('base64'),
  ifName: 'eth0',
  networkName: 'net',
  cniArgs: [['K8S_POD_NAME', 'echo']],
  capabilityArgs: {
    'io.kubernetes.cri.pod-annotations': { token: 'secret' },
    portMappings: [{ HostPort: 80, ContainerPort: 8080, Protocol: 'TCP', HostIP: '' }],
  },
  result: { cniVersion: '0.3.1', interfaces: [{ name: 'lxc1' }, { name: 'eth0', sandbox: '/run/netns/x' }] },
};

test('an entry is reported with its network, container, mappings, namespace and result, without annotations', () => {
  writeFileSync(join(directory, 'net-c1-eth0'), JSON.stringify(entry));
  const { attachments, skipped } = readAttachments(directory);
  expect(skipped).toEqual([]);
  expect(attachments).toEqual([
    {
      file: join(directory, 'net-c1-eth0'),
      modified: expect.any(String),
      networkName: 'net',
      containerId: 'c1',
      ifName: 'eth0',
      netns: '/run/netns/x',
      netnsExists: false,
      config,
      portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }],
      result: entry.result,
    },
  ]);
});

test.each([
  ['the names of the convention', { hostPort: 1, containerPort: 2, protocol: 'udp', hostIP: '10.0.0.1' }],
  ['Go field names', { HostPort: 1, ContainerPort: 2, Protocol: 'UDP', HostIP: '10.0.0.1' }],
])('mappings by %s', (_, mapping) => {
  const capabilityArgs = { portMappings: [mapping] };
  writeFileSync(join(directory, 'e'), JSON.stringify({ ...entry, capabilityArgs }));
  expect(readAttachments(directory).attachments[0]!.portMappings).toEqual([
    { hostPort: 1, containerPort: 2, protocol: 'udp', hostIP: '10.0.0.1' },
  ]);
});

test.each<[string, string, string]>([
  ['an empty file', '', 'JSON'],
  ['one cut short', JSON.stringify(entry).slice(0, 200), 'JSON'],
  ['a bare result, as libcni once wrote', '{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.1/24"}}', 'kind'],
  [
    'a port that is not valid',
    JSON.stringify({ ...entry, capabilityArgs: { portMappings: [{ hostPort: 1e9, containerPort: 1 }] } }),
    'portMappings',
  ],
  ['a text for a result', JSON.stringify({ ...entry, result: 'x' }), 'result'],
  ['a list', '[]', 'document'],
  ['more than a megabyte', JSON.stringify({ ...entry, config: 'x'.repeat(2 << 20) }), 'longer than'],
])('%s is left out with the reason', (_, text, why) => {
  writeFileSync(join(directory, 'bad'), text);
  writeFileSync(join(directory, 'good'), JSON.stringify(entry));
  const { attachments, skipped } = readAttachments(directory);
  expect(attachments).toHaveLength(1);
  expect(skipped).toEqual([{ file: join(directory, 'bad'), why: expect.stringContaining(why) }]);
});

test('a directory among them is no entry; no directory at all is no entries', () => {
  mkdirSync(join(directory, 'd'));
  expect(readAttachments(directory).skipped).toEqual([
    { file: join(directory, 'd'), why: expect.stringContaining('not a regular file') },
  ]);
  expect(readAttachments(join(directory, 'none'))).toEqual({ attachments: [], skipped: [] });
});

test('no secret of an entry is reported, nor of a file that is not an entry', () => {
  const secret = 'https://u:S3CRET@h';
  const secrets = {
    ...entry,
    config: Buffer.from('users:\n- token: S3CRET\n').toString('base64'),
    result: { token: 'S3CRET', dns: { domain: secret } },
  };
  writeFileSync(join(directory, 'entry'), JSON.stringify(secrets));
  writeFileSync(join(directory, 'cut'), JSON.stringify(secrets).slice(0, -20));
  writeFileSync(join(directory, 'other'), 'token: S3CRET');
  writeFileSync(join(directory, 'kind'), '{"kind":"S3CRET"}');
  // A value that is not a valid name, address or path is not reported as one.
  const odd: object[] = [
    { networkName: secret },
    { containerId: secret },
    { ifName: 'a:S3CRET' },
    { netns: secret },
    { capabilityArgs: { portMappings: [{ hostPort: 1, containerPort: 2, hostIP: 'token: S3CRET' }] } },
    { capabilityArgs: { portMappings: [{ hostPort: 1, containerPort: 2, protocol: 'token:S3CRET' }] } },
  ];
  for (const [i, fields] of odd.entries()) {
    writeFileSync(join(directory, `odd${i}`), JSON.stringify({ ...entry, ...fields }));
  }
  const { attachments, skipped } = readAttachments(directory);
  expect(attachments.map(({ config }) => config)).toEqual(['(23 bytes of YAML-like text)']);
  expect(skipped).toHaveLength(3 + odd.length);
  expect(JSON.stringify([attachments, skipped])).not.toContain('S3CRET');
});

test('a link that leads out of the directory is reported and not followed', () => {
  const outside = mkdtempSync(join(tmpdir(), 'hostport-outside-'));
  try {
    writeFileSync(join(outside, 'x'), JSON.stringify(entry));
    symlinkSync(join(outside, 'x'), join(directory, 'link'));
    writeFileSync(join(directory, 'entry'), JSON.stringify(entry));
    symlinkSync('entry', join(directory, 'within'));
    const { attachments, skipped } = readAttachments(directory);
    expect(attachments.map(({ file }) => file)).toEqual([
      join(directory, 'entry'),
      join(directory, 'within'),
    ]);
    expect(skipped).toEqual([
      {
        file: join(directory, 'link'),
        why: `${join(directory, 'link')}: a link that leads out of its directory, to ${join(outside, 'x')}: not followed`,
      },
    ]);
  } finally {
    rmSync(outside, { recursive: true });
  }
});

test('an entry that is nested deeply is skipped at once', () => {
  writeFileSync(join(directory, 'deep'), `{"result":${'['.repeat(40_000)}${']'.repeat(40_000)}}`);
  expect(readAttachments(directory).skipped).toEqual([
    { file: join(directory, 'deep'), why: expect.stringContaining('nested deeper than 100 levels') },
  ]);
});
