import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { catalogue } from '../../path/stages/index.ts';
import { podOn, smallWorld } from '../../path/testing/small-world.ts';
import { chooseTargets, FaultBook, restore } from './book.ts';
import type { FaultDoor, FaultTarget } from './fault.ts';

// A failure that is undone by one look at the node, when the device that it was about is gone.
const failure = catalogue.find(({ code }) => code === 'route-localnet-off')!;
const memo = { name: 'net.ipv4.conf.lxc1.route_localnet', value: '1', all: '0' };
const target = (node: string): FaultTarget => ({
  node,
  pod: { namespace: 'default', name: 'echo', uid: 'u', address: '10.0.0.2' },
  port: { hostPort: 80, containerPort: 8080, protocol: 'TCP' },
  sandbox: 's',
  nodeAddress: '172.17.0.3',
});

let root: string;
let book: FaultBook;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'hostport-faults-'));
  mkdirSync(join(root, 'lab'));
  book = new FaultBook({ name: 'lab' }, root);
  await book.update(() =>
    ['first', 'second', 'third'].map((node) => ({ failure, target: target(node), memo })),
  );
});
afterEach(() => rmSync(root, { recursive: true }));

/** A lab of which some nodes do not answer. */
function door(dead: readonly string[]): FaultDoor {
  return {
    list: async (node: string) => {
      if (dead.includes(node)) throw new Error(`${node} does not answer`);
      return [];
    },
  } as unknown as FaultDoor;
}

const remembered = async () => (await book.list()).map((entry) => entry.target.node);

test('one that cannot be undone keeps no other from it, and stays remembered until it can', async () => {
  const { undone, failed } = await restore(book, door(['second']), () => true);
  expect(undone.map((entry) => entry.target.node)).toEqual(['third', 'first']);
  expect(failed.map(({ entry, cause }) => [entry.target.node, (cause as Error).message])).toEqual([
    ['second', 'second does not answer'],
  ]);
  expect(await remembered()).toEqual(['second']);

  const again = await restore(book, door([]), () => true);
  expect([again.undone.length, again.failed.length]).toEqual([1, 0]);
  expect(await remembered()).toEqual([]);
  expect(await restore(book, door([]), () => true)).toEqual({ undone: [], failed: [] });
});

test('only those that were chosen', async () => {
  const { undone } = await restore(book, door([]), (entry) => entry.target.node === 'first');
  expect(undone.map((entry) => entry.target.node)).toEqual(['first']);
  expect(await remembered()).toEqual(['second', 'third']);
});

describe('the pods that a failure may be injected for', () => {
  const world = smallWorld([podOn('n1', 'a', 80), podOn('n2', 'b', 80)]);

  test.each<[string, Parameters<typeof chooseTargets>[1], string]>([
    ['of another name', { pod: 'c' }, ': pod c; there are a on n1, b on n2'],
    ['of another namespace', { namespace: 'shop', pod: 'a' }, ': pod shop/a; there are a on n1, b on n2'],
    ['of another node', { node: 'n1', pod: 'b' }, ': pod b on node n1; there are a on n1, b on n2'],
  ])('%s: the error says which there are', (_, wishes, said) => {
    expect(() => chooseTargets(world, wishes)).toThrow(
      `cannot inject a failure: no pod with a hostPort${said}`,
    );
  });

  test('none at all: the error says to deploy one', () => {
    expect(() => chooseTargets(smallWorld([]), {})).toThrow(
      'no pod with a hostPort in the cluster; deploy one first',
    );
  });
});
