import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { output, realExec } from '../sys/exec.ts';
import { tryLockOpenFile } from '../sys/flock.ts';
import { attachmentChain } from './layout.ts';
import { REFERENCE, Topology } from './testing/topology.ts';

const NETWORK = 'state-test';
const ID = 'state-pod';
const CHAIN = attachmentChain(NETWORK, ID);
/** Seconds after which a call counts as one that waits for ever. */
const DEADLINE = 10;

/** Something other than a file where portmap or the runtime keeps one: portmap does not wait for it, and replaces its own. */
let lab: Topology;
/** What the plugin sees at /run/hostport and /var/lib/cni. */
let run: string;
let cache: string;
const listeners: { stop(): void }[] = [];

const kinds: [string, (path: string) => unknown][] = [
  ['a FIFO', (path) => output(realExec, ['mkfifo', path])],
  ['a directory', (path) => mkdirSync(join(path, 'with/more'), { recursive: true })],
  ['a symbolic link', (path) => symlinkSync('/dev/zero', path)],
  ['a socket', (path) => listeners.push(Bun.listen({ unix: path, socket: { data() {} } }))],
  ['a device', (path) => output(realExec, ['mknod', path, 'c', '1', '5'])],
];

function conf(hostPort = 80, extra: Record<string, unknown> = {}) {
  return {
    ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap', capabilities: { portMappings: true } },
    runtimeConfig: { portMappings: [{ hostPort, containerPort: 8080, protocol: 'tcp' }] },
    prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.88.0.10/24' }] },
    ...extra,
  };
}

interface Answer {
  code: number;
  document: { code: number; msg: string } | undefined;
  stderr: string;
}

async function call(verb: string, config: object, before = 'true', id = ID): Promise<Answer> {
  const script = `mount --bind "$1" /run/hostport && mount --bind "$2" /var/lib/cni && { ${before}; } && exec "$0"`;
  const shell = ['unshare', '--mount', 'sh', '-c', script, join(lab.plugins, 'portmap'), run, cache];
  const argv = ['timeout', String(DEADLINE), ...shell];
  const { code, stdout, stderr } = await lab.run('node', argv, JSON.stringify(config), {
    ...{ CNI_COMMAND: verb, CNI_CONTAINERID: id, CNI_NETNS: lab.path('pod'), CNI_IFNAME: 'eth0' },
    CNI_PATH: lab.plugins,
  });
  return { code, document: code === 0 || stdout === '' ? undefined : JSON.parse(stdout), stderr };
}

async function done(verb: string, config: object, before?: string): Promise<void> {
  const answer = await call(verb, config, before);
  expect({ verb, ...answer }).toEqual({ verb, code: 0, document: undefined, stderr: '' });
}

async function mapped(): Promise<string[]> {
  const lines = await lab.natRules('node');
  return lines.flatMap((line) => /--dport (\d+) -j DNAT/.exec(line)?.[1] ?? []);
}

beforeAll(async () => {
  lab = await Topology.create();
  for (const name of ['node', 'pod']) await lab.namespace(name);
  for (const directory of ['/run/hostport', '/var/lib/cni']) mkdirSync(directory, { recursive: true });
});
beforeEach(() => {
  run = join(lab.scratch, `run-${crypto.randomUUID().slice(0, 8)}`);
  cache = join(lab.scratch, `cni-${crypto.randomUUID().slice(0, 8)}`);
  mkdirSync(join(run, 'portmap'), { recursive: true });
  mkdirSync(join(cache, 'results'), { recursive: true });
});
afterAll(async () => {
  for (const listener of listeners) listener.stop();
  await lab.dispose();
});

const record = () => join(run, 'portmap', `${CHAIN}.json`);
const gc = { ...conf(), 'cni.dev/valid-attachments': [] };

