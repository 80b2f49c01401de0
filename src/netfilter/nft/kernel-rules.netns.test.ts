import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { openSync } from 'node:fs';
import { output, realExec } from '../../sys/exec.ts';
import { enterNetns } from '../../sys/netns.ts';
import type { Family } from '../../util/family.ts';
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

describe.each<[Family, string]>([
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

  test('what is wanted is never left out', async () => {
    await nat('-F', 'ENTRIES');
    const ports = (list: string) => ['-p', 'tcp', '-m', 'multiport', '--dports', list];
    await nat('-A', 'ENTRIES', ...ports('80,81'), '-j', 'TARGET');
    const look = (port: number, chain: string) =>
      glanceAtKernel(family)!.portJumps('ENTRIES', { ports: new Set([port]), chain });
    const jump = { chain: 'TARGET', ports: [80, 81] };
    expect([look(81, 'NOT-THERE'), look(79, 'TARGET')]).toEqual([[jump], [jump]]);
    await nat('-A', 'ENTRIES', ...ports('90'), '-j', 'RETURN');
    expect(look(79, 'NOT-THERE')).toBeUndefined();
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

  describe('removing a chain', () => {
    const port = (number: string) => ['-p', 'tcp', '-m', 'multiport', '--dports', number];
    const lines = async () => (await nat('-S')).split('\n').filter((line) => /LEAVING|STAYING/.test(line));

    beforeAll(async () => {
      await nat('-F', 'ENTRIES');
      for (const chain of ['LEAVING', 'STAYING']) {
        await nat('-N', chain);
        await nat('-A', chain, '-p', 'udp', '-j', 'RETURN');
        for (const number of ['80', '81']) await nat('-A', 'ENTRIES', ...port(number), '-j', chain);
      }
    });

    test('what is there is reported', () => {
      const glance = glanceAtKernel(family)!;
      expect(['LEAVING', 'LEAV', 'NOT-THERE'].map((chain) => glance.hasChain(chain))).toEqual([
        true,
        false,
        false,
      ]);
    });

    test('nothing goes while something else leads to it', async () => {
      await nat('-A', 'PREROUTING', '-j', 'LEAVING');
      const before = await lines();
      expect(glanceAtKernel(family)!.removeChain('LEAVING', 'ENTRIES')).toBe(false);
      expect(await lines()).toEqual(before);
      await nat('-D', 'PREROUTING', '-j', 'LEAVING');
    });

    test('it goes with its rules and the jumps to it, and nothing else; twice is refused', async () => {
      const glance = glanceAtKernel(family)!;
      const staying = (await lines()).filter((line) => !line.includes('LEAVING'));
      expect(glance.removeChain('LEAVING', 'ENTRIES')).toBe(true);
      expect(await lines()).toEqual(staying);
      expect(glance.hasChain('LEAVING')).toBe(false);
      expect(glance.removeChain('LEAVING', 'ENTRIES')).toBe(false);
      // The socket is good for further questions.
      expect(glance.portJumps('ENTRIES')?.map(({ chain }) => chain)).toEqual(['STAYING', 'STAYING']);
    });
  });
});
