import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  capabilityArgs,
  cniArgs,
  containerIdOf,
  netnsPath,
  networkMeant,
  pluginPath,
  validAttachment,
} from './cni-inputs.ts';

describe('which network is meant', () => {
  let directory: string;
  let file: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'hostport-inputs-'));
    file = join(directory, '20-b.conflist');
    writeFileSync(join(directory, '10-a.conf'), '{"name":"a","type":"x"}');
    writeFileSync(file, '{"name":"b","plugins":[{"type":"y"}]}');
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test.each<[string, 'file' | 'directory' | undefined, string | undefined, string]>([
    ['a file', 'file', undefined, 'b'],
    ['a file and its name', 'file', 'b', 'b'],
    ['a name in a directory', 'directory', 'b', 'b'],
    ['the first of a directory', 'directory', undefined, 'a'],
    ['a name in $NETCONFPATH', undefined, 'b', 'b'],
  ])('%s', (_what, conf, name, wanted) => {
    const place = conf === undefined ? undefined : conf === 'file' ? file : directory;
    expect(networkMeant(place, name, { NETCONFPATH: directory }).name).toBe(wanted);
  });

  test('wrong ones', () => {
    expect(() => networkMeant(file, 'a', {})).toThrow(`${file} is of network "b", not "a"`);
    expect(() => networkMeant('/no/such', undefined, {})).toThrow(
      'cannot read the network configuration /no/such: no such file or directory',
    );
    expect(() => networkMeant(directory, 'c', {})).toThrow('no net configuration with name "c" in ');
  });
});

test('a namespace is a path or a name of ip netns, and gives the ID that cnitool gives it', () => {
  expect(netnsPath('web')).toBe('/run/netns/web');
  expect(netnsPath('/proc/7/../8/ns/net')).toBe('/proc/8/ns/net');
  // printf %s /var/run/netns/testing | sha512sum | head -c 20
  expect(containerIdOf('/var/run/netns/testing')).toBe('cnitool-77383ca0a0715733ca6f');
});

test('where plugins are: the option, the environment, the usual place', () => {
  expect(pluginPath('/a::/b', { CNI_PATH: '/c' })).toEqual(['/a', '/b']);
  expect(pluginPath(undefined, { CNI_PATH: '/c' })).toEqual(['/c']);
  expect(pluginPath(undefined, { CNI_PATH: '' })).toEqual(['/opt/cni/bin']);
});

describe('CNI_ARGS', () => {
  test.each<[string | undefined, string | undefined, ReturnType<typeof cniArgs>]>([
    [
      'A=1;B=2',
      'C=3',
      [
        ['A', '1'],
        ['B', '2'],
      ],
    ],
    [undefined, 'C=3', [['C', '3']]],
    [undefined, '', undefined],
    [undefined, undefined, undefined],
    ['', 'C=3', undefined],
  ])('%p over %p', (option, variable, wanted) => {
    expect(cniArgs(option, { CNI_ARGS: variable })).toEqual(wanted!);
  });
  test.each(['A', 'A=', '=1', 'A=1;', 'A=1=2'])('refuses %p', (text) => {
    expect(() => cniArgs(text, {})).toThrow('invalid CNI_ARGS pair ');
  });
});

describe('arguments of capabilities', () => {
  const tcp = { hostPort: 8080, containerPort: 80, protocol: 'tcp' };
  test.each<[string[], string | undefined, unknown]>([
    [[], undefined, undefined],
    [[], '{"mac":"02::"}', { mac: '02::' }],
    [['portMappings=[{"hostPort":1}]'], undefined, { portMappings: [{ hostPort: 1 }] }],
    [['portMappings=8080:80'], '{"portMappings":[],"a":1}', { portMappings: [tcp], a: 1 }],
    [['a={"b":"c=d"}', 'a=2'], undefined, { a: 2 }],
    [
      ['portMappings=8080:80/tcp,127.0.0.1:53:5353/udp,[::1]:9:9/sctp'],
      undefined,
      {
        portMappings: [
          tcp,
          { hostIP: '127.0.0.1', hostPort: 53, containerPort: 5353, protocol: 'udp' },
          { hostIP: '::1', hostPort: 9, containerPort: 9, protocol: 'sctp' },
        ],
      },
    ],
  ])('%j over %j', (options, variable, wanted) => {
    expect(capabilityArgs(options, { CAP_ARGS: variable })).toEqual(wanted as Record<string, unknown>);
  });

  test.each<[string[], string | undefined, string]>([
    [['portMappings'], undefined, '--cap must be CAPABILITY=VALUE, is "portMappings"'],
    [['=1'], undefined, '--cap must be CAPABILITY=VALUE, is "=1"'],
    [['mac=02::'], undefined, '--cap mac: the value must be JSON, is 02::'],
    [['portMappings=80:'], undefined, 'have "80:"'],
    [['portMappings=8080:80/icmp'], undefined, 'have "8080:80/icmp"'],
    [['portMappings=::1:80:80'], undefined, 'have "::1:80:80"'],
    [['portMappings='], undefined, 'have ""'],
    [[], '{', 'CAP_ARGS is not JSON: {'],
    [[], '[]', 'CAP_ARGS must be an object, is []'],
    [[], 'null', 'CAP_ARGS must be an object, is null'],
  ])('refuses %j over %j', (options, variable, message) => {
    expect(() => capabilityArgs(options, { CAP_ARGS: variable })).toThrow(message);
  });
});

test('attachments to keep', () => {
  expect(validAttachment('c1/eth0')).toEqual({ containerID: 'c1', ifname: 'eth0' });
  for (const text of ['c1', 'c1/', '/eth0', 'a/b/c']) {
    expect(() => validAttachment(text)).toThrow('--valid must be CONTAINER/INTERFACE');
  }
});
