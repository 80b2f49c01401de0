import { describe, expect, test } from 'bun:test';
import type { NodeReport } from '../model/node-report.ts';
import { CHAINED, cniNode, confFile, listOf } from '../testing/cni-node.ts';
import { NodeView } from './node-view.ts';
import { BROUGHT_ALONG, chainPlugins, installPlugin } from './plugin-files.ts';
import { chainVersions, effectiveVersion } from './plugin-versions.ts';

const file = (name: string, directory: string, versions?: { value: string[] } | { unknown: string }) => ({
  name,
  directory,
  mode: '0755',
  size: 1,
  format: { kind: 'other' as const },
  ...(versions === undefined ? {} : { versions }),
});

function nodeWith(
  cni: Partial<NodeReport['cni']>,
  plugins: readonly object[] = CHAINED,
  more: object = {},
): NodeView {
  return new NodeView('n1', { value: cniNode({ '10-net.conflist': listOf(plugins, more) }, { cni }) });
}

const blind = new NodeView('n2', { unknown: 'EPERM' });
const BIN = '/opt/cni/bin';

test('hostport brings along the plugins that it can put on a node', () => {
  expect(BROUGHT_ALONG).toEqual(['portmap', 'loopback']);
});

describe('the plugins of chains', () => {
  const two = {
    binDirs: ['/a', '/b'],
    plugins: { value: [file('portmap', '/b'), file('portmap', '/a'), file('other', '/a')] },
  };

  test.each<[string, NodeView[], [string, string, string | undefined][]]>([
    [
      'are the first of their name in the directories, each once',
      [nodeWith(two, [...CHAINED, { type: 'portmap' }])],
      [
        ['n1', 'cilium-cni', undefined],
        ['n1', 'portmap', '/a'],
      ],
    ],
    ['are those of every node', [blind, nodeWith(two, [{ type: 'other' }])], [['n1', 'other', '/a']]],
    ['are left out where they were not seen', [nodeWith({ plugins: { unknown: 'EPERM' } })], []],
    ['are left out where the chain was not', [nodeWith({ files: { unknown: 'EPERM' } })], []],
  ])('%s', (_, nodes, expected) => {
    const found = chainPlugins(nodes).map(({ node, type, file }) => [node.name, type, file?.directory]);
    expect(found).toEqual(expected);
  });
});

test.each<[string, NodeView, string]>([
  [
    'goes where the runtime finds it now',
    nodeWith({ binDirs: ['/a', '/b'], plugins: { value: [file('portmap', '/b')] } }),
    '/b',
  ],
  ['goes where the runtime looks first', nodeWith({ binDirs: ['/a', '/b'], plugins: { value: [] } }), '/a'],
  [
    'goes there, too, where none were seen',
    nodeWith({ binDirs: ['/a'], plugins: { unknown: 'EPERM' } }),
    '/a',
  ],
  ['goes where runtimes look by default', nodeWith({ binDirs: [], plugins: { value: [] } }), BIN],
  ['goes there on a node without a report', blind, BIN],
])('a plugin %s', (_, node, directory) => {
  expect(installPlugin(node, 'portmap')).toEqual({ do: 'install-plugin', name: 'portmap', directory });
});

describe('the versions', () => {
  test('of a chain are those of the plugins that reported them', () => {
    const plugins = {
      value: [
        file('a', BIN, { value: ['0.4.0', '1.0.0'] }),
        file('b', BIN, { unknown: 'it hangs' }),
        file('c', BIN),
      ],
    };
    expect(
      chainVersions(
        nodeWith(
          { plugins },
          ['a', 'b', 'c', 'd'].map((type) => ({ type })),
        ),
      ),
    ).toEqual([{ type: 'a', path: `${BIN}/a`, versions: ['0.4.0', '1.0.0'] }]);
    expect(chainVersions(nodeWith({ plugins: { unknown: 'EPERM' } }))).toEqual([]);
    expect(chainVersions(nodeWith({ files: { unknown: 'EPERM' } }))).toBeUndefined();
    expect(chainVersions(blind)).toBeUndefined();
  });

  test.each<[string, NodeView, string | undefined]>([
    ['is that of its list', nodeWith({}), '1.0.0'],
    ['is the oldest where the list has none', nodeWith({}, CHAINED, { cniVersion: undefined }), '0.1.0'],
    ['is the oldest where it is empty', nodeWith({}, CHAINED, { cniVersion: '' }), '0.1.0'],
    [
      'is not known of what is no list',
      nodeWith({ files: { value: [confFile('a.conflist', '{')] } }),
      undefined,
    ],
    ['is not known without a list', nodeWith({ files: { value: [] } }), undefined],
  ])('that a chain is run in %s', (_, node, version) => {
    expect(effectiveVersion(node)).toBe(version as string);
  });
});
