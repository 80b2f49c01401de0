import { describe, expect, test } from 'bun:test';
import type { CniConfFile, MountSeen, NodeReport } from '../model/node-report.ts';
import { CHAINED, cniNode, confFile, listOf } from '../testing/cni-node.ts';
import { mapped } from '../testing/mapped-node.ts';
import { NodeView, portmapIn } from './node-view.ts';

const blind = new NodeView('n1', { unknown: 'EPERM' });
const nodeWith = (rest: Parameters<typeof cniNode>[1], change?: (report: NodeReport) => void) => {
  const report = cniNode({ '10-net.conflist': listOf(CHAINED) }, rest);
  change?.(report);
  return new NodeView('n1', { value: report });
};

test('of a node without a report nothing is known but why', () => {
  const { seen, configs, active, chain, sandboxes, attachments } = blind;
  expect({ seen, configs, active, chain, sandboxes, attachments }).toEqual({} as never);
  expect(blind.ruleset).toEqual({ unknown: 'EPERM' });
  expect([
    blind.plugin('portmap'),
    blind.mountOf('/a'),
    blind.sysctl('a'),
    blind.isLocal('127.0.0.1'),
  ]).toEqual([undefined, undefined, undefined, undefined]);
});

describe('the configurations of a node', () => {
  const of = (...files: CniConfFile[]) => nodeWith({ cni: { files: { value: files } } }).configs!;
  const LIST = listOf(CHAINED);

  test('are in the order of their names, those of other kinds left out', () => {
    const names = of(
      confFile('20-b.conflist', LIST),
      confFile('10-a.conf', '{"name":"net","type":"a"}'),
      confFile('05-c.conflist.bak', LIST),
      confFile('30-d.json', '{"name":"net","type":"a"}'),
    ).map(({ name, path }) => [name, path]);
    expect(names).toEqual([
      ['10-a.conf', '/etc/cni/net.d/10-a.conf'],
      ['20-b.conflist', '/etc/cni/net.d/20-b.conflist'],
      ['30-d.json', '/etc/cni/net.d/30-d.json'],
    ]);
  });

  test.each<[string, CniConfFile, object]>([
    [
      'that can be read',
      confFile('a.conflist', LIST),
      {
        content: LIST,
        readable: true,
        dropIns: [],
        list: { value: expect.objectContaining({ name: 'net' }) },
      },
    ],
    [
      'that is no configuration',
      confFile('a.conflist', '{'),
      { content: '{', readable: true, dropIns: [], list: { unknown: expect.stringContaining('a.conflist') } },
    ],
    [
      'that is too large to be read here',
      confFile('a.conflist', listOf(Array.from({ length: 101 }, () => ({ type: 'a' })))),
      { readable: false, list: { unknown: 'a.conflist: 101 plugins, more than 100' } },
    ],
    [
      'that could not be read',
      { ...confFile('a.conflist', ''), content: { unknown: 'EACCES' } },
      { content: '', readable: false, dropIns: [], list: { unknown: 'EACCES' } },
    ],
    [
      'that the report says is no configuration',
      { ...confFile('a.conflist', ''), content: { unknown: 'not JSON' }, broken: true },
      { content: 'not JSON', readable: true, dropIns: [], list: { unknown: 'not JSON' } },
    ],
  ])('may have one %s', (_, file, expected) => {
    expect(of(file)[0]).toMatchObject(expected);
  });

  test.each<[string, NonNullable<NodeReport['cni']['dropIns']>[number]['files'], object]>([
    [
      'of a drop-in directory are named',
      { value: [confFile('20-a.conf', '{"type":"a"}')] },
      { dropIns: ['net/20-a.conf'], readable: true, list: { value: expect.anything() } },
    ],
    [
      'of one that was not seen are not',
      { unknown: 'EACCES' },
      { dropIns: [], readable: false, list: { unknown: 'EACCES' } },
    ],
    [
      'of one with a file that is no configuration are named',
      {
        value: [
          confFile('10-a.conf', '{"type":"a"}'),
          { ...confFile('20-b.conf', ''), content: { unknown: '20-b.conf: cut' }, broken: true },
        ],
      },
      {
        dropIns: ['net/10-a.conf', 'net/20-b.conf'],
        readable: true,
        list: { unknown: 'net/20-b.conf: cut' },
      },
    ],
  ])('%s', (_, files, expected) => {
    const dropIns = [{ network: 'net', files }];
    expect(nodeWith({ cni: { dropIns }, loaded: LIST, version: '2.1.0' }).active).toMatchObject(expected);
  });

  test('are worked out once, until they are let go of', () => {
    const node = nodeWith({});
    const before = node.configs;
    expect(node.configs).toBe(before);
    node.release();
    expect(node.configs).not.toBe(before);
    expect(node.configs).toEqual(before);
  });
});

