import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeReport } from '../../path/node-report.ts';
import type { World } from '../../path/world.ts';
import { bundleWorld, readReports, saveBundle } from './bundle.ts';

let scratch: string;
let bundle: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'hostport-bundle-'));
  bundle = join(scratch, 'bundle');
});
afterEach(() => rmSync(scratch, { recursive: true }));

const unknown = { unknown: 'not looked at' };
const report: NodeReport = {
  apiVersion: 'hostport/v1',
  kind: 'NodeReport',
  node: 'n1',
  takenAt: '2026-01-01T00:00:00Z',
  machine: { kernel: '6.1', architecture: 'x64', elfMachine: 62 },
  network: {
    links: unknown,
    addresses: unknown,
    routes: unknown,
    sysctls: { value: { 'net.ipv4.ip_forward': '1' } },
    listeners: unknown,
    flows: { value: [] },
  },
  cni: {
    confDir: '/etc/cni/net.d',
    files: { value: [] },
    binDirs: ['/opt/cni/bin'],
    plugins: unknown,
    attachments: { value: [] },
    skipped: [],
  },
  runtime: unknown,
  sandboxes: { value: [] },
  netfilter: { tools: {}, iptables: [], nft: unknown },
};

const world: World = {
  observedAt: '2026-01-01T00:00:00Z',
  nodes: [{ metadata: { name: 'n1' }, status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] } }],
  pods: [
    {
      metadata: { name: 'p', namespace: 'default', uid: 'u' },
      spec: { nodeName: 'n1', containers: [{ name: 'c', ports: [{ containerPort: 8080, hostPort: 80 }] }] },
      status: { phase: 'Running', podIP: '10.1.0.2' },
    },
  ],
  services: [],
  events: [],
  unread: [{ what: 'events', why: 'Forbidden' }],
  policies: [{ metadata: { name: 'deny', namespace: 'default' }, spec: { podSelector: {} } }],
  reports: new Map([
    ['n1', { value: report }],
    ['n2', { unknown: 'the node does not answer' }],
  ]),
  probes: [
    {
      vantage: 'outside',
      node: 'n1',
      podUid: 'u',
      protocol: 'TCP',
      hostPort: 80,
      target: { address: '10.0.0.1', port: 80 },
      outcome: 'answered',
      detail: 'connected',
      milliseconds: 3,
    },
  ],
};

test('what is saved is what is read', async () => {
  await saveBundle(world, bundle);
  expect(await bundleWorld(bundle)).toEqual(world);
});

test('only its owner can read it, and it is there as a whole or not at all', async () => {
  await saveBundle(world, bundle);
  expect(statSync(join(bundle, 'objects/pods.json')).mode & 0o077).toBe(0);
  const bad = { ...world, reports: new Map([['../../etc/cron.d/x', { unknown: '' }]]) };
  await expect(saveBundle(bad, join(scratch, 'bad'))).rejects.toThrow('not a name of a node');
  await expect(saveBundle(world, bundle)).rejects.toThrow('is there already');
  expect(readdirSync(scratch)).toEqual(['bundle']);
});

test('secrets of pods are not saved', async () => {
  const pod = {
    metadata: {
      name: 'p',
      uid: 'u',
      annotations: {
        'kubectl.kubernetes.io/last-applied-configuration': '{"env":"S3CRET"}',
        'kubernetes.io/config.hash': 'h',
      },
      managedFields: [{ manager: 'S3CRET' }],
    },
    spec: {
      containers: [
        {
          name: 'c',
          env: [{ name: 'A', value: 'S3CRET' }],
          command: ['sh', '-c', 'S3CRET'],
          args: ['S3CRET'],
        },
      ],
      volumes: [{ name: 'v', csi: { driver: 'd', volumeAttributes: { token: 'S3CRET' } } }],
      imagePullSecrets: [{ name: 'S3CRET' }],
    },
  } as unknown as World['pods'][number];
  await saveBundle({ ...world, pods: [pod] }, bundle);
  const saved = readFileSync(join(bundle, 'objects/pods.json'), 'utf8');
  expect(saved).not.toContain('S3CRET');
  expect((await bundleWorld(bundle)).pods[0]!.metadata!.annotations).toEqual({
    'kubernetes.io/config.hash': 'h',
  });
});

test('a kubectl List stands for objects, null for what is empty, and what is missing for none', async () => {
  await saveBundle(world, bundle);
  const items = [{ ...world.pods[0], status: null, metadata: { name: 'p', creationTimestamp: null } }];
  writeFileSync(join(bundle, 'objects/pods.json'), JSON.stringify({ kind: 'List', items }));
  rmSync(join(bundle, 'objects/events.json'));
  rmSync(join(bundle, 'probes.json'));
  const { pods, events, probes } = await bundleWorld(bundle);
  expect(pods).toEqual([{ metadata: { name: 'p' }, spec: world.pods[0]!.spec } as never]);
  expect([events, probes]).toEqual([[], []]);
});