describe.each(kinds)('%s', (kind, make) => {
  test('in place of a record: ADD replaces it, and the record works', async () => {
    await make(record());
    await done('ADD', conf());
    expect(lstatSync(record()).isFile()).toBe(true);
    await done('CHECK', conf());
    await done('DEL', conf());
    expect(readdirSync(join(run, 'portmap'))).toEqual([]);
    expect(await mapped()).toEqual([]);
  });

  test('in place of the record of what is mapped: CHECK, STATUS and DEL do what they do without one', async () => {
    await done('ADD', conf());
    rmSync(record());
    await make(record());
    await done('CHECK', conf());
    await done('STATUS', conf());
    expect(await mapped()).toEqual(['80']);
    for (let i = 0; i < 2; i++) await done('DEL', conf());
    expect(readdirSync(join(run, 'portmap'))).toEqual([]);
    expect(await mapped()).toEqual([]);
  });

  test('among the records: GC and other attachments’ calls do not wait', async () => {
    await make(join(run, 'portmap', `${attachmentChain(NETWORK, 'somebody')}.json`));
    await make(join(run, 'portmap', '.unfinished.1'));
    await done('ADD', conf());
    await done('GC', gc);
    expect(await mapped()).toEqual([]);
    expect(readdirSync(join(run, 'portmap')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('in place of the lock: every call that changes something is refused at once', async () => {
    await make(join(run, 'portmap.lock'));
    for (const [verb, config] of [
      ['ADD', conf()],
      ['DEL', conf()],
      ['GC', gc],
    ] as const) {
      const { document } = await call(verb, config);
      expect({ verb, ...document }).toMatchObject({
        ...{ verb, code: 5 },
        msg: `cannot open /run/hostport/portmap.lock: it is ${kind}, not a regular file; remove it`,
      });
    }
    expect(await mapped()).toEqual([]);
  });

  test('in the runtime’s cache: nothing is known of that sandbox', async () => {
    const prevResult = { cniVersion: '0.4.0', ips: [{ version: '4', address: '10.88.0.11/24' }] };
    const config = { ...conf(80, { cniVersion: '0.4.0', prevResult }) };
    const there = { id: 'other', netns: lab.path('pod'), config };
    expect(await lab.cni('node', join(REFERENCE, 'portmap'), 'ADD', there)).toMatchObject({ code: 0 });
    for (const id of [ID, 'other']) await make(join(cache, 'results', `${NETWORK}-${id}-net1`));
    const added = await call('ADD', conf());
    expect(added).toMatchObject({ code: 0 });
    expect(added.stderr).toContain('container other of network state-test');
    await done('DEL', conf());
    expect(await call('DEL', conf(), 'true', 'other')).toMatchObject({ code: 0, stderr: '' });
    expect(await mapped()).toEqual([]);
  });
});

test('a runtime that may have no memory that is both writable and executable can call every verb', async () => {
  const denied = ['exec', process.execPath, join(import.meta.dir, 'testing/write-xor-execute.ts')].join(' ');
  for (const verb of ['ADD', 'CHECK', 'STATUS', 'GC', 'ADD', 'DEL']) {
    await done(verb, verb === 'GC' ? gc : conf(), `${denied} "$0"`);
  }
  const needsIt =
    'const { symbols } = require("bun:ffi").dlopen("libc.so.6", { getpid: { returns: "i32" } }); symbols.getpid()';
  const control = await call('STATUS', conf(), `${denied} ${process.execPath} -e '${needsIt}'`);
  expect(control.stderr).toContain('requires the JIT');
});

// The directory of state: read-only, missing where nothing can be made, and not a directory.
describe.each([
  ['read-only', 'mount -o remount,bind,ro /run/hostport', 'the file system is read-only'],
  [
    'missing, and /run read-only',
    'umount /run/hostport && mount -t tmpfs none /run && mount -o remount,ro /run',
    'the file system is read-only',
  ],
  [
    'a file',
    'umount /run/hostport && mount -t tmpfs none /run && touch /run/hostport',
    'part of its path is not a directory',
  ],
])('/run/hostport is %s', (_, before, problem) => {
  const provide = 'run portmap as root, with /run/hostport a directory that it can write to';

  test('ADD and STATUS say which directory to provide, and nothing is mapped', async () => {
    for (const [verb, code] of [
      ['ADD', 5],
      ['STATUS', 50],
    ] as const) {
      const { document } = await call(verb, conf(), before);
      expect({ verb, ...document }).toMatchObject({ verb, code, details: provide });
      expect(document!.msg).toEndWith(problem);
      expect(document!.msg).toContain(' /run/hostport/');
    }
    expect(await mapped()).toEqual([]);
  });

  test.each([
    ['DEL', conf()],
    ['GC', gc],
  ])('%s removes all the same, with one warning', async (verb, config) => {
    await done('ADD', conf());
    const answer = await call(verb, config, before);
    expect(answer).toMatchObject({ code: 0, document: undefined });
    expect(answer.stderr).toEndWith(`${problem}; works without; ${provide}\n`);
    expect(answer.stderr.trim()).not.toContain('\n');
    expect(await mapped()).toEqual([]);
    // What could not be forgotten then is forgotten by the next that can.
    await done('GC', gc);
    expect(readdirSync(join(run, 'portmap'))).toEqual([]);
  });

  test('CHECK does without', async () => {
    await done('ADD', conf());
    expect(await call('CHECK', conf(), before)).toMatchObject({ code: 0, stderr: '' });
    await done('DEL', conf());
  });
});

test('a lock that exists is taken where it cannot be written, too', async () => {
  await done('ADD', conf());
  const held = openSync(join(run, 'portmap.lock'), 'r+');
  try {
    expect(tryLockOpenFile(held)).toBe(true);
    const waiting = call('DEL', conf(), 'mount -o remount,bind,ro /run/hostport');
    expect(await Promise.race([waiting, Bun.sleep(300)])).toBeUndefined();
    expect(await mapped()).toEqual(['80']);
    closeSync(held);
    expect(await waiting).toMatchObject({ code: 0 });
    expect(await mapped()).toEqual([]);
  } finally {
    await done('GC', gc);
  }
});

test('a record under a name that is nobody’s is forgotten by GC', async () => {
  const stray = {
    networkName: NETWORK,
    containerId: ID,
    ifName: 'eth0',
    netns: '/none',
    ports: [],
    devices: [],
  };
  writeFileSync(join(run, 'portmap/stray.json'), JSON.stringify(stray));
  await done('GC', gc);
  expect(readdirSync(join(run, 'portmap'))).toEqual([]);
});

test('a FIFO with the name of the file that a record is written to first does not hold an ADD', async () => {
  await done('ADD', conf(), `mkfifo /run/hostport/portmap/.${CHAIN}.$$`);
  expect(readdirSync(join(run, 'portmap'))).toEqual([`${CHAIN}.json`]);
  await done('DEL', conf());
});
