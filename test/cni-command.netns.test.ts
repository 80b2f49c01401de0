import { afterAll, beforeAll, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REFERENCE, Topology } from '../src/portmap/testing/topology.ts';
import type { ExecResult } from '../src/sys/exec.ts';

// `hostport cni`, as a person runs it: in the namespace `node`, for the namespace `pod`.

const PROGRAM = [process.execPath, 'run', join(import.meta.dir, '../src/cli/main.ts')];

let lab: Topology;
let conf: string;
let results: string;
let environment: Record<string, string>;

beforeAll(async () => {
  lab = await Topology.create();
  for (const name of ['node', 'pod']) await lab.namespace(name);
  conf = join(lab.scratch, 'net.d');
  results = join(lab.scratch, 'cache', 'results');
  mkdirSync(conf);
  const ipam = { type: 'host-local', subnet: '10.98.0.0/24', dataDir: join(lab.scratch, 'ipam') };
  const ptp = { type: 'ptp', ipam };
  const portmap = { type: 'portmap', capabilities: { portMappings: true } };
  put('10-chain.conflist', { cniVersion: '1.0.0', name: 'chain', plugins: [ptp, portmap] });
  put('20-single.conf', { cniVersion: '0.4.0', name: 'single', ...ptp });
  put('30-new.conflist', { cniVersion: '1.1.0', name: 'new', plugins: [portmap] });
  put('40-gone.conflist', { cniVersion: '1.0.0', name: 'gone', plugins: [{ type: 'no-such-plugin' }] });
  environment = { NETCONFPATH: conf, CNI_PATH: `${lab.plugins}:${REFERENCE}` };
});

afterAll(() => lab.dispose());

function put(name: string, document: unknown): void {
  writeFileSync(join(conf, name), typeof document === 'string' ? document : JSON.stringify(document));
}

/** Runs `hostport cni WORDS` on the node. */
function cni(words: string[], env: Record<string, string> = {}): Promise<ExecResult> {
  const [verb = '', ...rest] = words;
  const cache = ['--cache-dir', join(lab.scratch, 'cache')];
  return lab.run('node', [...PROGRAM, 'cni', verb, ...cache, ...rest], undefined, { ...environment, ...env });
}

const nothing = { code: 0, stdout: '', stderr: '' };

async function mappings(): Promise<number> {
  return (await lab.natRules('node')).filter((rule) => rule.startsWith(':CNI-DN-')).length;
}

test("cnitool's words and environment: add, check, del", async () => {
  const pod = lab.path('pod');
  const env = {
    CAP_ARGS: '{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}',
    CNI_ARGS: 'IgnoreUnknown=1;WHO=me',
    CNI_IFNAME: 'net1',
  };
  const added = await cni(['add', 'chain', pod], env);
  expect(added).toMatchObject({ code: 0, stderr: '' });
  expect(added.stdout).toStartWith('{\n    "cniVersion": "1.0.0",\n    "interfaces": [\n');
  expect(JSON.parse(added.stdout)).toMatchObject({ interfaces: [{}, { name: 'net1', sandbox: pod }] });
  // The ID is cnitool's, and the file is libcni's.
  const id = `cnitool-${createHash('sha512').update(pod).digest('hex').slice(0, 20)}`;
  expect(readdirSync(results)).toEqual([`chain-${id}-net1`]);
  const cached = JSON.parse(readFileSync(join(results, `chain-${id}-net1`), 'utf8'));
  expect(cached).toMatchObject({
    kind: 'cniCacheV1',
    netns: pod,
    cniArgs: [
      ['IgnoreUnknown', '1'],
      ['WHO', 'me'],
    ],
  });
  expect(await mappings()).toBe(1);
  expect(await cni(['check', 'chain', pod], env)).toEqual(nothing);
  expect(await cni(['del', 'chain', pod], env)).toEqual(nothing);
  expect(await cni(['del', 'chain', pod], env)).toEqual(nothing);
  expect(await mappings()).toBe(0);
  expect(readdirSync(results)).toEqual([]);
});

