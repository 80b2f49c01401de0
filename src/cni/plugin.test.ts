import { describe, expect, test } from 'bun:test';
import { CniError } from './errors.ts';
import { type Plugin, type PluginRequest, runPlugin } from './plugin.ts';
import { type CniVersion, cniVersions } from './version.ts';

const ENV = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/a:/b',
  CNI_ARGS: 'A=B',
};

async function run(
  env: Record<string, string>,
  config: unknown,
  plugin: Partial<Plugin> = {},
  versions: readonly CniVersion[] = cniVersions,
) {
  const calls: { verb: string; request: PluginRequest }[] = [];
  const record = (verb: string) => async (request: PluginRequest) => {
    calls.push({ verb, request });
  };
  let stdout = '';
  let stderr = '';
  const code = await runPlugin(
    {
      name: 'test',
      supportedVersions: versions,
      fields: {},
      add: async (request) => {
        calls.push({ verb: 'add', request });
        return { interfaces: [], ips: [{ address: '10.0.0.1/24' }], routes: [], dns: {} };
      },
      check: record('check'),
      del: record('del'),
      gc: record('gc'),
      status: record('status'),
      ...plugin,
    },
    {
      env,
      isOwnNetns: (path) => path === '/run/netns/own',
      readStdin: async () => (typeof config === 'string' ? config : JSON.stringify(config)),
      writeStdout: (text) => {
        stdout += text;
      },
      writeStderr: (text) => {
        stderr += text;
      },
    },
  );
  return { code, document: stdout === '' ? undefined : JSON.parse(stdout), stderr, calls };
}

const CONFIG = { cniVersion: '1.1.0', name: 'net', type: 'test' };

test('without a command it says what it is, on standard error', async () => {
  const { code, document, stderr } = await run({}, '');
  expect({ code, document }).toEqual({ code: 0, document: undefined });
  expect(stderr).toBe(
    'CNI plugin test\nCNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n',
  );
});

test('VERSION needs nothing', async () => {
  const { document } = await run({ CNI_COMMAND: 'VERSION' }, 'not read');
  expect(document).toEqual({ cniVersion: '1.1.0', supportedVersions: [...cniVersions] });
});

test('a request has what the runtime passed', async () => {
  const prevResult = { cniVersion: '0.4.0', ips: [{ version: '4', address: '10.0.0.9/24' }] };
  const config = { ...CONFIG, cniVersion: '0.4.0', prevResult };
  const { calls } = await run({ ...ENV, CNI_COMMAND: 'ADD' }, config);
  expect(calls).toMatchObject([
    {
      verb: 'add',
      request: {
        containerId: 'c1',
        netns: '/run/netns/x',
        ifName: 'eth0',
        args: 'A=B',
        path: ['/a', '/b'],
        cniVersion: '0.4.0',
        prevResult: { ips: [{ address: '10.0.0.9/24' }] },
      },
    },
  ]);
});

test.each(['cni.dev/valid-attachments', 'cni.dev/attachments'])('%s is read as Go reads it', async (name) => {
  const config = { ...CONFIG, [name]: [{ containerid: 'c', ifName: 'eth0' }, { CONTAINERID: 'd' }] };
  const { calls, stderr } = await run({ CNI_COMMAND: 'GC', CNI_PATH: '/a' }, config);
  expect(calls[0]!.request.config[name]).toEqual([
    { containerID: 'c', ifname: 'eth0' },
    { containerID: 'd' },
  ]);
  expect(stderr).toBe('');
});

describe('every verb is called, with its variables and not without', () => {
  const needs: Record<string, string[]> = {
    ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
    CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
    DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
    GC: ['CNI_PATH'],
    STATUS: ['CNI_PATH'],
  };
  test.each(Object.entries(needs))('%s', async (verb, names) => {
    const enough = Object.fromEntries(Object.entries(ENV).filter(([name]) => names.includes(name)));
    const { code, calls } = await run({ ...enough, CNI_COMMAND: verb }, CONFIG);
    expect({ code, verbs: calls.map((call) => call.verb) }).toEqual({ code: 0, verbs: [verb.toLowerCase()] });
    for (const name of names) {
      const less = { ...ENV, CNI_COMMAND: verb, [name]: '' };
      const { document } = await run(less, CONFIG);
      expect(document).toMatchObject({ code: 4, msg: `required env variables [${name}] missing` });
    }
  });
});

test.each(cniVersions.map((version) => [version]))('an ADD of %s is answered in %s', async (cniVersion) => {
  const { document } = await run({ ...ENV, CNI_COMMAND: 'ADD' }, { ...CONFIG, cniVersion });
  expect(document.cniVersion).toBe(cniVersion);
  expect(document.ip4?.ip ?? document.ips[0].address).toBe('10.0.0.1/24');
});