test('plugins are in the order of the directories that they are looked for in', () => {
  const file = (directory: string, name: string) => ({
    directory,
    name,
    mode: '0755',
    size: 1,
    format: { kind: 'other' as const },
  });
  const files = [file('/b', 'portmap'), file('/a', 'portmap'), file('/a', 'bridge'), file('/c', 'portmap')];
  const node = nodeWith({ cni: { binDirs: ['/a', '/b'], plugins: { value: files } } });
  expect(node.plugin('portmap')!.map(({ directory }) => directory)).toEqual(['/a', '/b']);
  expect(node.plugin('tuning')).toEqual([]);
  expect(nodeWith({ cni: { plugins: { unknown: 'EPERM' } } }).plugin('portmap')).toBeUndefined();
});

test('a file lies on its own mount, else on that of its directory', () => {
  const mount = (path: string): MountSeen => ({
    path,
    point: '/',
    origin: '/',
    source: 'x',
    readOnly: false,
  });
  const node = nodeWith({ cni: { mounts: { value: [mount('/a'), mount('/a/b'), mount('/')] } } });
  const paths = ['/a', '/a/b', '/a/c', '/a/c/d', '/b'];
  expect(paths.map((path) => node.mountOf(path)?.path)).toEqual(['/a', '/a/b', '/a', undefined, undefined]);
  expect(nodeWith({}).mountOf('/a')).toBeUndefined();
});

test('an address is local when it is one of the node, in any spelling, or of the loopback', () => {
  const address = (text: string) => ({
    device: 'eth0',
    family: text.includes(':') ? ('ipv6' as const) : ('ipv4' as const),
    address: text,
    prefix: 64,
    scope: 'global',
  });
  const node = nodeWith({ network: { addresses: { value: [address('172.17.0.2'), address('FD00:0::2')] } } });
  const local = (text: string) => node.isLocal(text);
  const own = ['172.17.0.2', 'fd00::2', 'fd00:0:0::2', 'FD00:0::2', '127.0.0.1', '127.1.2.3'];
  const others = ['172.17.0.3', '127.x', '127.0.0.1.example', 'fd00::3', '', '12.7.0.1'];
  expect(own.filter((text) => local(text) !== true)).toEqual([]);
  expect(others.filter((text) => local(text) !== false)).toEqual([]);
  expect(nodeWith({}).isLocal('127.0.0.1')).toBeUndefined();
  node.release();
  expect(node.isLocal('172.17.0.2')).toBe(true);
});

describe('the rules of a node', () => {
  const text = (rule: string) => `*filter\n:INPUT ACCEPT [0:0]\n${rule}\nCOMMIT\n`;
  const V4 = {
    variant: 'iptables-nft' as const,
    family: 'ipv4' as const,
    text: { value: text('-A INPUT -j DROP') },
  };
  const V6 = {
    variant: 'iptables-legacy' as const,
    family: 'ipv6' as const,
    text: { value: text('-A INPUT -j ACCEPT') },
  };
  const NFT = {
    value: JSON.stringify({ nftables: [{ table: { family: 'inet', name: 'own', handle: 1 } }] }),
  };
  const rulesOf = (netfilter: Partial<NodeReport['netfilter']>) =>
    nodeWith({}, (report) => Object.assign(report.netfilter, netfilter)).ruleset;

  test('are those of all tools', () => {
    const ruleset = rulesOf({ iptables: [V4, V6], nft: NFT });
    const tables = 'value' in ruleset ? ruleset.value.tables : [];
    expect(tables.map(({ backend, family, name }) => `${backend} ${family} ${name}`).sort()).toEqual([
      'iptables-legacy ip6 filter',
      'iptables-nft ip filter',
      'nft inet own',
    ]);
  });

  test.each<[string, Partial<NodeReport['netfilter']>, string]>([
    [
      'of which a tool does not tell its part',
      { iptables: [V4, { ...V6, text: { unknown: 'EPERM' } }], nft: NFT },
      'EPERM',
    ],
    ['of which nft does not', { iptables: [V4], nft: { unknown: 'no nft' } }, 'no nft'],
    ['which cannot be read', { iptables: [], nft: { value: 'x' } }, 'nft'],
  ])('%s are not known', (_, netfilter, why) => {
    expect(rulesOf(netfilter)).toEqual({ unknown: expect.stringContaining(why) });
  });
});

test('what may be looked at of its rules is all there again once it is let go of', () => {
  const { node } = mapped().path;
  const whole = node!.budget.rules;
  expect(whole).toBe(10_000_000);
  node!.budget.rules = 1;
  node!.memory.set({}, 1);
  node!.release();
  expect([node!.budget.rules, node!.memory.size]).toEqual([whole, 0]);
});

test('portmap in a chain is the entry of its type', () => {
  const { chain } = nodeWith({});
  expect(portmapIn(chain)).toMatchObject({ type: 'portmap', capabilities: { portMappings: true } });
  expect(portmapIn(chain!.slice(0, 1))).toBeUndefined();
  expect(portmapIn(undefined)).toBeUndefined();
});
