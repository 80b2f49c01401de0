/** A report comes from a node, or as a file from anywhere: all that it may have is read as it is, and nothing else is taken for a report. */
import { describe, expect, test } from 'bun:test';
import { nodeReportSchema } from './node-report.ts';
import { NODE_REPORT_VERSION } from './node-report-version.ts';

const AT = '2026-01-01T00:00:00Z';
const mapping = { hostPort: 80, containerPort: 8080, protocol: 'tcp', hostIP: '127.0.0.1' };
const confFile = { name: '10-net.conflist', modified: AT, changed: AT };
const plugin = { directory: '/opt/cni/bin', mode: '0755', size: 1 };

/** A report with all that one may have: of each list an entry for each form that entries have. */
const FULL = {
  apiVersion: NODE_REPORT_VERSION,
  kind: 'NodeReport',
  node: 'n1',
  takenAt: AT,
  machine: { kernel: '6.1', architecture: 'x64', elfMachine: 62, bootId: 'b1' },
  network: {
    links: {
      value: [
        {
          name: 'lxc1',
          index: 7,
          up: true,
          mtu: 1500,
          kind: 'veth',
          master: 'cni0',
          mac: '02:00:00:00:00:01',
          peerNamespace: 'cni-1',
        },
      ],
    },
    addresses: {
      value: [
        { device: 'eth0', family: 'ipv4', address: '172.17.0.2', prefix: 16, scope: 'global' },
        { device: 'eth0', family: 'ipv6', address: 'fd00::2', prefix: 64, scope: 'global' },
      ],
    },
    routes: {
      value: [
        {
          family: 'ipv4',
          destination: '0.0.0.0/0',
          gateway: '172.17.0.1',
          device: 'eth0',
          table: 'main',
          metric: 100,
          source: '172.17.0.2',
          type: 'unicast',
        },
        { family: 'ipv6', destination: '::/0', table: 'main', type: 'blackhole' },
      ],
    },
    rules: {
      ipv4: {
        value: [
          {
            priority: 100,
            inverted: true,
            source: '10.0.0.0/8',
            destination: '10.1.0.0/16',
            inputInterface: 'eth0',
            outputInterface: 'eth1',
            mark: { value: 1, mask: 255 },
            others: ['ipproto tcp'],
            table: 'main',
            suppressPrefixLength: 0,
            action: 'nop',
          },
        ],
      },
      ipv6: { unknown: 'no ip' },
    },
    sysctls: { value: { 'net.ipv4.ip_forward': '1' } },
    reversePathDrops: { value: 3 },
    listeners: {
      value: ['tcp', 'udp', 'sctp'].map((protocol) => ({
        protocol,
        address: '0.0.0.0',
        port: 80,
        process: 'nginx',
        pid: 1,
      })),
    },
    flows: {
      value: [
        {
          protocol: 'tcp',
          state: 'ESTABLISHED',
          source: '10.0.0.1',
          sourcePort: 1024,
          destination: '172.17.0.2',
          destinationPort: 80,
          replySource: '10.1.0.2',
          replySourcePort: 8080,
          replyDestination: '10.0.0.1',
          replyDestinationPort: 1024,
          unreplied: false,
        },
      ],
    },
  },
  cni: {
    confDir: '/etc/cni/net.d',
    files: {
      value: [
        { ...confFile, target: '/x', content: { value: '{"name":"net"}' } },
        { ...confFile, content: { unknown: 'not JSON' }, broken: true },
      ],
    },
    dropIns: [{ network: 'net', files: { value: [{ ...confFile, content: { value: '{"type":"a"}' } }] } }],
    binDirs: ['/opt/cni/bin'],
    plugins: {
      value: [
        {
          ...plugin,
          name: 'portmap',
          target: '/x',
          format: { kind: 'elf', machine: 62, bits: 64 },
          versions: { value: ['1.0.0'] },
        },
        { ...plugin, name: 'a', format: { kind: 'script', interpreter: '/bin/sh' } },
        { ...plugin, name: 'b', format: { kind: 'other' } },
        { ...plugin, name: 'c', format: { kind: 'unreadable' } },
      ],
    },
    attachments: {
      value: [
        {
          file: '/var/lib/cni/results/net-c-eth0',
          modified: AT,
          networkName: 'net',
          containerId: 'c',
          ifName: 'eth0',
          netns: '/run/netns/cni-1',
          netnsExists: true,
          config: '{"name":"net"}',
          portMappings: [mapping],
          result: { cniVersion: '1.0.0', ips: [{ address: '10.1.0.2/32' }] },
        },
      ],
    },
    mounts: {
      value: [{ path: '/opt/cni/bin', point: '/', origin: '/opt', source: 'overlay', readOnly: false }],
    },
    skipped: [{ file: '/var/lib/cni/results/x', why: 'not JSON' }],
  },
  runtime: {
    value: {
      name: 'containerd',
      version: '1.6.20',
      networkReady: true,
      networkMessage: 'all is as it should be',
      confDir: '/etc/cni/net.d',
      binDirs: ['/opt/cni/bin'],
      loadedNetworks: {
        value: [
          { name: 'net', file: '10-net.conflist', config: '{"name":"net"}', plugins: ['{"type":"a"}'] },
        ],
      },
      lastLoadError: 'no network config found',
    },
  },
  sandboxes: {
    value: [
      {
        id: 's1',
        name: 'echo',
        namespace: 'default',
        uid: 'u',
        attempt: 0,
        ready: true,
        createdAt: AT,
        hostNetwork: false,
        netns: '/run/netns/cni-1',
        netnsExists: true,
        ips: ['10.1.0.2'],
        portMappings: [mapping],
      },
    ],
  },
  netfilter: {
    tools: { iptables: '/sbin/iptables' },
    defaultVariant: 'iptables-nft',
    iptables: [
      {
        variant: 'iptables-nft',
        family: 'ipv4',
        text: { value: `*nat\n${':X - [0:0]\n'.repeat(20)}COMMIT\n` },
      },
      { variant: 'iptables-legacy', family: 'ipv6', text: { unknown: 'EPERM' } },
    ],
    nft: { value: '{"nftables":[]}' },
  },
};

