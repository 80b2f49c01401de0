import { describe, expect, test } from 'bun:test';
import { mapped, type Otherwise } from '../testing/mapped-node.ts';
import { forwardingOf, isWayClear } from './clear-way.ts';

describe('the way to the pod', () => {
  const sysctl =
    (name: string, value: string): Otherwise['report'] =>
    ({ network }) => {
      if ('value' in network.sysctls) network.sysctls.value[name] = value;
    };
  const [V4, V6] = ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'];

  test.each<[string, Otherwise, boolean]>([
    ['is clear', {}, true],
    ['is not clear without rules', { own: [] }, false],
    ['is not clear where packets are dropped', { filter: ['-A FORWARD -p tcp -j DROP'] }, false],
    ['is not known to be clear', { filter: ['-A FORWARD -m set --match-set x src -j DROP'] }, false],
    ['is not known without a report', { world: { reports: new Map() } }, false],
    ['is not clear without forwarding', { report: sysctl(V4, '0') }, false],
    ['is clear without that of the other family', { report: sysctl(V6, '0') }, true],
    ['of IPv6 is not clear without forwarding', { families: ['ipv6'], report: sysctl(V6, '0') }, false],
    [
      'of IPv6 is clear without that of the other family',
      { families: ['ipv6'], report: sysctl(V4, '0') },
      true,
    ],
    [
      'is clear where the setting was not seen',
      {
        report: ({ network }) => {
          network.sysctls = { unknown: 'EPERM' };
        },
      },
      true,
    ],
  ])('%s', (_, otherwise, expected) => {
    const { path, scene } = mapped(otherwise);
    expect(isWayClear(path, scene)).toBe(expected);
  });

  test('depends on the setting of the family', () => {
    expect(forwardingOf(mapped().path)).toBe(V4);
    expect(forwardingOf(mapped({ families: ['ipv6'] }).path)).toBe(V6);
    expect(forwardingOf({ ...mapped().path, address: undefined })).toBe(V4);
  });
});