describe('errors are a document with the code of the specification', () => {
  test.each<[string, Record<string, string>, unknown, Record<string, unknown>]>([
    ['an unknown verb', { CNI_COMMAND: 'PING' }, CONFIG, { code: 4, msg: 'unknown CNI_COMMAND: PING' }],
    ['a bad container ID', { CNI_CONTAINERID: '../x' }, CONFIG, { code: 4, details: '../x' }],
    ['a bad interface name', { CNI_IFNAME: 'a/b' }, CONFIG, { code: 4 }],
    ['a long interface name', { CNI_IFNAME: 'a123456789012345' }, CONFIG, { code: 4 }],
    ['no JSON', {}, '{', { code: 6 }],
    ['no object', {}, [], { code: 6 }],
    ['no name', {}, { cniVersion: '1.0.0' }, { code: 7, msg: 'missing network name' }],
    ['a bad name', {}, { name: 'a b' }, { code: 7, details: 'a b' }],
    [
      'a version of the future',
      {},
      { ...CONFIG, cniVersion: '2.0.0' },
      {
        code: 1,
        msg: 'incompatible CNI versions',
        details:
          'config is "2.0.0", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]',
      },
    ],
    ['a name that is null', {}, { name: null }, { code: 7, msg: 'missing network name' }],
    [
      'a previous result of the future',
      {},
      { ...CONFIG, prevResult: { cniVersion: '2.0.0' } },
      { code: 1, msg: 'unsupported CNI result version "2.0.0"' },
    ],
    ['an invalid version', {}, { ...CONFIG, cniVersion: 1 }, { code: 6 }],
    ['CHECK in 0.3.1', { CNI_COMMAND: 'CHECK' }, { ...CONFIG, cniVersion: '0.3.1' }, { code: 1 }],
    ['GC in 1.0.0', { CNI_COMMAND: 'GC' }, { ...CONFIG, cniVersion: '1.0.0' }, { code: 1 }],
    ['STATUS in 1.0.0', { CNI_COMMAND: 'STATUS' }, { ...CONFIG, cniVersion: '1.0.0' }, { code: 1 }],
    ['a bad previous result', {}, { ...CONFIG, prevResult: [] }, { code: 6 }],
  ])('%s', async (_name, env, config, wanted) => {
    const { code, document, calls } = await run({ ...ENV, CNI_COMMAND: 'ADD', ...env }, config);
    expect({ code, calls }).toEqual({ code: 1, calls: [] });
    expect(document).toMatchObject(wanted);
  });

  test('also what a plugin throws', async () => {
    const refuse = async () => {
      throw new CniError(11, 'try again later', 'busy');
    };
    const refused = await run({ ...ENV, CNI_COMMAND: 'DEL' }, CONFIG, { del: refuse });
    expect(refused.document).toEqual({
      cniVersion: '1.1.0',
      code: 11,
      msg: 'try again later',
      details: 'busy',
    });
    const crash = async () => {
      throw new TypeError('oops');
    };
    const crashed = await run({ ...ENV, CNI_COMMAND: 'DEL' }, CONFIG, { del: crash });
    expect(crashed.document).toEqual({ cniVersion: '1.1.0', code: 999, msg: 'oops' });
  });
});

test("a sandbox that is the plugin's own namespace: an ADD does nothing, a DEL what it can, and both say so", async () => {
  const own = {
    code: 8,
    msg: "plugin's netns and netns from CNI_NETNS should not be the same",
    details: '/run/netns/own',
  };
  const env = { ...ENV, CNI_NETNS: '/run/netns/own' };
  const add = await run({ ...env, CNI_COMMAND: 'ADD' }, CONFIG);
  expect(add).toMatchObject({ code: 1, calls: [], document: own });
  const del = await run({ ...env, CNI_COMMAND: 'DEL' }, CONFIG);
  expect(del).toMatchObject({ code: 1, calls: [{ verb: 'del' }], document: own });
  expect((await run({ ...env, CNI_COMMAND: 'CHECK' }, CONFIG)).code).toBe(0);
  for (const value of ['1', 'true', 'TRUE']) {
    expect((await run({ ...env, CNI_COMMAND: 'ADD', CNI_NETNS_OVERRIDE: value }, CONFIG)).code).toBe(0);
    expect((await run({ ...env, CNI_COMMAND: 'DEL', CNI_NETNS_OVERRIDE: value }, CONFIG)).code).toBe(0);
  }
  expect((await run({ ...env, CNI_COMMAND: 'ADD', CNI_NETNS_OVERRIDE: '0' }, CONFIG)).code).toBe(1);
});

test.each([[''], [null]])('version %p is 0.1.0', async (cniVersion) => {
  const { calls } = await run({ ...ENV, CNI_COMMAND: 'DEL' }, { name: 'net', cniVersion });
  expect(calls[0]!.request.cniVersion).toBe('0.1.0');
});

test('without a version a configuration is of 0.1.0', async () => {
  const { calls } = await run({ ...ENV, CNI_COMMAND: 'DEL' }, { name: 'net' });
  expect(calls[0]!.request.cniVersion).toBe('0.1.0');
});