/** What a report can be without, by the place in {@link FULL}; lists of what is alike are there by their first entry. */
const OPTIONAL = [
  'machine.bootId',
  ...['kind', 'master', 'mac', 'peerNamespace'].map((key) => `network.links.value.0.${key}`),
  ...['gateway', 'device', 'metric', 'source'].map((key) => `network.routes.value.0.${key}`),
  'network.rules',
  ...[
    'inverted',
    'source',
    'destination',
    'inputInterface',
    'outputInterface',
    'mark',
    'others',
    'table',
  ].map((key) => `network.rules.ipv4.value.0.${key}`),
  ...['suppressPrefixLength', 'action'].map((key) => `network.rules.ipv4.value.0.${key}`),
  'network.sysctls.value.net.ipv4.ip_forward',
  'network.reversePathDrops',
  ...[0, 1, 2].flatMap((i) => ['process', 'pid'].map((key) => `network.listeners.value.${i}.${key}`)),
  'network.flows.value.0.state',
  'cni.files.value.0.target',
  'cni.files.value.1.broken',
  'cni.dropIns',
  ...['target', 'versions'].map((key) => `cni.plugins.value.0.${key}`),
  ...['netns', 'netnsExists', 'portMappings.0.hostIP'].map((key) => `cni.attachments.value.0.${key}`),
  ...['cniVersion', 'ips', 'ips.0.address'].map((key) => `cni.attachments.value.0.result.${key}`),
  'cni.mounts',
  'cni.skipped',
  ...['file', 'plugins'].map((key) => `runtime.value.loadedNetworks.value.0.${key}`),
  ...['netns', 'portMappings.0.hostIP'].map((key) => `sandboxes.value.0.${key}`),
  'netfilter.tools.iptables',
  'netfilter.defaultVariant',
];

/** What may be of any kind: what a plugin returned. */
const FREE = /^cni\.attachments\.value\.0\.result(?:$|\.)/;

type Part = Record<string, unknown>;

/** The places of all parts of a document. */
function places(part: unknown, path: string[] = []): string[][] {
  if (typeof part !== 'object' || part === null) return [];
  return Object.entries(part).flatMap(([key, value]) => [[...path, key], ...places(value, [...path, key])]);
}

