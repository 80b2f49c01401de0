import { describe, expect, test } from 'bun:test';
import { hostPortsConflict, takenHostPorts } from './host-ports.ts';
import type { Container, Pod } from './types.ts';

describe('two host ports of one node', () => {
  const port = (hostIP: string | undefined, protocol: 'TCP' | 'UDP' = 'TCP', hostPort = 80) => ({
    ...{ hostPort, containerPort: 8080, protocol },
    ...(hostIP === undefined ? {} : { hostIP }),
  });
  test.each([
    [port(undefined), port(undefined), true],
    [port(undefined), port('10.0.0.1'), true],
    [port('10.0.0.1'), port('10.0.0.1'), true],
    [port('10.0.0.1'), port('10.0.0.2'), false],
    [port('::'), port('fd00::1'), true],
    [port('::'), port(undefined), true],
    [port(undefined), port(undefined, 'UDP'), false],
    [port(undefined), port(undefined, 'TCP', 81), false],
    [port('10.0.0.1'), port('10.0.0.1', 'UDP'), false],
  ])('%j and %j conflict: %s', (a, b, expected) => {
    expect(hostPortsConflict(a, b)).toBe(expected);
    expect(hostPortsConflict(b, a)).toBe(expected);
  });
});

describe('the host ports of a pod', () => {
  const http = { containerPort: 8080, hostPort: 80 };
  const taken = { ...http, protocol: 'TCP' };
  const container = (over: Partial<Container> = {}): Container => ({ name: 'c', ports: [http], ...over });
  const CASES: readonly [name: string, spec: Partial<NonNullable<Pod['spec']>>, ports: unknown[]][] = [
    ['none', {}, []],
    [
      'with their defaults, without what has no host port',
      { containers: [container({ ports: [{ containerPort: 1 }, http, { containerPort: 2, hostPort: 0 }] })] },
      [taken],
    ],
    [
      'with protocol and address',
      { containers: [container({ ports: [{ ...http, protocol: 'UDP', hostIP: '10.0.0.1' }] })] },
      [{ ...http, protocol: 'UDP', hostIP: '10.0.0.1' }],
    ],
    [
      'every IPv4 address, spelt out, is every address',
      { containers: [container({ ports: [{ ...http, hostIP: '0.0.0.0' }] })] },
      [taken],
    ],
    [
      'every IPv6 address is listed',
      { containers: [container({ ports: [{ ...http, hostIP: '::' }] })] },
      [{ ...taken, hostIP: '::' }],
    ],
    ['of a sidecar', { initContainers: [container({ restartPolicy: 'Always' })] }, [taken]],
    ['of an init container that ends: none', { initContainers: [container()] }, []],
    ["of a pod on the host's network", { hostNetwork: true, containers: [container()] }, [taken]],
  ];
  test.each(CASES)('%s', (_name, spec, ports) => {
    expect<unknown>(takenHostPorts({ spec: { containers: [], ...spec } })).toEqual(ports);
  });
});
