import { afterEach, beforeEach, expect, test } from 'bun:test';
import {
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
import { installPlugins, writeCniConfig } from './install.ts';

let directory: string;
const from = () => join(directory, 'from');
const to = () => join(directory, 'to', 'bin');

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-install-'));
  mkdirSync(from());
  writeFileSync(join(from(), 'cilium-cni'), 'version 1', { mode: 0o644 });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('puts one executable under both names, over what was there, and leaves nothing else', async () => {
  mkdirSync(to(), { recursive: true });
  writeFileSync(join(to(), 'loopback'), 'of the CNI package');
  expect(await installPlugins(from(), to())).toEqual(['cilium-cni', 'loopback']);
  expect(readdirSync(to()).sort()).toEqual(['cilium-cni', 'loopback']);
  expect(readFileSync(join(to(), 'loopback'), 'utf8')).toBe('version 1');
  expect(statSync(join(to(), 'loopback')).ino).toBe(statSync(join(to(), 'cilium-cni')).ino);
  expect(statSync(join(to(), 'cilium-cni')).mode & 0o777).toBe(0o755);
});

test('puts only what differs', async () => {
  await installPlugins(from(), to());
  expect(await installPlugins(from(), to())).toEqual([]);
  rmSync(join(to(), 'loopback'));
  expect(await installPlugins(from(), to())).toEqual(['loopback']);
  writeFileSync(join(from(), 'cilium-cni'), 'version 2');
  utimesSync(join(from(), 'cilium-cni'), 1_000_000, 1_000_000);
  expect(await installPlugins(from(), to())).toEqual(['cilium-cni', 'loopback']);
  expect(readFileSync(join(to(), 'loopback'), 'utf8')).toBe('version 2');
});

test('a running plugin keeps its file', async () => {
  await installPlugins(from(), to());
  const before = statSync(join(to(), 'cilium-cni')).ino;
  writeFileSync(join(from(), 'cilium-cni'), 'version 22');
  await installPlugins(from(), to());
  expect(statSync(join(to(), 'cilium-cni')).ino).not.toBe(before);
});

test('the configuration is written once, and again when it was changed', async () => {
  const net = join(directory, 'net.d');
  expect(await writeCniConfig(net)).toBe(true);
  expect(await writeCniConfig(net)).toBe(false);
  writeFileSync(join(net, '05-cilium.conf'), '{}');
  expect(await writeCniConfig(net)).toBe(true);
  expect(readdirSync(net)).toEqual(['05-cilium.conf']);
});
