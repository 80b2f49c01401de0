import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from '../sys/exec.ts';
import { type CacheEntry, netnsOf, networkOf, ResultCache } from './result-cache.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-cache-'));
});
afterEach(() => rmSync(join(directory, 'results'), { recursive: true, force: true }));
afterAll(() => rmSync(directory, { recursive: true }));

const cache = () => new ResultCache(directory);
const KEY = { networkName: 'net', containerId: 'c1', ifName: 'eth0' };
const CONFIG = '{"name":"net","cniVersion":"1.0.0","plugins":[{"type":"x"}]}';
const FULL: CacheEntry = {
  ...KEY,
  config: CONFIG,
  netns: '/run/netns/c1',
  cniArgs: [['K8S_POD_NAME', 'web']],
  capabilityArgs: { portMappings: [{ hostPort: 80 }] },
  result: { cniVersion: '1.0.0', ips: [{ address: '10.0.0.5/24' }] },
};

function put(name: string, content: unknown): void {
  mkdirSync(join(directory, 'results'), { recursive: true });
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  writeFileSync(join(directory, 'results', name), text);
}

test('an entry is written as libcni writes it, for root only', async () => {
  await cache().write(FULL);
  const path = join(directory, 'results', 'net-c1-eth0');
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
    kind: 'cniCacheV1',
    containerId: 'c1',
    config: Buffer.from(CONFIG).toString('base64'),
    ifName: 'eth0',
    networkName: 'net',
    netns: '/run/netns/c1',
    cniArgs: [['K8S_POD_NAME', 'web']],
    capabilityArgs: { portMappings: [{ hostPort: 80 }] },
    result: { cniVersion: '1.0.0', ips: [{ address: '10.0.0.5/24' }] },
  });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, 'results')).mode & 0o777).toBe(0o700);
  expect(readdirSync(join(directory, 'results'))).toEqual(['net-c1-eth0']);
});

test('what is empty is left out, as Go leaves it out', async () => {
  await cache().write({ ...KEY, config: CONFIG, netns: '', cniArgs: [], capabilityArgs: {} });
  const written = JSON.parse(readFileSync(cache().path(KEY), 'utf8'));
  expect(Object.keys(written)).toEqual(['kind', 'containerId', 'config', 'ifName', 'networkName']);
  expect(cache().read(KEY)).toEqual({ ...KEY, config: CONFIG });
});

test('an entry is read as it was written, replaced and forgotten', async () => {
  expect(cache().read(KEY)).toBeUndefined();
  await cache().write(FULL);
  expect(cache().read(KEY)).toEqual(FULL);
  await cache().write({ ...FULL, config: '{}' });
  expect(cache().read(KEY)).toEqual({ ...FULL, config: '{}' });
  cache().remove(KEY);
  cache().remove(KEY);
  expect(cache().read(KEY)).toBeUndefined();
});

test('the list has every attachment, or those of a container, and skips other files', async () => {
  expect(cache().list()).toEqual([]);
  await cache().write({ ...FULL, containerId: 'c2' });
  await cache().write(FULL);
  await cache().write({ ...FULL, networkName: 'a-c1-b', containerId: 'c3' });
  put('.tmp', '{"kind":"cniCacheV1","cont');
  put('old-c1-eth0', { ips: [] });
  put('other-c1-eth0', { kind: 'cniCacheV2', networkName: 'n', containerId: 'c1', ifName: 'i' });
  put('nameless-c1-eth0', { kind: 'cniCacheV1', containerId: 'c1' });
  mkdirSync(join(directory, 'results', 'directory'));
  const names = (entries: CacheEntry[]) =>
    entries.map(({ networkName, containerId }) => `${networkName} ${containerId}`);
  expect(names(cache().list())).toEqual(['a-c1-b c3', 'net c1', 'net c2']);
  expect(names(cache().list('c1'))).toEqual(['net c1']);
});

