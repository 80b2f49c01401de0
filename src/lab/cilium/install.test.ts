import { afterEach, beforeEach, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../../sys/wait.ts';
import { installPlugins } from './install.ts';

let directory: string;
const from = () => join(directory, 'from');
const to = () => join(directory, 'to', 'bin');

const install = () => installPlugins(from(), to(), new AbortController().signal);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-install-'));
  mkdirSync(from());
  writeFileSync(join(from(), 'cilium-cni'), 'version 1', { mode: 0o644 });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('puts one executable under both names, over what was there, and leaves nothing else', async () => {
  mkdirSync(to(), { recursive: true });
  writeFileSync(join(to(), 'loopback'), 'of the CNI package');
  expect(await install()).toEqual(['cilium-cni', 'loopback']);
  expect(readdirSync(to()).sort()).toEqual(['cilium-cni', 'loopback']);
  expect(readFileSync(join(to(), 'loopback'), 'utf8')).toBe('version 1');
  expect(statSync(join(to(), 'loopback')).ino).toBe(statSync(join(to(), 'cilium-cni')).ino);
  expect(statSync(join(to(), 'cilium-cni')).mode & 0o777).toBe(0o755);
});

test('puts only what differs', async () => {
  await install();
  expect(await install()).toEqual([]);
  rmSync(join(to(), 'loopback'));
  expect(await install()).toEqual(['loopback']);
  writeFileSync(join(from(), 'cilium-cni'), 'version 2');
  utimesSync(join(from(), 'cilium-cni'), 1_000_000, 1_000_000);
  expect(await install()).toEqual(['cilium-cni', 'loopback']);
  expect(readFileSync(join(to(), 'loopback'), 'utf8')).toBe('version 2');
});

test('a running plugin keeps its file', async () => {
  await install();
  const before = statSync(join(to(), 'cilium-cni')).ino;
  writeFileSync(join(from(), 'cilium-cni'), 'version 22');
  await install();
  expect(statSync(join(to(), 'cilium-cni')).ino).not.toBe(before);
});

test('what an installation that was killed has left goes with the next, and nothing else', async () => {
  mkdirSync(to(), { recursive: true });
  for (const name of [
    '.cilium-cni.0a1b2c3d4e5f.tmp',
    '.loopback.0a1b2c3d4e5f.tmp',
    '.portmap.12.tmp',
    'mine',
  ]) {
    writeFileSync(join(to(), name), 'a part');
  }
  expect(await install()).toEqual(['cilium-cni', 'loopback']);
  expect(readdirSync(to()).sort()).toEqual(['.portmap.12.tmp', 'cilium-cni', 'loopback', 'mine']);
  writeFileSync(join(to(), '.cilium-cni.0a1b2c3d4e5f.tmp'), 'a part');
  expect(await install()).toEqual([]);
  expect(readdirSync(to()).sort()).toEqual(['.portmap.12.tmp', 'cilium-cni', 'loopback', 'mine']);
});

test('an installation that is given up leaves nothing', async () => {
  writeFileSync(join(from(), 'cilium-cni'), Buffer.alloc(64 << 20, 'x'));
  const stopping = new AbortController();
  const installing = installPlugins(from(), to(), stopping.signal);
  const begun = () => existsSync(to()) && readdirSync(to()).some((name) => name.endsWith('.tmp'));
  await waitFor('the copy to begin', begun, { timeoutMs: 5_000, intervalMs: 0 });
  stopping.abort(new Error('terminated'));
  expect(await installing.catch((error) => error.message)).toBe('terminated');
  expect(readdirSync(to())).toEqual([]);
});

test('nodes that share a directory install one after another, and none takes what another is writing', async () => {
  writeFileSync(join(from(), 'cilium-cni'), Buffer.alloc(8 << 20, 'x'));
  const installed = await Promise.all([1, 2, 3, 4].map(install));
  expect(installed.flat().sort()).toEqual(['cilium-cni', 'loopback']);
  expect(readdirSync(to()).sort()).toEqual(['cilium-cni', 'loopback']);
});
