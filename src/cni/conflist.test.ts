import { describe, expect, test } from 'bun:test';
import { configFileOrder, dropInOrder, gcInput, parseNetworkConfig, pluginInput } from './conflist.ts';
import { TooLargeError } from './json.ts';

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

describe('keys are read as libcni reads them', () => {
  const plugins = (...entries: object[]) => JSON.stringify({ name: 'n', plugins: entries });

  test('those of a list as they are written', () => {
    expect(() => parseNetworkConfig('{"name":"n","Plugins":[{"type":"x"}]}', 'a.conflist')).toThrow(
      'no plugin configs found',
    );
    expect(parseNetworkConfig('{"name":"n","NAME":"m","plugins":[{"type":"x"}]}', 'a.conflist').name).toBe(
      'n',
    );
  });

  test.each<[object, object]>([
    [{ Type: 'x' }, { type: 'x', capabilities: {} }],
    [
      { type: 'x', Capabilities: { portMappings: true } },
      { type: 'x', capabilities: { portMappings: true } },
    ],
    [
      { type: 'x', capabilities: { portmappings: true } },
      { type: 'x', capabilities: { portmappings: true } },
    ],
    [
      { type: 'x', capabilities: { mac: null } },
      { type: 'x', capabilities: { mac: false } },
    ],
    // libcni sorts the keys before it reads them.
    [{ type: 'x', TYPE: 'y' }, { type: 'x' }],
    [{ TYPE: 'y', type: 'x' }, { type: 'x' }],
  ])('those of a plugin whatever their case: %j', (entry, read) => {
    expect(parseNetworkConfig(plugins(entry), 'a.conflist').plugins[0]).toMatchObject(read);
  });

  test('those of a single configuration whatever their case', () => {
    expect(parseNetworkConfig('{"Name":"n","CNIVERSION":"0.4.0","Type":"x"}', 'n.conf')).toMatchObject({
      name: 'n',
      cniVersion: '0.4.0',
      plugins: [{ type: 'x' }],
    });
  });

  test('a plugin gets its keys sorted, so that what it sees last does not depend on the file', () => {
    const list = parseNetworkConfig(
      plugins({ snat: true, SNAT: false, type: 'x', Name: 'other' }),
      'a.conflist',
    );
    expect(JSON.stringify(pluginInput(list, list.plugins[0]!))).toBe(
      '{"Name":"other","SNAT":false,"cniVersion":"","name":"n","snat":true,"type":"x"}',
    );
  });
});

describe('a list that is larger than any real one is distinguished from a broken one', () => {
  test.each([
    [
      '101 plugins',
      JSON.stringify({ name: 'n', plugins: Array(101).fill({ type: 'x' }) }),
      '101 plugins, more than 100',
    ],
    [
      '40,000 levels',
      `{"name":"n","plugins":${'['.repeat(40_000)}${']'.repeat(40_000)}}`,
      'nested deeper than 100 levels',
    ],
  ])('%s', (_, text, message) => {
    expect(() => parseNetworkConfig(text, 'a.conflist')).toThrow(new TooLargeError(`a.conflist: ${message}`));
  });

  test('100 plugins are read', () => {
    const text = JSON.stringify({ name: 'n', plugins: Array(100).fill({ type: 'x' }) });
    expect(parseNetworkConfig(text, 'a.conflist').plugins).toHaveLength(100);
  });

  test('plugins of drop-in files count', () => {
    const files = Array.from({ length: 101 }, (_, i) => ({ name: `n/${i}.conf`, text: '{"type":"x"}' }));
    expect(() => parseNetworkConfig('{"name":"n"}', 'a.conflist', () => files)).toThrow(TooLargeError);
  });
});
