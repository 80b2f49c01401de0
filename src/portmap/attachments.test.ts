import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AttachmentFiles, type HostPort } from './attachments.ts';

let directory: string;
let files: AttachmentFiles;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-attachments-'));
  files = new AttachmentFiles(join(directory, 'records'), join(directory, 'cache'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const key = { networkName: 'net', containerId: 'c', ifName: 'eth0' };
const owner = { ...key, netns: '/run/netns/none', devices: [{ index: 7, name: 'lxc1' }] };
const tcp80: HostPort = { protocol: 'tcp', hostPort: 80 };
const udp53: HostPort = { protocol: 'udp', hostPort: 53, hostIP: '10.0.0.1' };

test('what was recorded is returned, until it is forgotten', () => {
  expect(files.record('CHAIN', { ...owner, ports: [tcp80, udp53] })).toBe(true);
  expect(files.portsOf('CHAIN')).toEqual([tcp80, udp53]);
  expect(files.recorded()).toEqual(new Map([['CHAIN', { ...key, devices: owner.devices }]]));
  expect([files.interfaceOf('CHAIN'), files.devicesOf('CHAIN')]).toEqual(['eth0', owner.devices]);
  files.forget('CHAIN');
  expect(files.portsOf('CHAIN')).toBeUndefined();
  expect(readdirSync(join(directory, 'records'))).toEqual([]);
});

test('ports of an ADD before are remembered with the new ones, each once', () => {
  files.record('CHAIN', { ...owner, ports: [tcp80] });
  expect(files.record('CHAIN', { ...owner, ports: [udp53, tcp80] })).toBe(false);
  expect(files.portsOf('CHAIN')).toEqual([tcp80, udp53]);
});

test('devices of an ADD before are remembered with the new ones, until only the new ones are kept', () => {
  const other = { index: 8, name: 'lxc2' };
  files.record('CHAIN', { ...owner, ports: [tcp80] });
  files.record('CHAIN', { ...owner, ports: [tcp80], devices: [{ index: 7, name: 'renamed' }, other] });
  expect(files.devicesOf('CHAIN')).toEqual([{ index: 7, name: 'renamed' }, other]);
  files.record('CHAIN', { ...owner, ports: [tcp80], devices: [] });
  expect(files.devicesOf('CHAIN')).toHaveLength(2);
  files.keepDevices('CHAIN', [other]);
  expect(files.devicesOf('CHAIN')).toEqual([other]);
  expect(files.portsOf('CHAIN')).toEqual([tcp80]);
});

test("the runtime's cache is read as the runtime reads it, whatever the case of a key", () => {
  const result = {
    Interfaces: [{ Name: 'net1', Sandbox: '/run/netns/none' }],
    IPs: [{ Address: '10.0.0.9/24', Interface: 0 }],
  };
  const entry = { Kind: 'cniCacheV1', ContainerID: 'c', IfName: 'net1', NetworkName: 'net', Result: result };
  mkdirSync(join(directory, 'cache/results'), { recursive: true });
  writeFileSync(join(directory, 'cache/results/net-c-net1'), JSON.stringify(entry));
  expect(files.sandboxState('CHAIN', { networkName: 'net', containerId: 'c', ifName: 'net1' })).toBe('gone');
  expect(files.addressesOfOthers(key, 'network')).toEqual(new Set(['10.0.0.9']));
});

test.each([
  ['no ports', '{"networkName":"net","containerId":"c"}'],
  ['invalid ports', '{"ports":[{"protocol":"tcp"}]}'],
  ['no object among them', '{"ports":[null]}'],
  ['a document cut short', '{"ports":['],
])('a record with %s: nothing is remembered, nor by an ADD on top of it', (_name, text) => {
  files.record('CHAIN', { ...owner, ports: [] });
  writeFileSync(join(directory, 'records/CHAIN.json'), text);
  expect(files.portsOf('CHAIN')).toBeUndefined();
  expect(files.record('CHAIN', { ...owner, ports: [tcp80] })).toBe(false);
  expect(files.portsOf('CHAIN')).toBeUndefined();
});
