import { afterAll, beforeAll, expect, test } from 'bun:test';
import { join } from 'node:path';
import { output, realExec } from '../sys/exec.ts';

const name = (which: string) => `hpl-${process.pid}-${which}`;
const spaces = ['node', 'pod', 'third', 'fourth', 'lonely'];
const ip = (which: string, ...words: string[]) => output(realExec, ['ip', '-n', name(which), ...words]);

/** What `expression` of the devices of `node` is. */
async function ask(expression: string): Promise<unknown> {
  const source = `
    import { openNetDevices } from ${JSON.stringify(join(import.meta.dir, 'links.ts'))};
    const devices = openNetDevices();
    console.log(JSON.stringify(${expression} ?? null));`;
  const argv = ['ip', 'netns', 'exec', name('node'), process.execPath, '-e', source];
  return JSON.parse(await output(realExec, argv));
}

const otherEnd = (which: string, ifName: string) =>
  ask(`devices.otherEnd('/run/netns/${name(which)}', ${JSON.stringify(ifName)})?.name`);

async function pair(a: string, linkA: string, b: string, linkB: string, index: number): Promise<void> {
  const peer = ['type', 'veth', 'peer', 'name', linkB, 'index', String(index), 'netns', name(b)];
  await ip(a, 'link', 'add', linkA, 'index', String(index), ...peer);
}

beforeAll(async () => {
  for (const which of spaces) await output(realExec, ['ip', 'netns', 'add', name(which)]);
  // The same index wherever it can be: an index says nothing without its namespace.
  await pair('node', 'host20', 'pod', 'eth0', 20);
  await pair('third', 'other21', 'pod', 'net1', 21);
  await pair('node', 'host21', 'fourth', 'far21', 21);
  await ip('node', 'link', 'add', 'ports', 'type', 'bridge');
  await ip('node', 'link', 'set', 'host20', 'master', 'ports');
  await ip('node', 'link', 'add', 'mac0', 'link', 'host21', 'type', 'macvlan');
  await ip('node', 'link', 'set', 'mac0', 'netns', name('pod'));
});
afterAll(async () => {
  for (const which of spaces) await output(realExec, ['ip', 'netns', 'delete', name(which)]);
});

test('a device is found by name and by index, with its kind and what it is a port of', async () => {
  const { index } = (await ask(`devices.byName('ports')`)) as { index: number };
  const expected = { index: 20, name: 'host20', kind: 'veth', peer: 20, master: index };
  expect(await ask(`devices.byName('host20')`)).toMatchObject(expected);
  expect(await ask('devices.byIndex(20)')).toMatchObject(expected);
  expect(await ask(`devices.byName('lo')`)).toEqual({ index: 1, name: 'lo' });
  expect(await ask(`devices.byName('none')`)).toBeNull();
  expect(await ask('devices.byIndex(4711)')).toBeNull();
});

test.each([
  ['the end of a pair', 'pod', 'eth0', 'host20'],
  // The index is that of host21, which is the end of another pair.
  ['the end of a pair in a third namespace', 'pod', 'net1', null],
  ['what a macvlan sits on', 'pod', 'mac0', null],
  ['no such interface', 'pod', 'none', null],
  ['a loopback', 'pod', 'lo', null],
  ['a namespace that has nothing to do with ours', 'lonely', 'lo', null],
  ['the end of our own', 'node', 'host20', null],
])('the other end of %s', async (_what, which, ifName, expected) => {
  expect(await otherEnd(which, ifName)).toBe(expected);
});
