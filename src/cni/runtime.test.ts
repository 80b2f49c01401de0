import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leapingNow } from '../sys/clock.fake.ts';
import type { Clock } from '../sys/clock.ts';
import { type Exec, ExecError, type ExecOptions, type ExecResult } from '../sys/exec.ts';
import { parseNetworkConfig } from './conflist.ts';
import { delegateTo } from './delegate.ts';
import { CniError } from './errors.ts';
import { type Plugin, type PluginRequest, runPlugin } from './plugin.ts';
import { ResultCache } from './result-cache.ts';
import { attachmentOf, CniRuntime, type RuntimeOptions } from './runtime.ts';
import type { Result } from './types.ts';
import { type CniVersion, cniVersions, isAtLeast } from './version.ts';

const ATTACHMENT = { containerId: 'c1', netns: '/run/netns/c1', ifName: 'eth0' };
const PORTS = [{ hostPort: 80, containerPort: 8080 }];
const RESULT: Result = {
  interfaces: [{ name: 'eth0', sandbox: '/run/netns/c1' }],
  ips: [{ address: '10.0.0.5/24', interface: 0 }],
  routes: [],
  dns: {},
};

/** A call that a plugin got: as the plugin saw it, and the environment and the document. */
interface Call {
  plugin: string;
  verb: string;
  request: PluginRequest;
  input: Record<string, unknown>;
  env: Record<string, string | undefined>;
}

let directory: string;
let calls: Call[];
let notices: string[];
/** What a plugin answers to a verb instead of what it would: `b ADD`. */
let refusals: Record<string, CniError>;
/** What a process does instead of being a plugin. */
let processes: Record<string, (options: ExecOptions) => Promise<ExecResult>>;
let supported: readonly CniVersion[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-runtime-'));
  for (const name of ['a', 'b', 'ipam']) writeFileSync(join(directory, name), '');
  calls = [];
  notices = [];
  refusals = {};
  processes = {};
  supported = cniVersions;
});

afterEach(() => rmSync(directory, { recursive: true }));

/** Runs our plugin skeleton in this process, by the name of the executable. */
const exec: Exec = {
  async run([file = ''], options = {}) {
    const name = file.split('/').pop()!;
    const other = processes[name];
    if (other !== undefined) return other(options);
    const env = options.env ?? {};
    const stdin = String(options.stdin);
    const answer = (verb: string) => async (request: PluginRequest) => {
      calls.push({ plugin: name, verb, request, input: JSON.parse(stdin), env });
      const refusal = refusals[`${name} ${verb}`];
      if (refusal !== undefined) throw refusal;
    };
    const plugin: Plugin = {
      name,
      supportedVersions: supported,
      fields: { color: 'scalar' },
      add: async (request) => {
        await answer('ADD')(request);
        const result = request.prevResult ?? RESULT;
        // Each leaves its mark, so that the order shows.
        return { ...result, dns: { search: [...(result.dns.search ?? []), name] } };
      },
      check: answer('CHECK'),
      del: answer('DEL'),
      gc: answer('GC'),
      status: answer('STATUS'),
    };
    const result = { code: 0, stdout: '', stderr: '' };
    result.code = await runPlugin(plugin, {
      env,
      isOwnNetns: () => false,
      readStdin: async () => stdin,
      writeStdout: (text) => {
        result.stdout += text;
      },
      writeStderr: (text) => {
        result.stderr += text;
      },
    });
    return result;
  },
};

const noWait: Clock = { now: leapingNow(), monotonic: () => 0, sleep: async () => {} };

function runtime(options: Partial<RuntimeOptions> = {}) {
  const cache = new ResultCache(directory);
  const made = new CniRuntime({
    exec,
    clock: noWait,
    env: { PATH: '/bin', CNI_ARGS: 'NOT=OURS' },
    timeoutMs: 1000,
    path: ['/nowhere', directory],
    cache,
    onStderr: (plugin, text) => notices.push(`${plugin}: ${text}`),
    onNotice: (text) => notices.push(text),
    ...options,
  });
  return { runtime: made, cache };
}

