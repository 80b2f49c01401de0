import { describe, expect, test } from 'bun:test';
import type { Pod } from '../../kube/types.ts';
import { podOn } from '../testing/small-world.ts';
import { formatPort, hasEnded, hostPortsOf } from './host-ports.ts';

test.each<[string, boolean | undefined, number[]]>([
  ['of its own network has its ports', undefined, [80, 81]],
  ['that says so', false, [80, 81]],
  ['on the network of its node has none', true, []],
])('a pod %s', (_, hostNetwork, ports) => {
  const pod = podOn('n1', 'a', 80, 81);
  if (hostNetwork !== undefined) pod.spec!.hostNetwork = hostNetwork;
  expect(hostPortsOf(pod).map(({ hostPort }) => hostPort)).toEqual(ports);
});

test('a pod without a specification has no ports', () => {
  expect(hostPortsOf({ metadata: { name: 'a' } } as Pod)).toEqual([]);
});

test.each<[Pod['status'], boolean]>([
  [undefined, false],
  [{ phase: 'Pending' }, false],
  [{ phase: 'Running', reason: 'Evicted' }, false],
  [{ phase: 'Succeeded' }, true],
  [{ phase: 'Succeeded', reason: 'NodePorts' }, true],
  [{ phase: 'Failed' }, true],
  [{ phase: 'Failed', reason: 'Evicted' }, true],
  // It was rejected because of its ports: that is what a diagnosis is about.
  [{ phase: 'Failed', reason: 'NodePorts' }, false],
])('a pod of status %j has ended: %p', (status, ended) => {
  expect(hasEnded({ ...podOn('n1', 'a', 80), status } as Pod)).toBe(ended);
});

describe('a port is written', () => {
  test.each<[string, string | undefined]>([
    ['UDP 80', undefined],
    ['UDP 127.0.0.1:80', '127.0.0.1'],
    ['UDP [fd00::1]:80', 'fd00::1'],
  ])('%s', (written, hostIP) => {
    const port = { hostPort: 80, containerPort: 8080, protocol: 'UDP' as const };
    expect(formatPort(hostIP === undefined ? port : { ...port, hostIP })).toBe(written);
  });
});
