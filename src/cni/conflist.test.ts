import { describe, expect, test } from 'bun:test';
import { configFileOrder, parseNetworkConfig, pluginInput } from './conflist.ts';

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
    ['1', true],
    [false, false],
    ['False', false],
    [null, false],
  ])('disableCheck %p is %p', (value, meaning) => {
    const text = JSON.stringify({ ...JSON.parse(HOWTO), disableCheck: value });
    expect(parseNetworkConfig(text, 'a.conflist').disableCheck).toBe(meaning);
  });
});

describe('a broken file is an error that names it', () => {
  test.each<[string, string, string, number]>([
    ['a.conflist', '{', 'a.conflist: not JSON', 6],
    ['a.conflist', '[]', 'a.conflist must be an object, is []', 7],
    ['a.conflist', '{"name":"x"}', 'plugins must be a list', 7],
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