function network(fields: Record<string, unknown> = {}) {
  const document = {
    cniVersion: '1.1.0',
    name: 'net',
    plugins: [
      { type: 'a', color: 'red' },
      { type: 'b', capabilities: { portMappings: true, mac: false } },
    ],
    ...fields,
  };
  return parseNetworkConfig(JSON.stringify(document), 'net.conflist');
}

const seen = () => calls.map(({ plugin, verb }) => `${plugin} ${verb}`);
const key = { networkName: 'net', containerId: 'c1', ifName: 'eth0' };

async function failure(work: Promise<unknown>): Promise<CniError> {
  try {
    await work;
  } catch (error) {
    return error as CniError;
  }
  throw new Error('it did not fail');
}

describe.each(cniVersions.map((version) => [version]))('%s', (cniVersion) => {
  test('ADD threads results, gives capabilities to those that declare them, and remembers', async () => {
    const { runtime: cni, cache } = runtime();
    const list = network({ cniVersion });
    const capabilityArgs = { portMappings: PORTS, mac: '02:00:00:00:00:01' };
    const result = await cni.add(list, {
      ...ATTACHMENT,
      args: [
        ['K', 'V'],
        ['L', 'W'],
      ],
      capabilityArgs,
    });
    expect(seen()).toEqual(['a ADD', 'b ADD']);
    expect(result).toMatchObject({ cniVersion, dns: { search: ['a', 'b'] } });
    const [first, second] = calls;
    expect(first!.input).toEqual({ cniVersion, name: 'net', type: 'a', color: 'red' });
    expect(second!.input).toMatchObject({
      cniVersion,
      name: 'net',
      runtimeConfig: { portMappings: PORTS },
      prevResult: { cniVersion, dns: { search: ['a'] } },
    });
    expect(first!.env).toEqual({
      PATH: '/bin',
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: '/run/netns/c1',
      CNI_IFNAME: 'eth0',
      CNI_ARGS: 'K=V;L=W',
      CNI_PATH: `/nowhere:${directory}`,
    });
    expect(cache.read(key)).toEqual({
      ...key,
      netns: '/run/netns/c1',
      config: list.text,
      cniArgs: [
        ['K', 'V'],
        ['L', 'W'],
      ],
      capabilityArgs,
      result,
    });
  });

  test('DEL goes backwards, with the arguments of the ADD and from 0.4.0 its result, and forgets', async () => {
    const { runtime: cni, cache } = runtime();
    const list = network({ cniVersion });
    await cni.add(list, { ...ATTACHMENT, args: [['K', 'V']], capabilityArgs: { portMappings: PORTS } });
    calls = [];
    await cni.del(list, { ...ATTACHMENT, netns: '' });
    expect(seen()).toEqual(['b DEL', 'a DEL']);
    expect(calls[0]!.env).toMatchObject({ CNI_NETNS: '', CNI_ARGS: 'K=V' });
    expect(calls[0]!.input.runtimeConfig).toEqual({ portMappings: PORTS });
    const final = isAtLeast(cniVersion, '0.4.0') ? ['a', 'b'] : undefined;
    for (const { request } of calls) expect(request.prevResult?.dns.search).toEqual(final);
    expect(cache.list()).toEqual([]);
    // Again, without anything remembered.
    await cni.del(list, ATTACHMENT);
    expect(calls).toHaveLength(4);
    expect(calls[3]!.request.prevResult).toBeUndefined();
  });

  test('CHECK gives everybody the final result, from 0.4.0 on', async () => {
    const { runtime: cni } = runtime();
    const list = network({ cniVersion });
    await cni.add(list, ATTACHMENT);
    calls = [];
    if (!isAtLeast(cniVersion, '0.4.0')) {
      const message = `configuration version "${cniVersion}" does not support the CHECK command`;
      expect(await failure(cni.check(list, ATTACHMENT))).toMatchObject({ code: 1, message });
      await runtime({ tooOld: 'skip' }).runtime.check(list, ATTACHMENT);
      expect(notices).toEqual([`CHECK of the plugins skipped: ${message}`]);
      expect(calls).toEqual([]);
      return;
    }
    await cni.check(list, ATTACHMENT);
    expect(seen()).toEqual(['a CHECK', 'b CHECK']);
    for (const { request } of calls) expect(request.prevResult?.dns.search).toEqual(['a', 'b']);
  });

  test('GC deletes what is remembered and not valid, and asks plugins from 1.1.0 on', async () => {
    const { runtime: cni, cache } = runtime();
    const list = network({ cniVersion });
    for (const containerId of ['c1', 'c2']) await cni.add(list, { ...ATTACHMENT, containerId });
    await cni.add(network({ cniVersion, name: 'other' }), ATTACHMENT);
    calls = [];
    await cni.gc(list, [{ containerID: 'c2', ifname: 'eth0' }]);
    const asked = isAtLeast(cniVersion, '1.1.0');
    expect(seen()).toEqual(['b DEL', 'a DEL', ...(asked ? ['a GC', 'b GC'] : [])]);
    expect(calls[0]!.env).toMatchObject({ CNI_CONTAINERID: 'c1', CNI_NETNS: '/run/netns/c1' });
    expect(cache.list().map((entry) => `${entry.networkName} ${entry.containerId}`)).toEqual([
      'net c2',
      'other c1',
    ]);
    if (asked) {
      expect(calls[2]!.input).toMatchObject({
        'cni.dev/valid-attachments': [{ containerID: 'c2', ifname: 'eth0' }],
        'cni.dev/attachments': [{ containerID: 'c2', ifname: 'eth0' }],
      });
      expect(calls[2]!.env).toMatchObject({ CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '' });
    } else {
      const refusing = runtime({ tooOld: 'refuse' }).runtime;
      expect(await failure(refusing.gc(list, []))).toMatchObject({ code: 1 });
    }
  });

  test('STATUS asks every plugin from 1.1.0 on', async () => {
    await runtime().runtime.status(network({ cniVersion }));
    const asked = isAtLeast(cniVersion, '1.1.0');
    expect(seen()).toEqual(asked ? ['a STATUS', 'b STATUS'] : []);
    expect(notices).toHaveLength(asked ? 0 : 1);
    if (!asked) {
      const refusing = runtime({ tooOld: 'refuse' }).runtime;
      expect((await failure(refusing.status(network({ cniVersion })))).message).toBe(
        `configuration version "${cniVersion}" does not support the STATUS command`,
      );
    }
  });
});

