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
import type { NodeReport } from '../path/model/node-report.ts';
import type { World } from '../path/model/world.ts';
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

const attachment = {
  file: '/var/lib/cni/results/net-c-eth0',
  modified: '2026-01-01T00:00:00Z',
  networkName: 'net',
  containerId: 'c',
  ifName: 'eth0',
  config: '{}',
  portMappings: [],
  result: {},
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
  unread: [{ kind: 'objects', what: 'events', why: 'Forbidden' }],
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
  const read = await bundleWorld(bundle);
  const reread: World = { ...read, reports: new Map(read.reports) };
  expect(reread).toEqual(world);
});

test('only its owner can read it, and it is there as a whole or not at all', async () => {
  await saveBundle(world, bundle);
  expect(statSync(join(bundle, 'objects/pods.json')).mode & 0o077).toBe(0);
  const bad = { ...world, reports: new Map([['../../etc/cron.d/x', { unknown: '' }]]) };
  await expect(saveBundle(bad, join(scratch, 'bad'))).rejects.toThrow('not a name of a node');
  await expect(saveBundle(world, bundle)).rejects.toThrow('it already exists');
  const below = saveBundle(world, join(bundle, 'manifest.json/x'));
  await expect(below).rejects.toThrow('part of its path is not a directory; name a directory that can be');
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
  const cases: [string, () => void, string][] = [
    ['no manifest', () => rmSync(join(bundle, 'manifest.json')), 'manifest.json: not there'],
    [
      'another version',
      replace('manifest.json', '{"apiVersion":"hostport/v9","kind":"Bundle"}'),
      'manifest.json: apiVersion is "hostport/v9", and this program reads hostport/v1; use the version that saved the bundle',
    ],
    ['cut short', replace('objects/pods.json', '[{"metadata":{"na'), 'objects/pods.json: not JSON'],
    ['empty', replace('probes.json', ''), 'probes.json: not JSON'],
    ['bytes', replace('objects/nodes.json', Buffer.from([0xff, 0xfe, 0])), 'objects/nodes.json: not JSON'],
    [
      'taken at no time',
      replace('manifest.json', '{"apiVersion":"hostport/v1","kind":"Bundle","observedAt":"then"}'),
      'manifest.json: observedAt: not a time',
    ],
    ['no list', replace('objects/events.json', '"x"'), 'objects/events.json: want a list'],
    ['null for a list', replace('objects/events.json', 'null'), 'objects/events.json: want a list'],
    [
      'more than a manifest can be',
      replace('manifest.json', ' '.repeat(2 << 20)),
      'manifest.json: longer than',
    ],
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
      'probes.json: it is a FIFO, not a regular file',
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

describe('a report that cannot be read leaves its node unknown, and no other', () => {
  const file = () => join(bundle, 'nodes/n1.json');
  const write = (content: string | Buffer) => () => writeFileSync(file(), content);
  const cases: [string, () => void, string][] = [
    ['of another kind', write('{"kind":"Pod"}'), 'apiVersion: Invalid input: expected "hostport/v1"'],
    ['cut short', write(JSON.stringify(report).slice(0, 500)), 'not JSON (500 characters)'],
    ['that is a secret', write('token: S3CRET'), 'not JSON (13 characters)'],
    ['that is empty', write(''), 'not JSON (0 characters)'],
    ['that is bytes', write(Buffer.from([0xff, 0xfe, 0])), 'not JSON (3 characters)'],
    [
      'with a text for an observation',
      write(JSON.stringify({ ...report, sandboxes: 'all' })),
      'sandboxes: Invalid input',
    ],
    [
      'with more than there can be',
      write(JSON.stringify({ ...report, node: 'n'.repeat(5000) })),
      'node: Too big: expected string to have <=4096 characters',
    ],
    [
      'with a result that is nested without end',
      write(
        JSON.stringify({
          ...report,
          cni: { ...report.cni, attachments: { value: [{ ...attachment, result: { x: 'DEEP' } }] } },
        }).replace('"DEEP"', `${'['.repeat(40_000)}${']'.repeat(40_000)}`),
      ),
      'nested deeper than 100 levels',
    ],
    ['with a reason that is not a text', write('{"unknown":1}'), 'unknown: Invalid input'],
    ['that is huge', write(' '.repeat(33 << 20)), 'longer than'],
    [
      'that is a link',
      () => {
        rmSync(file());
        symlinkSync('/etc/passwd', file());
      },
      'a symbolic link, which is not followed',
    ],
    [
      'that is a directory',
      () => {
        rmSync(file());
        mkdirSync(file());
      },
      'it is a directory, not a regular file',
    ],
    [
      'that is a FIFO',
      () => {
        rmSync(file());
        Bun.spawnSync(['mkfifo', file()]);
      },
      'it is a FIFO, not a regular file',
    ],
  ];
  test.each(cases)('%s', async (_, damage, why) => {
    await saveBundle(world, bundle);
    damage();
    const read = await bundleWorld(bundle);
    expect(read.reports.get('n1')).toEqual({ unknown: expect.stringContaining(`nodes/n1.json: ${why}`) });
    expect(read.reports.get('n2')).toEqual({ unknown: 'the node does not answer' });
    expect(read.pods).toEqual([...world.pods]);
    expect(JSON.stringify([...read.reports])).not.toContain('S3CRET');
  });

  test.each([
    ['README', 'file README'],
    ['N1.json', 'file N1.json'],
    ['\u001b[31m.json', 'file "\\u001b[31m.json"'],
  ])('a file that is called %j is no report', async (name, what) => {
    await saveBundle(world, bundle);
    writeFileSync(join(bundle, 'nodes', name), '{}');
    const { reports, unread } = await bundleWorld(bundle);
    expect([...reports.keys()]).toEqual(['n1', 'n2']);
    expect(unread).toEqual([
      ...world.unread!,
      { kind: 'file', what, why: 'nodes: want <name of the node>.json' },
    ]);
  });
});

describe('an object that is not as the API has it is unread, and hides no other', () => {
  const nested = `${'['.repeat(40_000)}${']'.repeat(40_000)}`;
  test.each<[string, string, object | number | string, object]>([
    ['a number', 'pods', 7, { what: 'pod objects/pods.json[1]' }],
    [
      'a text for ports',
      'pods',
      { metadata: { name: 'q', namespace: 'a' }, spec: { nodeName: 'n1', containers: [{ ports: 'x' }] } },
      { node: 'n1', what: 'pod a/q', why: expect.stringContaining('[1]: spec.containers[0].ports') },
    ],
    [
      'a text for a port',
      'pods',
      { metadata: { name: 'q' }, spec: { containers: [{ ports: [{ containerPort: '8080' }] }] } },
      { what: 'pod q', why: expect.stringContaining('containers[0].ports[0].containerPort') },
    ],
    [
      'a list for a name',
      'pods',
      { metadata: { name: ['p'] } },
      { why: expect.stringContaining('metadata.name') },
    ],
    [
      'a hostIP that would fill the terminal',
      'pods',
      {
        metadata: { name: 'q', namespace: 'a' },
        spec: { nodeName: 'n1', containers: [{ ports: [{ containerPort: 1, hostIP: 'x'.repeat(300) }] }] },
      },
      { node: 'n1', what: 'pod a/q' },
    ],
    [
      'addresses that are not valid',
      'nodes',
      { metadata: { name: 'n2' }, status: { addresses: '10.0.0.1' } },
      { node: 'n2', what: 'node n2' },
    ],
    ['one that is nested without end', 'policies', nested, { why: expect.stringContaining('nested deeper') }],
  ])('%s', async (_, kind, object, expected) => {
    await saveBundle(world, bundle);
    const file = join(bundle, `objects/${kind}.json`);
    const [first] = JSON.parse(readFileSync(file, 'utf8')) as unknown[];
    const text = typeof object === 'string' ? `{"spec":{"x":${object}}}` : JSON.stringify(object);
    writeFileSync(file, `[${JSON.stringify(first)},${text}]`);
    const read = await bundleWorld(bundle);
    expect(read[kind as 'pods']).toHaveLength(1);
    const about = kind === 'pods' ? 'pod' : kind === 'nodes' ? 'node' : 'objects';
    expect(read.unread).toEqual([...world.unread!, expect.objectContaining({ kind: about, ...expected })]);
  });

  test('what a bundle does not say the kind of may be a pod, and is a doubt', async () => {
    await saveBundle(world, bundle);
    const manifest = JSON.parse(readFileSync(join(bundle, 'manifest.json'), 'utf8')) as object;
    const unread = [{ what: 'x', why: 'y' }];
    writeFileSync(join(bundle, 'manifest.json'), JSON.stringify({ ...manifest, unread }));
    expect((await bundleWorld(bundle)).unread).toEqual([{ kind: 'pod', what: 'x', why: 'y' }]);
  });

  test('many are counted', async () => {
    await saveBundle(world, bundle);
    writeFileSync(join(bundle, 'objects/pods.json'), JSON.stringify(Array(1000).fill(7)));
    const { unread } = await bundleWorld(bundle);
    expect(unread).toHaveLength(102);
    expect(unread!.at(-1)!.what).toBe('900 more pods');
  });
});

test('secrets that an event quotes are not even read', async () => {
  await saveBundle(world, bundle);
  const event = { involvedObject: {}, message: 'failed: password=S3CRET' };
  writeFileSync(join(bundle, 'objects/events.json'), JSON.stringify([event]));
  const { events } = await bundleWorld(bundle);
  expect(events.map(({ message }) => message)).toEqual(['failed: password=(left out by hostport)']);
});

test('secrets are not saved, whoever quotes them', async () => {
  const config = JSON.stringify({ name: 'net', plugins: [{ type: 'a', token: 'S3CRET' }] });
  const cni = {
    ...report.cni,
    attachments: { value: [{ ...attachment, config, result: { token: 'S3CRET' } }] },
  };
  await saveBundle(
    {
      ...world,
      events: [{ involvedObject: {}, message: 'failed: password=S3CRET' } as never],
      unread: [{ kind: 'objects', what: 'events', why: 'Authorization: Bearer S3CRET' }],
      reports: new Map([
        ['n1', { value: { ...report, cni } }],
        ['n2', { unknown: 'token: S3CRET' }],
      ]),
      probes: [{ ...world.probes[0]!, detail: 'https://u:S3CRET@h' }],
    },
    bundle,
  );
  const files = readdirSync(bundle, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.json'),
  );
  expect(files).toContain('nodes/n2.json');
  for (const name of files) expect(readFileSync(join(bundle, name), 'utf8')).not.toContain('S3CRET');
});

test('escape sequences in names are data like any other', async () => {
  const name = '\u001b[2J\u0007evil';
  await saveBundle({ ...world, pods: [{ ...world.pods[0]!, metadata: { name } }] }, bundle);
  expect((await bundleWorld(bundle)).pods[0]!.metadata!.name).toBe(name);
});

test('a directory of reports may be empty, or not be there', () => {
  mkdirSync(join(scratch, 'reports'));
  expect(readReports(join(scratch, 'reports')).reports.size).toBe(0);
  expect(existsSync(join(scratch, 'none'))).toBe(false);
  expect(readReports(join(scratch, 'none')).reports.size).toBe(0);
});
