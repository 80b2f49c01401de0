import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { openSync } from 'node:fs';
import { output, realExec } from '../sys/exec.ts';
import { enterNetns } from '../sys/netns.ts';
import type { IpFamily } from './iptables.ts';
import { glanceAtKernel } from './kernel-rules.ts';

// What iptables-nft writes is what a glance reads: the bytes are the kernel's, so only the kernel can say.
const namespace = `hpt-glance-${process.pid}`;
const home = `/proc/self/fd/${openSync('/proc/self/ns/net', 'r')}`;

beforeAll(async () => {
  await output(realExec, ['ip', 'netns', 'add', namespace]);
  enterNetns(`/run/netns/${namespace}`);
});
afterAll(async () => {
  enterNetns(home);
  await output(realExec, ['ip', 'netns', 'delete', namespace]);
});

describe.each<[IpFamily, string]>([
  ['ipv4', 'iptables-nft'],
  ['ipv6', 'ip6tables-nft'],
])('%s', (family, program) => {
  const nat = (...words: string[]) => output(realExec, [program, '-t', 'nat', ...words]);

  beforeAll(async () => {
    await nat('-N', 'ENTRIES');
    await nat('-N', 'TARGET');
  });

  test.each<[string, string[], number[] | undefined]>([
    ['one port', ['-p', 'tcp', '-m', 'multiport', '--dports', '80'], [80]],
    [
      'fifteen ports and a comment',
      [
        ...['-p', 'udp', '-m', 'comment', '--comment', 'TARGET "x"'],
        ...['-m', 'multiport', '--dports', Array.from({ length: 15 }, (_, i) => 65_521 + i).join()],
      ],
      Array.from({ length: 15 }, (_, i) => 65_521 + i),
    ],
    [
      'a condition behind',
      ['-p', 'sctp', '-m', 'multiport', '--dports', '1,2', '-m', 'mark', '--mark', '0x1'],
      [1, 2],
    ],
    ['no ports', ['-p', 'tcp'], undefined],
    ['a range', ['-p', 'tcp', '-m', 'multiport', '--dports', '80:90'], undefined],
    ['source ports', ['-p', 'tcp', '-m', 'multiport', '--sports', '80'], undefined],
    ['either port', ['-p', 'tcp', '-m', 'multiport', '--ports', '80'], undefined],
    ['all ports but one', ['-p', 'tcp', '-m', 'multiport', '!', '--dports', '80'], undefined],
    ['the port by another match', ['-p', 'tcp', '--dport', '80'], undefined],
  ])('jumps to %s', async (_name, words, ports) => {
    await nat('-F', 'ENTRIES');
    await nat('-A', 'ENTRIES', ...words, '-j', 'TARGET');
    const wanted = ports === undefined ? undefined : [{ chain: 'TARGET', ports }];
    expect(glanceAtKernel(family)!.portJumps('ENTRIES')).toEqual(wanted);
  });

  test('a rule that goes nowhere is none', async () => {
    await nat('-F', 'ENTRIES');
    await nat('-A', 'ENTRIES', '-p', 'tcp', '-m', 'multiport', '--dports', '80', '-j', 'RETURN');
    expect(glanceAtKernel(family)!.portJumps('ENTRIES')).toBeUndefined();
  });

  test('a chain that is not there has none', () => {
    expect(glanceAtKernel(family)!.portJumps('NOT-THERE')).toEqual([]);
  });

  test.each<[string, string[], boolean]>([
    ['the rule', ['-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'TARGET'], true],
    ['another type', ['-m', 'addrtype', '--dst-type', 'UNICAST', '-j', 'TARGET'], false],
    ['its opposite', ['-m', 'addrtype', '!', '--dst-type', 'LOCAL', '-j', 'TARGET'], false],
    ['the source', ['-m', 'addrtype', '--src-type', 'LOCAL', '-j', 'TARGET'], false],
    ['one more condition', ['-i', 'lo', '-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'TARGET'], false],
    [
      'one more match',
      ['-m', 'addrtype', '--dst-type', 'LOCAL', '-m', 'mark', '--mark', '1', '-j', 'TARGET'],
      false,
    ],
    ['another chain', ['-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'ENTRIES'], false],
    ['a target', ['-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'ACCEPT'], false],
  ])('local jump: %s', async (_name, words, isThere) => {
    await nat('-F', 'PREROUTING');
    await nat('-A', 'PREROUTING', ...words);
    expect(glanceAtKernel(family)!.hasLocalJump('PREROUTING', 'TARGET')).toBe(isThere);
  });
});