test('disableCheck and disableGC leave everything alone', async () => {
  const { runtime: cni, cache } = runtime();
  const list = network({ disableCheck: true, disableGC: true });
  await cni.add(list, ATTACHMENT);
  calls = [];
  await cni.check(list, ATTACHMENT);
  await cni.gc(list, []);
  expect(calls).toEqual([]);
  expect(notices).toEqual(['CHECK skipped: net has disableCheck', 'GC skipped: net has disableGC']);
  expect(cache.list()).toHaveLength(1);
});

describe('a plugin that fails ends it, with its own code, and says which it was', () => {
  const busy = new CniError(11, 'busy', 'come back');
  test.each([
    ['ADD', 'a', 'plugin type="a" failed (add): busy; come back', ['a ADD']],
    ['ADD', 'b', 'plugin type="b" failed (add): busy; come back', ['a ADD', 'b ADD']],
    ['CHECK', 'a', 'plugin type="a" failed (check): busy; come back', ['a CHECK']],
    ['DEL', 'b', 'plugin type="b" failed (delete): busy; come back', ['b DEL']],
    ['STATUS', 'a', 'plugin type="a" failed (status): busy; come back', ['a STATUS']],
    ['GC', 'a', 'plugin type="a" failed (gc): busy; come back', ['a GC', 'b GC']],
  ])('%s of %s', async (verb, plugin, message, ran) => {
    const { runtime: cni, cache } = runtime();
    const list = network();
    if (verb !== 'ADD' && verb !== 'GC') await cni.add(list, ATTACHMENT);
    calls = [];
    refusals[`${plugin} ${verb}`] = busy;
    const work: Record<string, () => Promise<unknown>> = {
      ADD: () => cni.add(list, ATTACHMENT),
      CHECK: () => cni.check(list, ATTACHMENT),
      DEL: () => cni.del(list, ATTACHMENT),
      STATUS: () => cni.status(list),
      GC: () => cni.gc(list, []),
    };
    expect(await failure(work[verb]!())).toMatchObject({ code: 11, message });
    expect(seen()).toEqual(ran);
    // What was not added is not remembered, and what was not deleted still is.
    expect(cache.list()).toHaveLength(verb === 'ADD' || verb === 'GC' ? 0 : 1);
  });
});