/** A copy of {@link FULL} that is changed at a place. */
function changed(path: readonly string[], change: (parent: Part, key: string) => void): unknown {
  const document = structuredClone(FULL);
  const parent = path.slice(0, -1).reduce((part, key) => part[key] as Part, document as Part);
  change(parent, path.at(-1)!);
  return document;
}

const isEntry = (path: readonly string[]) => /^\d+$/.test(path.at(-1)!);

describe('a report', () => {
  test('is read with all that is in it, and without what does not belong there', () => {
    expect(nodeReportSchema.parse(FULL)).toEqual(FULL as never);
    expect(nodeReportSchema.parse({ ...FULL, more: 1 })).toEqual(FULL as never);
  });

  test('lacks nothing that must be there', () => {
    const isRead = (path: readonly string[]) =>
      nodeReportSchema.safeParse(changed(path, (parent, key) => delete parent[key])).success;
    const dispensable = places(FULL).filter((path) => !isEntry(path) && isRead(path));
    expect(dispensable.map((path) => path.join('.')).sort()).toEqual([...OPTIONAL].sort());
  });

  test.each([
    ['another type', null],
    // What `length` is cannot be compared with a number: that is found, and does not throw.
    ['no type at all', { length: { toString: 1 } }],
  ])('has nothing of %s', (_, value) => {
    const isRead = (path: readonly string[]) =>
      nodeReportSchema.safeParse(
        changed(path, (parent, key) => {
          parent[key] = value;
        }),
      ).success;
    const lax = places(FULL).filter(isRead);
    expect(lax.map((path) => path.join('.')).filter((path) => !FREE.test(path))).toEqual([]);
  });

  test('from before there was a list of what was skipped has skipped nothing', () => {
    const { skipped, ...cni } = FULL.cni;
    expect(nodeReportSchema.parse({ ...FULL, cni }).cni.skipped).toEqual([]);
  });

  test.each<[string, string, unknown, boolean]>([
    ['another version', 'apiVersion', 'hostport/v2', false],
    ['another kind', 'kind', 'Diagnosis', false],
    ['a family of another kind', 'network.addresses.value.0.family', 'inet', false],
    ['a route of another family', 'network.routes.value.0.family', 'inet', false],
    ['a listener of another protocol', 'network.listeners.value.0.protocol', 'icmp', false],
    ['a plugin in another format', 'cni.plugins.value.2.format.kind', 'zip', false],
    ['rules of another variant', 'netfilter.iptables.0.variant', 'nft', false],
    ['rules of another family', 'netfilter.iptables.0.family', 'inet', false],
    ['legacy rules by default', 'netfilter.defaultVariant', 'iptables-legacy', true],
    ['another default', 'netfilter.defaultVariant', 'nft', false],
    ['a rule that is not inverted, said so', 'network.rules.ipv4.value.0.inverted', false, false],
    ['a file that is not broken, said so', 'cni.files.value.1.broken', false, false],
    ['a name as long as one may be', 'node', 'x'.repeat(4096), true],
    ['a longer one', 'node', 'x'.repeat(4097), false],
    ['a message as long as one may be', 'runtime.value.networkMessage', 'x'.repeat(1 << 20), true],
    ['a longer message', 'runtime.value.networkMessage', 'x'.repeat((1 << 20) + 1), false],
    ['a configuration as long as one may be', 'cni.files.value.0.content.value', 'x'.repeat(8 << 20), true],
    ['a longer configuration', 'cni.files.value.0.content.value', 'x'.repeat((8 << 20) + 1), false],
    ['a listing as long as one may be', 'netfilter.nft.value', 'x'.repeat(64 << 20), true],
    ['a longer listing', 'netfilter.nft.value', 'x'.repeat((64 << 20) + 1), false],
    ['as many addresses as a sandbox may have', 'sandboxes.value.0.ips', Array(64).fill('::1'), true],
    ['more', 'sandboxes.value.0.ips', Array(65).fill('::1'), false],
  ])('with %s', (_, place, value, valid) => {
    const document = changed(place.split('.'), (parent, key) => {
      parent[key] = value;
    });
    expect(nodeReportSchema.safeParse(document).success).toBe(valid);
  });
});
