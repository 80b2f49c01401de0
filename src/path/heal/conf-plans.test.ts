import { describe, expect, test } from 'bun:test';
import { cniNode } from '../testing/cni-node.ts';
import { NodeView } from '../view/node-view.ts';
import {
  besideConfig,
  listDocument,
  nameBefore,
  PORTMAP_ENTRY,
  renameConfig,
  writeConfig,
  writeCopy,
} from './conf-plans.ts';
import { changePortmap, isPortmap, type ListDocument, withoutPortmap } from './list-document.ts';

const FILE = '/etc/cni/net.d/10-net.conflist';
const node = new NodeView('n1', { value: cniNode({}) });

describe('a step for a configuration file', () => {
  const step = (action: object) => ({ on: 'node', node: 'n1', why: 'so', action }) as never;

  test.each([
    [
      'that is written keeps its mode',
      writeConfig(node, FILE, 'text', 'so'),
      step({ do: 'write-file', path: FILE, content: 'text' }),
    ],
    [
      'that is written with a mode',
      writeConfig(node, FILE, 'text', 'so', '0644'),
      step({ do: 'write-file', path: FILE, content: 'text', mode: '0644' }),
    ],
    [
      'of a document has it in lines',
      writeConfig(node, FILE, { name: 'net' }, 'so'),
      step({ do: 'write-file', path: FILE, content: '{\n  "name": "net"\n}\n' }),
    ],
    [
      'that is new is for root alone',
      writeCopy(node, FILE, 'text', 'so'),
      step({ do: 'write-file', path: FILE, content: 'text', mode: '0600' }),
    ],
    [
      'that gets another name stays in its directory',
      renameConfig(node, FILE, '00-net.conflist', 'so'),
      step({ do: 'rename-file', from: FILE, to: '/etc/cni/net.d/00-net.conflist' }),
    ],
  ])('%s', (_, planned, expected) => {
    expect(planned).toStrictEqual(expected);
  });
});

test.each([
  [FILE, '/etc/cni/net.d/b'],
  ['/a', '/b'],
  ['a', 'b'],
])('beside %s is %s', (path, beside) => {
  expect(besideConfig(path, 'b')).toBe(beside);
});

describe('a name that comes before another', () => {
  test.each([
    ['10-net.conflist', '05-net.conflist', '05-net.conflist'],
    // The same name is not before itself.
    ['10-net.conflist', '10-net.conflist', '00-10-net.conflist'],
    ['10-net.conflist', '20-net.conflist', '00-20-net.conflist'],
    ['00-b.conflist', 'a.conflist', '00-a.conflist'],
    ['000-a.conflist', 'b.conflist', '00-b.conflist'],
    // More zeros would come behind it, as a digit comes behind a dash.
    ['00-a.conflist', 'b.conflist', '!b.conflist'],
    // Byte by byte: capital letters come before small ones, and what is not ASCII after both.
    ['a.conflist', 'B.conflist', 'B.conflist'],
    ['é.conflist', 'z.conflist', 'z.conflist'],
  ])('%s: for %s it is %s', (other, name, before) => {
    expect(nameBefore(other, name)).toBe(before);
  });
});

describe('the list of a file', () => {
  /** What a file of a name says as a list. */
  const documentOf = (name: string, content: object) =>
    listDocument(
      new NodeView('n1', { value: cniNode({ [name]: JSON.stringify(content) }) }).active!,
    ) as unknown;
  const primary = { Type: 'bridge', Bridge: 'cni0' };

  test.each<[string, string, object, object]>([
    [
      'stays as it is but for the keys of portmap',
      '10-net.conflist',
      { Name: 'net', plugins: [primary, { TYPE: 'portmap', Capabilities: {}, SNAT: false, note: 1 }] },
      { Name: 'net', plugins: [primary, { type: 'portmap', capabilities: {}, snat: false, note: 1 }] },
    ],
    ['may have no plugins', '10-net.conflist', { name: 'net' }, { name: 'net' }],
    [
      'is made of a single plugin, with its keys as they are read',
      '10-net.conf',
      { Name: 'net', cniVersion: '0.4.0', Type: 'bridge', bridge: 'cni0' },
      { cniVersion: '0.4.0', name: 'net', plugins: [{ type: 'bridge', bridge: 'cni0' }] },
    ],
    [
      'has no version where a single plugin has none',
      '10-net.conf',
      { name: 'net', type: 'bridge' },
      { name: 'net', plugins: [{ type: 'bridge' }] },
    ],
    [
      'is made of portmap alone',
      '10-net.conf',
      { name: 'net', type: 'portmap', Backend: 'nftables', Capabilities: { portMappings: true } },
      {
        name: 'net',
        plugins: [{ type: 'portmap', backend: 'nftables', capabilities: { portMappings: true } }],
      },
    ],
  ])('%s', (_, name, content, document) => {
    expect(documentOf(name, content)).toStrictEqual(document);
    expect(Object.keys(documentOf(name, content) as object)).toStrictEqual(Object.keys(document));
  });
});

describe('portmap in a list', () => {
  const list: ListDocument = { name: 'net', plugins: [{ type: 'a' }, { type: 'portmap' }, { type: 'b' }] };

  test('is the entry of its type', () => {
    expect(list.plugins.map(isPortmap)).toStrictEqual([false, true, false]);
    expect(isPortmap(PORTMAP_ENTRY)).toBe(true);
  });

  test('is taken out, and the rest stays', () => {
    expect(withoutPortmap(list)).toStrictEqual({ name: 'net', plugins: [{ type: 'a' }, { type: 'b' }] });
  });

  test('is changed, and the rest stays', () => {
    expect(changePortmap(list, (portmap) => ({ ...portmap, snat: true }))).toStrictEqual({
      name: 'net',
      plugins: [{ type: 'a' }, { type: 'portmap', snat: true }, { type: 'b' }],
    });
  });

  test('is added with the capability that gives it ports', () => {
    expect(PORTMAP_ENTRY).toStrictEqual({ type: 'portmap', capabilities: { portMappings: true } });
  });
});