test('a GC continues after failures and reports all of them', async () => {
  const { runtime: cni, cache } = runtime();
  const list = network();
  for (const containerId of ['c1', 'c2']) await cni.add(list, { ...ATTACHMENT, containerId });
  refusals['a DEL'] = new CniError(11, 'busy');
  refusals['b GC'] = new CniError(5, 'no');
  const error = await failure(cni.gc(list, []));
  expect(error).toMatchObject({ code: 11 });
  expect(error.message.split('; ')).toEqual([
    'failed to delete stale attachment c1 eth0: plugin type="a" failed (delete): busy',
    'failed to delete stale attachment c2 eth0: plugin type="a" failed (delete): busy',
    'plugin type="b" failed (gc): no',
  ]);
  expect(cache.list()).toHaveLength(2);
});

describe('a file that is not a plugin', () => {
  const answers = (result: Partial<ExecResult>) => async () => ({
    code: 0,
    stdout: '',
    stderr: '',
    ...result,
  });
  const cannotStart = (code: string) => async (): Promise<ExecResult> => {
    throw new ExecError(['a'], { code: 127, stdout: '', stderr: '' }, 'could not start', {
      cause: Object.assign(new Error(code), { code }),
    });
  };
  test.each<[string, (options: ExecOptions) => Promise<ExecResult>, string | RegExp, number]>([
    ['prints nothing', answers({}), /failed to unmarshal raw result: /, 6],
    ['prints no JSON', answers({ stdout: 'hello' }), /failed to unmarshal raw result: /, 6],
    ['prints a list', answers({ stdout: '[]' }), 'malformed result: result must be an object, is []', 6],
    [
      'prints a wrong shape',
      answers({ stdout: '{"ips":1}' }),
      'malformed result: ips must be a list, is 1',
      6,
    ],
    [
      'answers in a version of the future',
      answers({ stdout: '{"cniVersion":"3.0.0"}' }),
      'unsupported CNI result version "3.0.0"',
      1,
    ],
    ['fails in silence', answers({ code: 3 }), 'netplugin failed with no error message: exit status 3', 999],
    [
      'fails on stderr',
      answers({ code: 1, stderr: 'oh\n' }),
      'netplugin failed: "oh\\n": exit status 1',
      999,
    ],
    [
      'fails without JSON',
      answers({ code: 1, stdout: 'oh' }),
      /netplugin failed but error parsing its diagnostic message "oh": /,
      999,
    ],
    [
      'fails without a message',
      answers({ code: 1, stdout: '{"code":7}' }),
      'netplugin failed but its diagnostic message has no msg: "{\\"code\\":7}": exit status 1',
      999,
    ],
    ['fails without a code', answers({ code: 1, stdout: '{"msg":"oh"}' }), 'oh', 999],
    [
      'is of another machine',
      cannotStart('ENOEXEC'),
      /with no error message: fork\/exec .*\/a: exec format error$/,
      999,
    ],
    ['must not run', cannotStart('EACCES'), /fork\/exec .*\/a: permission denied$/, 999],
    ['is written for ever', cannotStart('ETXTBSY'), /fork\/exec .*\/a: text file busy$/, 999],
  ])('%s', async (_what, process, message, code) => {
    processes.a = process;
    const { runtime: cni, cache } = runtime();
    const error = await failure(cni.add(network(), ATTACHMENT));
    const prefix = 'plugin type="a" failed (add): ';
    expect(error.message).toStartWith(prefix);
    const said = error.message.slice(prefix.length);
    if (typeof message === 'string') expect(said).toBe(message);
    else expect(said).toMatch(message);
    expect(error.code).toBe(code);
    expect(seen()).toEqual([]);
    expect(cache.list()).toEqual([]);
  });

  test('null is an empty result', async () => {
    processes.a = answers({ stdout: 'null' });
    const list = network({ plugins: [{ type: 'a' }] });
    expect(await runtime().runtime.add(list, ATTACHMENT)).toEqual({ cniVersion: '1.1.0' });
  });

  test('an executable that is being written is tried again', async () => {
    let tries = 0;
    processes.a = async () => {
      if (++tries < 3) return cannotStart('ETXTBSY')();
      return { code: 0, stdout: '{}', stderr: '' };
    };
    await runtime().runtime.add(network(), ATTACHMENT);
    expect(tries).toBe(3);
  });

  test('what it writes to standard error is passed on, whatever comes of it', async () => {
    processes.a = answers({ stdout: '{}', stderr: 'mind\n' });
    await runtime().runtime.add(network(), ATTACHMENT);
    expect(notices).toEqual(['a: mind\n']);
  });
});

