import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { catalogue } from '../../path/stages/index.ts';
import { podOn, smallWorld } from '../../path/testing/small-world.ts';
import { chooseTargets, FaultBook, inject, injectSomewhere, restore } from './book.ts';
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
    ['first', 'second', 'third'].map((node) => ({ failure, target: target(node), memo, ready: [] })),
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
  const there = 'choose one of a on n1, b on n2';

  test.each<[string, Parameters<typeof chooseTargets>[1], string]>([
    ['of another name', { pod: 'c' }, `no pod c with a hostPort; ${there}`],
    ['of another namespace', { namespace: 'shop', pod: 'a' }, `no pod shop/a with a hostPort; ${there}`],
    ['of another node', { node: 'n1', pod: 'b' }, `no pod b with a hostPort on node n1; ${there}`],
    ['of a node without any', { node: 'n3' }, `no pod with a hostPort on node n3; ${there}`],
    ['that do not run', {}, 'no pod that could have it runs: a on n1, b on n2; "hostport doctor" shows why'],
    [
      'that do not run, of one node',
      { node: 'n2' },
      'no pod that could have it runs: b on n2; "hostport doctor" shows why',
    ],
  ])('%s: the error says what there is', (_, wishes, said) => {
    expect(() => chooseTargets(world, wishes)).toThrow(new RegExp(`^cannot inject a failure: ${said}$`));
  });

  test('none at all: the error says to deploy one', () => {
    expect(() => chooseTargets(smallWorld([]), {})).toThrow(
      /^cannot inject a failure: no pod of the cluster has a hostPort; deploy one first$/,
    );
  });
});

describe('injecting', () => {
  const never = new AbortController().signal;
  const named = (code: string) => catalogue.find((entry) => entry.code === code)!;

  /** A lab whose nodes run these commands: by their first words, in what they print. */
  function labOf(answers: Readonly<Record<string, string>>, log: string[] = []) {
    const doorFor = (signal: AbortSignal) =>
      ({
        list: async () => [],
        watchesConfDir: async () => false,
        readyPods: async () => [{ namespace: 'default', name: 'echo' }],
        async run(node: string, argv: readonly string[]) {
          signal.throwIfAborted();
          log.push(`${node}: ${argv.join(' ')}`);
          const known = Object.keys(answers).find((words) => argv.join(' ').startsWith(words));
          return known === undefined ? '' : answers[known]!;
        },
      }) as unknown as FaultDoor;
    return { book, doorFor };
  }

  /** A lab with portmap's rules, where some commands on a node fail with a message. */
  function failingDoor(messageOf: (argv: readonly string[]) => string | undefined) {
    const lab = labOf({ 'iptables -w -t nat -S': '-N CNI-HOSTPORT-DNAT', 'iptables-save': '*nat' });
    return (signal: AbortSignal): FaultDoor => {
      const door = lab.doorFor(signal);
      return {
        ...door,
        async run(node, argv) {
          const message = messageOf(argv);
          if (message !== undefined) throw new Error(message);
          return door.run(node, argv);
        },
      };
    };
  }

  test('a node that has the failure already is skipped, and named when there is no other', async () => {
    const door = labOf({ 'iptables -w -t nat -S': '-N CNI-HOSTPORT-DNAT', 'iptables-save': '*nat' });
    const targets = ['n1', 'n2'].map(target);
    const somewhere = () => injectSomewhere(door, named('mapping-missing'), targets, never);
    expect((await somewhere()).target.node).toBe('n1');
    expect((await somewhere()).target.node).toBe('n2');
    await expect(somewhere()).rejects.toThrow(
      'cannot inject mapping-missing: on n1, n2: it is already injected there; undo it with "hostport unbreak mapping-missing"',
    );
  });

  test('which pods were ready before is written down', async () => {
    const door = labOf({ 'iptables -w -t nat -S': '-N CNI-HOSTPORT-DNAT', 'iptables-save': '*nat' });
    await inject(door, named('mapping-missing'), target('n1'), never);
    expect((await book.list()).at(-1)!.ready).toEqual([{ namespace: 'default', name: 'echo' }]);
  });

  test('why no node suits is said once for all nodes of which it is so', async () => {
    const targets = ['n1', 'n2'].map(target);
    await expect(injectSomewhere(labOf({}), named('mapping-missing'), targets, never)).rejects.toThrow(
      'cannot inject mapping-missing: on n1, n2: table nat has no chain CNI-HOSTPORT-DNAT: portmap has the nftables backend there, or has mapped no port yet; choose a node on which portmap has the iptables backend with --node',
    );
    await expect(injectSomewhere(labOf({}), named('plugin-order-wrong'), targets, never)).rejects.toThrow(
      'cannot inject plugin-order-wrong: on n1, n2: no configuration is in /etc/cni/net.d; choose another node with --node',
    );
    expect(await remembered()).toEqual(['first', 'second', 'third']);
  });

  test('what no lab can have is refused at once, with where to read about it', async () => {
    const log: string[] = [];
    await expect(
      injectSomewhere(labOf({}, log), named('runtime-owns-hostports'), [target('n1')], never),
    ).rejects.toThrow(
      'cannot inject runtime-owns-hostports: it takes CRI-O as the runtime, and nodes of the lab have containerd; "hostport doctor --explain runtime-owns-hostports" says what is known of it',
    );
    expect(log).toEqual([]);
  });

  test('what is interrupted half way is undone all the same', async () => {
    const log: string[] = [];
    const controller = new AbortController();
    const lab = labOf({ 'iptables -w -t nat -S': '-N CNI-HOSTPORT-DNAT', 'iptables-save': '*nat' }, log);
    const doorFor = (signal: AbortSignal) => {
      const door = lab.doorFor(signal);
      return {
        ...door,
        async run(node: string, argv: readonly string[]) {
          if (argv.includes('-F')) controller.abort(new Error('interrupted'));
          return door.run(node, argv);
        },
      };
    };
    const injector = { book, doorFor };
    await expect(inject(injector, named('mapping-missing'), target('n1'), controller.signal)).rejects.toThrow(
      /^interrupted$/,
    );
    expect(log.at(-1)).toBe('n1: iptables-restore -w -T nat');
    expect(await remembered()).toEqual(['first', 'second', 'third']);
  });

  test.each([
    ['iptables-save', 'nothing was changed'],
    ['iptables -w -t nat -F', 'what was changed is undone'],
  ])('an error of "%s" on the node says what was attempted, and what is so now', async (words, now) => {
    const doorFor = failingDoor((argv) =>
      argv.join(' ').startsWith(words) ? `n1: ${words}: exit status 4` : undefined,
    );
    await expect(inject({ book, doorFor }, named('mapping-missing'), target('n1'), never)).rejects.toThrow(
      `cannot inject mapping-missing on node n1: n1: ${words}: exit status 4; ${now}; try again, or another node with --node`,
    );
    expect(await remembered()).toEqual(['first', 'second', 'third']);
  });

  test('an error of what cannot be undone either does not say that it is undone', async () => {
    const doorFor = failingDoor((argv) =>
      argv.includes('-F') || argv[0] === 'iptables-restore' ? `${argv[0]} failed` : undefined,
    );
    await expect(inject({ book, doorFor }, named('mapping-missing'), target('n1'), never)).rejects.toThrow(
      'cannot inject mapping-missing on node n1: iptables failed; what was changed is not undone; undo it with "hostport unbreak mapping-missing"; and then: cannot undo mapping-missing on node n1: iptables-restore failed',
    );
    expect(await remembered()).toEqual(['first', 'second', 'third', 'n1']);
  });
});