describe('files of others', () => {
  test.each<[string, unknown, CacheEntry | string | undefined]>([
    ['the bare result of an old runtime', { ip4: {} }, { ...KEY, config: '', result: { ip4: {} } }],
    [
      'fields that a newer runtime adds',
      { kind: 'cniCacheV1', ...KEY, config: '', later: 1 },
      { ...KEY, config: '' },
    ],
    [
      'fields of the wrong kind',
      { kind: 'cniCacheV1', ...KEY, config: 1, netns: {}, cniArgs: [['K']], capabilityArgs: [], result: 'x' },
      { ...KEY, config: '' },
    ],
    [
      'an attachment whose names run together the same way',
      { kind: 'cniCacheV1', networkName: 'net-c1', containerId: 'eth0', ifName: 'x' },
      undefined,
    ],
    ['a file cut short', '{"kind":', 'net-c1-eth0: no cached result'],
    ['an empty file', '', 'net-c1-eth0: no cached result'],
  ])('%s', (_what, content, wanted) => {
    put('net-c1-eth0', content);
    if (typeof wanted === 'string') expect(() => cache().read(KEY)).toThrow(wanted);
    else expect(cache().read(KEY)).toEqual(wanted!);
  });
});

test('a FIFO among the entries is skipped without waiting for a writer', async () => {
  put('net-c1-eth0', { kind: 'cniCacheV1', ...KEY, config: '' });
  await output(realExec, ['mkfifo', join(directory, 'results', 'net-c2-eth0')]);
  const source = `
    import { ResultCache } from ${JSON.stringify(join(import.meta.dir, 'result-cache.ts'))};
    const cache = new ResultCache(${JSON.stringify(directory)});
    console.log(cache.list().map(({ containerId }) => containerId).join());
    try { cache.read({ ...${JSON.stringify(KEY)}, containerId: 'c2' }); } catch (error) { console.log(error.code); }`;
  // In a process of its own: a wait in open(2) would hold this one.
  const { stdout } = await realExec.run([process.execPath, '-e', source], { timeoutMs: 10_000 });
  expect(stdout.trim().split('\n')).toEqual(['c1', '5']);
});

describe('a name cannot lead out of the directory', () => {
  test.each([
    [{ networkName: '../../etc' }, 'invalid characters found in network name'],
    [{ containerId: '../x' }, 'invalid characters in containerID'],
    [{ ifName: '/../x' }, 'interface name contains /'],
    [{ networkName: '' }, 'missing network name'],
    [{ containerId: '' }, 'missing containerID'],
    [{ ifName: '' }, 'interface name is empty'],
  ])('%j', (part, message) => {
    expect(() => cache().path({ ...KEY, ...part })).toThrow(message);
  });
});

describe('the namespace of an entry', () => {
  const inside = (name: string, sandbox?: string) => ({
    name,
    ...(sandbox === undefined ? {} : { sandbox }),
  });
  test.each<[string, Partial<CacheEntry>, string | undefined]>([
    [
      'is what it says',
      { netns: '/run/netns/a', result: { interfaces: [inside('eth0', '/b')] } },
      '/run/netns/a',
    ],
    [
      'else that of its interface',
      { result: { interfaces: [inside('veth1'), inside('net1', '/b'), inside('eth0', '/c')] } },
      '/c',
    ],
    ['else that of any interface', { result: { interfaces: [inside('v', ''), inside('net1', '/b')] } }, '/b'],
    ['whatever the case of a key', { result: { Interfaces: [{ Name: 'eth0', Sandbox: '/b' }] } }, '/b'],
    ['or nothing', { result: { interfaces: [inside('v')] } }, undefined],
    ['or nothing, in 0.2.0', { result: { ip4: {} } }, undefined],
    ['or nothing, without a result', {}, undefined],
  ])('%s', (_what, fields, wanted) => {
    expect(netnsOf({ ...KEY, config: '', ...fields })).toBe(wanted!);
  });
});

describe('the network of an entry', () => {
  test('is a list, or a single configuration', () => {
    expect(networkOf({ ...KEY, config: CONFIG }).plugins).toMatchObject([{ type: 'x' }]);
    const single = '{"name":"net","cniVersion":"0.4.0","type":"y"}';
    expect(networkOf({ ...KEY, config: single })).toMatchObject({
      cniVersion: '0.4.0',
      plugins: [{ type: 'y' }],
    });
  });

  test('is an error that names the attachment when it keeps none', () => {
    const what = 'cached configuration of net c1 eth0';
    expect(() => networkOf({ ...KEY, config: '' })).toThrow(`${what}: not JSON`);
    expect(() => networkOf({ ...KEY, config: '{}' })).toThrow(`${what}: missing type of the plugin`);
  });
});