describe('wrong input is refused before any plugin runs', () => {
  test.each<[string, Record<string, unknown>, Record<string, string>, number, string]>([
    ['no container', {}, { containerId: '' }, 3, 'missing containerID'],
    ['a path for a container', {}, { containerId: '../x' }, 4, 'invalid characters in containerID'],
    ['no interface', {}, { ifName: '' }, 4, 'interface name is empty'],
    ['a path for an interface', {}, { ifName: '../x' }, 4, 'interface name contains'],
    ['an interface that is too long', {}, { ifName: 'i'.repeat(16) }, 4, 'interface name is too long'],
    [
      'a version of the future',
      { cniVersion: '2.0.0' },
      {},
      1,
      'network net: unsupported CNI version "2.0.0", the newest supported is 1.1.0',
    ],
    [
      'a plugin that is missing',
      { plugins: [{ type: 'a' }, { type: 'gone' }] },
      {},
      50,
      'plugin type="gone" failed (add): failed to find plugin "gone" in path [/nowhere ',
    ],
  ])('%s', async (_what, fields, attachment, code, message) => {
    const { runtime: cni } = runtime();
    const error = await failure(cni.add(network(fields), { ...ATTACHMENT, ...attachment }));
    expect(error.code).toBe(code);
    expect(error.message).toStartWith(message);
    expect(calls).toEqual([]);
  });

  test('no path', async () => {
    const error = await failure(runtime({ path: [] }).runtime.add(network(), ATTACHMENT));
    expect(error.message).toBe('plugin type="a" failed (add): no paths provided');
  });
});

test('a caller that gives up is not put down to a plugin', async () => {
  const controller = new AbortController();
  const reason = new Error('interrupted');
  processes.a = async () => {
    controller.abort(reason);
    throw new ExecError(['a'], { code: 137, stdout: '', stderr: '' }, 'cancelled, killed');
  };
  const { runtime: cni } = runtime({ signal: controller.signal });
  expect((await failure(cni.add(network(), ATTACHMENT))) as Error).toBe(reason);
});

