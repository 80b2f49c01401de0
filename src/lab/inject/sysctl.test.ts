import { expect, test } from 'bun:test';
import type { FaultDoor } from './fault.ts';
import { writeSysctl } from './sysctl.ts';

const NAME = 'net.ipv4.ip_forward';

/** A node whose sysctl exits with 0 whatever the kernel did: `kept` is what it makes of a value. */
function nodeThat(kept: (value: string) => string): FaultDoor {
  let setting = '1';
  const run: FaultDoor['run'] = async (_, argv) => {
    const [, asked] = argv.at(-1)!.split('=');
    if (argv.includes('-w')) setting = kept(asked!);
    return argv.includes('-n') ? `${setting}\n` : '';
  };
  return { run } as unknown as FaultDoor;
}

test('a setting that the kernel takes is written', async () => {
  const door = nodeThat((value) => value);
  await writeSysctl(door, 'n1', NAME, '0');
  expect(await door.run('n1', ['sysctl', '-n', NAME])).toBe('0\n');
});

test.each([
  ['did not write', '1'],
  ['changed to another value', '2'],
])('a setting that the kernel %s fails, although sysctl reports success', async (_, kept) => {
  await expect(
    writeSysctl(
      nodeThat(() => kept),
      'n1',
      NAME,
      '0',
    ),
  ).rejects.toThrow(`cannot set ${NAME} to 0 on node n1: the kernel kept ${kept}`);
});
