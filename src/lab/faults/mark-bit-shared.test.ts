import { expect, test } from 'bun:test';
import type { FaultDoor, FaultTarget } from '../inject/fault.ts';
import { fault } from './mark-bit-shared.ts';

const MASQ = (mask: string) => `-A CNI-HOSTPORT-MASQ -m mark --mark ${mask}/${mask} -j MASQUERADE`;
const SETMARK = (mask: string) =>
  `-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark ${mask}/${mask}`;
const KUBERNETES = '-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0';

/** What a restore runs to change rules, on a node that has these in table nat. */
async function changes(rules: readonly string[]): Promise<string[]> {
  const run: string[] = [];
  const door = {
    list: async () => [],
    run: async (_: string, argv: readonly string[]) => {
      if (argv[0] === 'iptables-save') return rules.join('\n');
      if (argv.some((word) => ['-A', '-D'].includes(word))) run.push(argv.slice(4).join(' '));
      return '';
    },
  } as unknown as FaultDoor;
  await fault.restore(door, { node: 'n1' } as FaultTarget, {});
  return run;
}

test('undoing gives portmap’s rules the bit of its configuration again', async () => {
  expect(await changes([MASQ('0x1000'), SETMARK('0x1000'), KUBERNETES])).toEqual(
    [MASQ, SETMARK].flatMap((rule) => [
      rule('0x2000').replaceAll('"', ''),
      rule('0x1000').replace('-A', '-D').replaceAll('"', ''),
    ]),
  );
});

test('undoing adds no rule that is there, and changes none of the bit', async () => {
  expect(await changes([MASQ('0x2000'), MASQ('0x1000'), SETMARK('0x2000'), KUBERNETES])).toEqual([
    MASQ('0x1000').replace('-A', '-D'),
  ]);
});