test('a DEL is not stopped by a cache that is broken', async () => {
  const { runtime: cni, cache } = runtime();
  await cni.add(network(), ATTACHMENT);
  writeFileSync(cache.path(key), '{"kind":"cniCacheV1","res');
  calls = [];
  await cni.del(network(), ATTACHMENT);
  expect(seen()).toEqual(['b DEL', 'a DEL']);
  expect(notices).toEqual([`DEL without a previous result: ${cache.path(key)}: no cached result`]);
  expect(cache.read(key)).toBeUndefined();
});

describe('VERSION', () => {
  test.each<[string, Partial<ExecResult>, string[] | RegExp]>([
    [
      'a list',
      { stdout: '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}' },
      ['0.4.0', '1.0.0'],
    ],
    ['the first of them', { stdout: '{"cniVersion":"0.2.0"}' }, ['0.1.0', '0.2.0']],
    ['one before', { code: 1, stdout: '{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}' }, ['0.1.0']],
    ['no version', { stdout: '{}' }, /missing field cniVersion/],
    ['no list', { stdout: '{"cniVersion":"1.0.0"}' }, /missing field supportedVersions/],
    ['null', { stdout: 'null' }, /missing field cniVersion/],
    ['no JSON', { stdout: 'x' }, /plugin a: decoding version info/],
    ['a failure', { code: 1, stdout: '{"code":5,"msg":"no"}' }, /^no$/],
  ])('%s', async (_what, result, wanted) => {
    processes.a = async () => ({ code: 0, stdout: '', stderr: '', ...result });
    const { runtime: cni } = runtime();
    if (Array.isArray(wanted)) expect(await cni.versions('a')).toEqual(wanted);
    else expect((await failure(cni.versions('a'))).message).toMatch(wanted);
  });

  test('validate returns the capabilities, or names every plugin that has a problem', async () => {
    const { runtime: cni } = runtime();
    expect(await cni.validate(network())).toEqual(['portMappings']);
    supported = ['0.4.0'];
    const plugins = [{ type: 'a' }, { type: 'gone' }];
    const error = await failure(cni.validate(network({ plugins })));
    expect(error.message).toBe(
      `plugin a does not support config version "1.1.0"; failed to find plugin "gone" in path [/nowhere ${directory}]`,
    );
  });
});

describe('extend adds one plugin to an attachment that exists', () => {
  const old = () => network({ name: 'old', cniVersion: '0.3.1', plugins: [{ type: 'a' }] });
  const added = network().plugins[1]!;

  async function existing() {
    const made = runtime();
    await made.runtime.add(old(), { ...ATTACHMENT, capabilityArgs: { portMappings: PORTS } });
    calls = [];
    return { ...made, entry: made.cache.list('c1')[0]! };
  }

  test('with the result that there is; a DEL of the network then calls it, too', async () => {
    const { runtime: cni, cache, entry } = await existing();
    const extended = await cni.extend(entry, network(), added);
    expect(seen()).toEqual(['b ADD']);
    expect(calls[0]!.input).toMatchObject({
      name: 'net',
      cniVersion: '1.1.0',
      runtimeConfig: { portMappings: PORTS },
      prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.0.0.5/24', interface: 0 }] },
    });
    expect(extended).toEqual(cache.read(key)!);
    expect(extended.result?.dns).toEqual({ search: ['a', 'b'] });
    expect(extended.config).toBe(network().text);
    // The entry under the old name is the old network's.
    expect(cache.read({ ...key, networkName: 'old' })).toEqual(entry);
    calls = [];
    await cni.del(network(), attachmentOf(extended));
    expect(seen()).toEqual(['b DEL', 'a DEL']);
    expect(calls[0]!.input.runtimeConfig).toEqual({ portMappings: PORTS });
  });

  test('the namespace is that of the result when the entry has none, and the caller may say otherwise', async () => {
    const { runtime: cni, entry } = await existing();
    const { netns: _, ...without } = entry;
    await cni.extend(without, network(), added);
    expect(calls[0]!.env.CNI_NETNS).toBe('/run/netns/c1');
    await cni.extend(without, network(), added, { netns: '/proc/7/ns/net', capabilityArgs: {} });
    expect(calls[1]!.env.CNI_NETNS).toBe('/proc/7/ns/net');
    expect(calls[1]!.input.runtimeConfig).toBeUndefined();
  });

  test.each([['old'], ['net']])('a failure leaves the cache of %s as it was and clears up', async (name) => {
    const { runtime: cni, cache, entry } = await existing();
    const before = cache.list();
    refusals['b ADD'] = new CniError(11, 'busy');
    const error = await failure(cni.extend(entry, network({ name }), added));
    expect(error.message).toBe('plugin type="b" failed (add): busy');
    expect(seen()).toEqual(['b ADD', 'b DEL']);
    expect(cache.list()).toEqual(before);
  });

  test('killed in the middle, the cache already has what a DEL needs', async () => {
    const { runtime: cni, cache, entry } = await existing();
    let inBetween: unknown;
    processes.b = async () => {
      inBetween = cache.read(key);
      return { code: 0, stdout: '{}', stderr: '' };
    };
    await cni.extend(entry, network(), added);
    expect(inBetween).toMatchObject({ config: network().text, result: { dns: { search: ['a'] } } });
  });
});