test('options: a file, a namespace, a mapping; check and del remember the mapping', async () => {
  const place = ['--conf', join(conf, '10-chain.conflist'), '--netns', lab.path('pod')];
  const added = await cni(['add', ...place, '--cap', 'portMappings=8080:80/tcp', '--container-id', 'web']);
  expect(added).toMatchObject({ code: 0, stderr: '' });
  expect(await cni(['check', ...place, '--container-id', 'web'])).toEqual(nothing);
  await lab.ok('node', ['iptables', '-t', 'nat', '-F', 'CNI-HOSTPORT-DNAT']);
  const broken = await cni(['check', ...place, '--container-id', 'web']);
  expect(broken).toMatchObject({ code: 1, stdout: '' });
  expect(broken.stderr).toMatch(/^error: plugin type="portmap" failed \(check\): [^\n]+\n$/);
  expect(await cni(['del', '--conf', join(conf, '10-chain.conflist'), '--container-id', 'web'])).toEqual(
    nothing,
  );
  expect(await mappings()).toBe(0);
});

test('a single configuration is a chain of one', async () => {
  const added = await cni(['add', 'single', lab.path('pod')]);
  expect(JSON.parse(added.stdout)).toMatchObject({ cniVersion: '0.4.0', ips: [{ version: '4' }] });
  expect(await cni(['check', 'single', lab.path('pod')])).toEqual(nothing);
  expect(await cni(['del', 'single', lab.path('pod')])).toEqual(nothing);
});

test('gc clears up after namespaces that are gone, and after what is not named', async () => {
  const add = async (netns: string, id: string, port: number) => {
    const words = ['add', 'chain', netns, '--container-id', id, '--cap', `portMappings=${port}:80`];
    expect(await cni(words)).toMatchObject({ code: 0, stderr: '' });
  };
  const left = () => readdirSync(results).map((name) => name.split('-')[1]);
  await lab.namespace('brief');
  await add(lab.path('pod'), 'a', 81);
  await add(lab.path('brief'), 'b', 82);
  expect(left()).toEqual(['a', 'b']);
  await lab.removeNamespace('brief');
  expect((await cni(['gc', 'chain'])).code).toBe(0);
  expect(left()).toEqual(['a']);
  expect(await mappings()).toBe(1);
  expect((await cni(['gc', 'chain', '--valid', 'a/eth0'])).code).toBe(0);
  expect(left()).toEqual(['a']);
  expect((await cni(['gc', 'chain', '--all'])).code).toBe(0);
  expect(left()).toEqual([]);
  expect(await mappings()).toBe(0);
});

test('status and version', async () => {
  expect(await cni(['status', 'new'])).toEqual(nothing);
  const skipped = 'configuration version "1.0.0" does not support the STATUS command';
  expect(await cni(['status', 'chain'])).toEqual({
    ...nothing,
    stderr: `STATUS of the plugins skipped: ${skipped}\n`,
  });
  expect(await cni(['status', 'chain', '--strict'])).toEqual({
    code: 1,
    stdout: '',
    stderr: `error: ${skipped}\n`,
  });
  const version = await cni(['version', 'chain']);
  expect(version).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(version.stdout)).toMatchObject({
    cniVersion: '1.1.0',
    network: { name: 'chain', cniVersion: '1.0.0' },
    plugins: [
      { type: 'ptp', path: join(REFERENCE, 'ptp'), supportedVersions: expect.arrayContaining(['1.0.0']) },
      { type: 'portmap', path: join(lab.plugins, 'portmap') },
    ],
  });
  const gone = await cni(['version', '--plugin', 'gone']);
  expect(gone.code).toBe(1);
  expect(JSON.parse(gone.stdout).plugins).toEqual([
    { type: 'gone', error: `failed to find plugin "gone" in path [${lab.plugins} ${REFERENCE}]` },
  ]);
});

test('an error is one line on standard error, and an exit status', async () => {
  expect(await cni(['add', 'gone', lab.path('pod')])).toEqual({
    code: 50,
    stdout: '',
    stderr: `error: plugin type="no-such-plugin" failed (add): failed to find plugin "no-such-plugin" in path [${lab.plugins} ${REFERENCE}]\n`,
  });
  expect(await cni(['add', 'chain'])).toEqual({
    code: 2,
    stdout: '',
    stderr: 'error: cannot run ADD: it needs a network namespace; give --netns PATH\n',
  });
});
