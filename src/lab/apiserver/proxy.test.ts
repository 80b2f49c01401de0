import { describe, expect, test } from 'bun:test';
import type { Endpoints, Pod, Service } from '../../kube/types.ts';
import { nodeTarget, parseProxyName, podTarget, serviceTarget } from './proxy.ts';

test.each([
  ['web', { scheme: 'http', name: 'web', port: '' }],
  ['web:80', { scheme: 'http', name: 'web', port: '80' }],
  ['web:', { scheme: 'http', name: 'web', port: '' }],
  ['https:web:admin', { scheme: 'https', name: 'web', port: 'admin' }],
  ['https:web:', { scheme: 'https', name: 'web', port: '' }],
  [':web:80', { scheme: 'http', name: 'web', port: '80' }],
] as const)('%s', (text, name) => {
  expect(parseProxyName(text, 'pod')).toEqual(name);
});

test.each(['', ':80', 'ftp:web:80', 'a:b:c:d'])('%p names nothing', (text) => {
  const said = () => parseProxyName(text, 'pod');
  if (text === '') expect(said()).toEqual({ scheme: 'http', name: '', port: '' });
  else expect(said).toThrow(`invalid pod request ${JSON.stringify(text)}`);
});

const pod = (podIP: string, ...ports: number[]): Pod => ({
  spec: {
    containers: [{ name: 'a' }, { name: 'b', ports: ports.map((containerPort) => ({ containerPort })) }],
  },
  status: { podIP },
});

describe('of a pod', () => {
  test.each([
    ['p', [8080, 9090], { scheme: 'http', host: '10.0.0.5', port: 8080 }],
    ['p:9090', [8080], { scheme: 'http', host: '10.0.0.5', port: 9090 }],
    ['p', [], { scheme: 'http', host: '10.0.0.5', port: 80 }],
    ['https:p:', [], { scheme: 'https', host: '10.0.0.5', port: 443 }],
  ] as const)('%s with ports %p', (text, ports, target) => {
    expect(podTarget(pod('10.0.0.5', ...ports), parseProxyName(text, 'pod'))).toEqual(target);
  });

  test.each([
    '',
    '127.0.0.1',
    '0.0.0.0',
    '169.254.169.254',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'ff02::1',
    '::ffff:127.0.0.1',
    'localhost',
  ])('an address that is the server’s own, or none: %p', (ip) => {
    expect(() => podTarget(pod(ip, 80), parseProxyName('p', 'pod'))).toThrow('address not allowed');
  });

  test.each(['p:0', 'p:65536', 'p:http'])('%s is no port', (text) => {
    expect(() => podTarget(pod('10.0.0.5'), parseProxyName(text, 'pod'))).toThrow('invalid port');
  });
});

describe('of a node', () => {
  const target = (host: string, text: string) => nodeTarget(host, parseProxyName(text, 'node'));

  test('a port beside the kubelet, with the scheme that is asked for', () => {
    expect(target('10.0.0.5', 'n:4194')).toEqual({ scheme: 'http', host: '10.0.0.5', port: 4194 });
    expect(target('10.0.0.5', 'https:n:443')).toEqual({ scheme: 'https', host: '10.0.0.5', port: 443 });
  });

  test('no port, and an address that is the server’s own', () => {
    for (const text of ['n:x', 'n:70000']) expect(() => target('10.0.0.5', text)).toThrow('invalid port');
    expect(() => target('127.0.0.1', 'n:22')).toThrow('address not allowed');
  });
});

describe('of a Service', () => {
  const service: Service = { spec: { ports: [{ name: 'web', port: 80 }, { port: 81 }] } };
  const endpoints: Endpoints = {
    subsets: [
      {
        addresses: [{ ip: '10.0.0.5' }],
        notReadyAddresses: [{ ip: '10.0.0.6' }],
        ports: [{ name: 'web', port: 8080 }, { port: 8081 }],
      },
    ],
  };
  const target = (text: string, of: Endpoints | undefined = endpoints) =>
    serviceTarget(service, of, parseProxyName(text, 'service'));

  test('by number, by name, and the port without a name', () => {
    expect(['s:80', 's:web', 's', 's:81'].map((text) => target(text).port)).toEqual([8080, 8080, 8081, 8081]);
  });

  test('no such port, no endpoints', () => {
    expect(() => target('s:82')).toThrow('no service port 82 found for service "s"');
    expect(() => target('s:admin')).toThrow('no endpoints available for service "s"');
    expect(() => serviceTarget(service, undefined, parseProxyName('s', 'service'))).toThrow('no endpoints');
  });
});