describe('a delegate', () => {
  const request = (fields: Partial<PluginRequest> = {}): PluginRequest => ({
    ...ATTACHMENT,
    args: '',
    path: [directory],
    config: { cniVersion: '1.0.0', name: 'net', type: 'a', ipam: { type: 'ipam' } },
    cniVersion: '1.0.0',
    prevResult: undefined,
    warn: (message) => notices.push(message),
    ...fields,
  });
  const host = () => ({
    exec,
    clock: noWait,
    env: {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: '/run/netns/c1',
      CNI_IFNAME: 'eth0',
      CNI_PATH: directory,
    },
    timeoutMs: 1000,
    onStderr: (plugin: string, text: string) => notices.push(`${plugin}: ${text}`),
  });

  test.each(['add', 'check', 'del'] as const)(
    '%s gets the whole configuration and environment',
    async (verb) => {
      const result = await delegateTo('ipam', host())[verb](request());
      expect(seen()).toEqual([`ipam ${verb.toUpperCase()}`]);
      expect(calls[0]!.input).toEqual(request().config);
      expect(calls[0]!.env).toMatchObject({ CNI_CONTAINERID: 'c1', CNI_COMMAND: verb.toUpperCase() });
      if (verb === 'add') expect(result).toMatchObject({ ips: RESULT.ips });
    },
  );

  test.each(['gc', 'status'] as const)('%s of 1.1.0, too', async (verb) => {
    const config = { ...request().config, cniVersion: '1.1.0' };
    await delegateTo('ipam', host())[verb](request({ config, cniVersion: '1.1.0' }));
    expect(seen()).toEqual([`ipam ${verb.toUpperCase()}`]);
  });

  test('whose ADD fails is deleted, and its error is the one that counts', async () => {
    refusals['ipam ADD'] = new CniError(11, 'no address left');
    refusals['ipam DEL'] = new CniError(5, 'disk full');
    const error = await failure(delegateTo('ipam', host()).add(request()));
    expect(error).toMatchObject({ code: 11, message: 'no address left' });
    expect(seen()).toEqual(['ipam ADD', 'ipam DEL']);
    expect(notices).toEqual(['cannot clean up ipam: disk full']);
  });

  test('that is missing is said to be', async () => {
    const error = await failure(delegateTo('gone', host()).del(request()));
    expect(error.message).toBe(`failed to find plugin "gone" in path [${directory}]`);
  });
});
