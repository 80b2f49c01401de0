import { describe, expect, test } from 'bun:test';
import { configFileOrder, dropInOrder, gcInput, parseNetworkConfig, pluginInput } from './conflist.ts';

const HOWTO = JSON.stringify({
  name: 'cilium-portmap',
  plugins: [{ type: 'cilium-cni' }, { type: 'portmap', capabilities: { portMappings: true } }],
});

test('the files of a directory come in the order of a runtime', () => {
  expect(
    configFileOrder([
      '05-cilium.conf',
      '000-cilium-portmap.conflist',
      '.tmp',
      'Z.json',
      'a.conf',
      'x.conf.bak',
    ]),
  ).toEqual(['000-cilium-portmap.conflist', '05-cilium.conf', 'Z.json', 'a.conf']);
});

test('the list of the how-to has no version, and two plugins', () => {
  expect(parseNetworkConfig(HOWTO, 'a.conflist')).toMatchObject({
    name: 'cilium-portmap',
    cniVersion: '',
    disableCheck: false,
    plugins: [
      { type: 'cilium-cni', capabilities: {} },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  });
});

test('a plugin gets the arguments of the capabilities it declares, and the previous result', () => {
  const list = parseNetworkConfig(HOWTO, 'a.conflist');
  const args = { portMappings: [{ hostPort: 80 }], bandwidth: {} };
  expect(pluginInput(list, list.plugins[0]!, args)).toEqual({
    type: 'cilium-cni',
    name: 'cilium-portmap',
    cniVersion: '',
  });
  expect(pluginInput(list, list.plugins[1]!, args, { ips: [] })).toMatchObject({
    runtimeConfig: { portMappings: [{ hostPort: 80 }] },
    prevResult: { ips: [] },
  });
});

describe('flags', () => {
  test.each([
    [true, true],
    ['true', true],
    ['TRUE', true],
    [false, false],
    ['False', false],
  ])('disableCheck %p is %p', (value, meaning) => {
    const text = JSON.stringify({ ...JSON.parse(HOWTO), disableCheck: value });
    expect(parseNetworkConfig(text, 'a.conflist').disableCheck).toBe(meaning);
  });
});

describe('the version is the highest that we know of those that the file offers', () => {
  test.each<[string | undefined, string[], string]>([
    ['0.4.0', [], '0.4.0'],
    [undefined, [], ''],
    ['0.4.0', ['0.3.1', '1.0.0'], '1.0.0'],
    ['1.1.0', ['0.4.0'], '1.1.0'],
    [undefined, ['0.4.0', '1.1.0', '1.0.0'], '1.1.0'],
    ['0.4.0', ['1.0.0', '1.2.0', '10.0.0'], '1.0.0'],
    ['2.0.0', ['3.0.0'], '2.0.0'],
  ])('%p and %p: %p', (cniVersion, cniVersions, chosen) => {
    const text = JSON.stringify({ ...JSON.parse(HOWTO), cniVersion, cniVersions });
    expect(parseNetworkConfig(text, 'a.conflist')).toMatchObject({ cniVersion: chosen, cniVersions });
  });
});

describe('the drop-in directory', () => {
  const dropIns = (name: string) => [
    { name: `${name}/10-a.conf`, text: '{"type":"a"}' },
    { name: `${name}/20-b.conf`, text: '{"type":"b","capabilities":{"mac":true}}' },
  ];
  const types = (document: object) =>
    parseNetworkConfig(JSON.stringify(document), 'n.conflist', dropIns).plugins.map(({ type }) => type);

  test('adds to the list, or is all of it, or is ignored', () => {
    expect(types({ name: 'n', plugins: [{ type: 'x' }] })).toEqual(['x', 'a', 'b']);
    expect(types({ name: 'n' })).toEqual(['a', 'b']);
    expect(types({ name: 'n', loadOnlyInlinedPlugins: true, plugins: [{ type: 'x' }] })).toEqual(['x']);
  });

  test('is in the text that a cache keeps, so that it alone gives the same chain', () => {
    const list = parseNetworkConfig('{"name":"n","plugins":[{"type":"x"}]}', 'n.conflist', dropIns);
    const again = parseNetworkConfig(list.text, 'cached.conflist', dropIns);
    expect(again).toEqual({ ...list, text: list.text });
  });

  test('names the file that is broken', () => {
    expect(() =>
      parseNetworkConfig('{"name":"n"}', 'n.conflist', () => [{ name: 'n/10-a.conf', text: '{}' }]),
    ).toThrow('n/10-a.conf: missing type of the plugin');
  });

  test('has its files in order, and only those called .conf', () => {
    expect(dropInOrder(['b.conf', 'a.conflist', 'a.json', 'a.conf'])).toEqual(['a.conf', 'b.conf']);
  });
});

test('the text of a single configuration is a list of one', () => {
  const list = parseNetworkConfig('{"name":"n","cniVersion":"0.4.0","type":"x","k":1}', 'n.conf');
  expect(parseNetworkConfig(list.text, 'cached.conflist')).toEqual(list);
});

test('a GC gets the attachments to keep under both names, and no result', () => {
  const list = parseNetworkConfig(HOWTO, 'a.conflist');
  const valid = [{ containerID: 'c', ifname: 'eth0' }];
  expect(gcInput(list, list.plugins[0]!, valid)).toEqual({
    type: 'cilium-cni',
    name: 'cilium-portmap',
    cniVersion: '',
    'cni.dev/valid-attachments': valid,
    'cni.dev/attachments': valid,
  });
});

describe('a broken file is an error that names it', () => {
  test.each<[string, string, string, number]>([
    ['a.conflist', '{', 'a.conflist: not JSON', 6],
    ['a.conflist', '[]', 'a.conflist must be an object, is []', 7],
    ['a.conflist', '{"name":"x"}', 'no plugin configs found', 7],
    ['a.conflist', '{"name":"x","plugins":{}}', 'plugins must be a list', 7],
    ['a.conflist', '{"name":"x","plugins":null}', 'plugins must be a list', 7],
    [
      'a.conflist',
      '{"name":"x","loadOnlyInlinedPlugins":true}',
      'loadOnlyInlinedPlugins is true, and there are no plugins',
      7,
    ],
    [
      'a.conflist',
      '{"name":"x","cniVersions":"1.0.0","plugins":[{"type":"x"}]}',
      'cniVersions must be a list',
      7,
    ],
    [
      'a.conflist',
      '{"name":"x","cniVersions":[1],"plugins":[{"type":"x"}]}',
      'cniVersions[0] must be a string',
      7,
    ],
    [
      'a.conflist',
      '{"name":"x","cniVersions":["new"],"plugins":[{"type":"x"}]}',
      'invalid CNI version "new"',
      7,
    ],
    ['a.conflist', '{"name":"x","disableGC":null,"plugins":[{"type":"x"}]}', 'disableGC must be', 7],
    ['a.conflist', '{"name":"x","disableGC":"1","plugins":[{"type":"x"}]}', 'disableGC must be', 7],
    ['a.conflist', '{"name":null,"plugins":[{"type":"x"}]}', 'missing network name', 7],
    ['a.conflist', '{"name":"x","plugins":[]}', 'no plugins in list', 7],
    ['a.conflist', '{"name":"x","plugins":[{}]}', 'plugins[0]: missing type', 7],
    ['a.conflist', '{"name":"x","plugins":[{"type":"../sh"}]}', 'is a path', 7],
    ['a.conflist', '{"plugins":[{"type":"x"}]}', 'missing network name', 7],
    ['a.conflist', '{"name":"a b","plugins":[{"type":"x"}]}', 'invalid characters found in network name', 7],
    ['a.conflist', '{"name":"x","cniVersion":1,"plugins":[{"type":"x"}]}', 'cniVersion must be a string', 7],
    ['a.conflist', '{"name":"x","disableGC":"maybe","plugins":[{"type":"x"}]}', 'disableGC must be', 7],
    [
      'a.conflist',
      '{"name":"x","plugins":[{"type":"x","capabilities":{"a":"yes"}}]}',
      'plugins[0].capabilities.a must be true or false',
      7,
    ],
    ['b.conf', '{"name":"x"}', 'b.conf: missing type', 7],
    ['b.conf', '{"name":"x","plugins":[{"type":"x"}]}', 'must be in a .conflist file', 7],
  ])('%s %s', (file, text, message, code) => {
    let thrown: unknown;
    try {
      parseNetworkConfig(text, file);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code });
    expect((thrown as Error).message).toContain(message);
  });
});