describe('a bundle that is broken is one clear error', () => {
  const replace = (file: string, content: string | Buffer) => () =>
    writeFileSync(join(bundle, file), content);
  const pods = (change: object) => replace('objects/pods.json', JSON.stringify([world.pods[0], change]));
  const cases: [string, () => void, string][] = [
    ['no manifest', () => rmSync(join(bundle, 'manifest.json')), 'manifest.json: not there'],
    [
      'another version',
      replace('manifest.json', '{"apiVersion":"hostport/v9","kind":"Bundle"}'),
      'manifest.json: apiVersion',
    ],
    ['cut short', replace('objects/pods.json', '[{"metadata":{"na'), 'objects/pods.json: not JSON'],
    ['empty', replace('probes.json', ''), 'probes.json: not JSON'],
    ['bytes', replace('objects/nodes.json', Buffer.from([0xff, 0xfe, 0])), 'objects/nodes.json: not JSON'],
    ['no list', replace('objects/events.json', '"x"'), 'objects/events.json: want a list'],
    ['null for a list', replace('objects/events.json', 'null'), 'objects/events.json: want a list'],
    ['a number for a pod', pods(7 as never), 'objects/pods.json: [1]'],
    [
      'a text for ports',
      pods({ spec: { containers: [{ name: 'c', ports: 'x' }] } }),
      'objects/pods.json: [1].spec.containers[0].ports',
    ],
    [
      'a text for a port',
      pods({ spec: { containers: [{ ports: [{ containerPort: '8080' }] }] } }),
      '.containerPort',
    ],
    ['a list for a name', pods({ metadata: { name: ['p'] } }), '[1].metadata.name'],
    ['a report of another kind', replace('nodes/n1.json', '{"kind":"Pod"}'), 'nodes/n1.json: '],
    [
      'a report with a text for an observation',
      replace('nodes/n1.json', JSON.stringify({ ...report, sandboxes: 'all' })),
      'nodes/n1.json: sandboxes',
    ],
    ['a file that is no report', replace('nodes/README', ''), 'nodes/README: want <name of the node>.json'],
    [
      'escape sequences in a file name',
      replace('nodes/\u001b[31m.json', '{}'),
      'want <name of the node>.json',
    ],
    [
      'more than a manifest can be',
      replace('manifest.json', ' '.repeat(2 << 20)),
      'manifest.json: longer than',
    ],
    ['a report that is huge', replace('nodes/n1.json', ' '.repeat(33 << 20)), 'nodes/n1.json: longer than'],
    [
      'a probe with another outcome',
      replace('probes.json', JSON.stringify([{ ...world.probes[0], outcome: 'fine' }])),
      'probes.json: [0].outcome',
    ],
    ['nesting without end', replace('objects/pods.json', '['.repeat(1_000_000)), 'objects/pods.json: '],
    [
      'a link out of it',
      () => {
        rmSync(join(bundle, 'probes.json'));
        symlinkSync('/etc/passwd', join(bundle, 'probes.json'));
      },
      'probes.json: a symbolic link',
    ],
    [
      'a directory that is a link',
      () => {
        rmSync(join(bundle, 'objects'), { recursive: true });
        symlinkSync('/etc', join(bundle, 'objects'));
      },
      'objects: a symbolic link',
    ],
    [
      'reports behind a link',
      () => {
        rmSync(join(bundle, 'nodes'), { recursive: true });
        symlinkSync('/etc', join(bundle, 'nodes'));
      },
      'nodes: not a directory',
    ],
    [
      'a FIFO',
      () => {
        rmSync(join(bundle, 'probes.json'));
        Bun.spawnSync(['mkfifo', join(bundle, 'probes.json')]);
      },
      'probes.json: not a regular file',
    ],
  ];
  test.each(cases)('%s', async (_, damage, message) => {
    await saveBundle(world, bundle);
    damage();
    const error = await bundleWorld(bundle).then(
      () => undefined,
      (cause: Error) => cause,
    );
    expect(error?.name).toBe('UserError');
    expect(error!.message).toContain(message);
    expect(error!.message.length).toBeLessThan(700);
  });
});

test('escape sequences in names are data like any other', async () => {
  const name = '\u001b[2J\u0007evil';
  await saveBundle({ ...world, pods: [{ ...world.pods[0]!, metadata: { name } }] }, bundle);
  expect((await bundleWorld(bundle)).pods[0]!.metadata!.name).toBe(name);
});

test('a directory of reports may be empty, or not be there', () => {
  mkdirSync(join(scratch, 'reports'));
  expect(readReports(join(scratch, 'reports')).size).toBe(0);
  expect(existsSync(join(scratch, 'none'))).toBe(false);
  expect(readReports(join(scratch, 'none')).size).toBe(0);
});
