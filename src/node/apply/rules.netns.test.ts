import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeAction } from '../../path/model/action.ts';
import { type Exec, output, realExec } from '../../sys/exec.ts';
import { Backups } from './backup.ts';
import { performActions } from './perform.ts';

// Real tools in a network namespace of the test's own.
const namespace = `hpt-apply-${process.pid}`;
let scratch: string;

/** Runs everything in the namespace. */
const exec: Exec = {
  run: (argv, options) => realExec.run(['nsenter', `--net=/run/netns/${namespace}`, ...argv], options),
};
const run = (...argv: string[]) => output(exec, argv);

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'hostport-rules-'));
  await output(realExec, ['ip', 'netns', 'add', namespace]);
  await run('ip', 'link', 'set', 'lo', 'up');
  await run('ip', 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1');
  for (const device of ['veth0', 'veth1']) await run('ip', 'link', 'set', device, 'up');
});
afterAll(async () => {
  await output(realExec, ['ip', 'netns', 'delete', namespace]);
  rmSync(scratch, { recursive: true });
});

async function perform(action: NodeAction) {
  const context = { exec, backups: new Backups(new Date(), scratch), ownPlugins: scratch };
  const [result] = await Array.fromAsync(performActions([action], context));
  return result!;
}

async function twice(action: NodeAction) {
  const first = await perform(action);
  expect(await perform(action)).toMatchObject({ outcome: 'unchanged' });
  return first;
}

describe.each(['iptables-nft', 'iptables-legacy'] as const)('%s', (variant) => {
  const change = (...commands: string[][]): NodeAction => ({
    do: 'iptables',
    variant,
    family: 'ipv4',
    table: 'nat',
    commands,
  });
  const chain = async (name: string) =>
    (await run(variant, '-t', 'nat', '-S', name)).trim().split('\n').slice(1);
  const jump = ['-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'HP'];

  beforeEach(async () => {
    await run(variant, '-t', 'nat', '-F');
    await run(variant, '-t', 'nat', '-X');
    await run(variant, '-t', 'nat', '-N', 'HP');
  });

  test('adds a rule once, with a copy of the table before', async () => {
    const first = await twice(change(['-A', 'PREROUTING', ...jump]));
    expect(await chain('PREROUTING')).toEqual([`-A PREROUTING ${jump.join(' ')}`]);
    expect(await Bun.file(first.backup!).text()).not.toContain('addrtype');
  });

  test('a rule with a comment of blanks and quotes is one word each', async () => {
    const comment = 'name: "a b" \\ id: "c"';
    await twice(change(['-A', 'HP', '-p', 'tcp', '-m', 'comment', '--comment', comment, '-j', 'RETURN']));
    expect(await chain('HP')).toHaveLength(1);
  });

  test('a chain is made and filled in one go', async () => {
    await twice(change(['-N', 'HP2'], ['-A', 'HP2', '-j', 'RETURN'], ['-A', 'PREROUTING', ...jump]));
    expect(await chain('HP2')).toEqual(['-A HP2 -j RETURN']);
  });

  test('takes out as many as there are and as are asked for', async () => {
    for (let i = 0; i < 3; i++) await run(variant, '-t', 'nat', '-A', 'HP', '-j', 'RETURN');
    const gone = ['-D', 'HP', '-j', 'RETURN'];
    expect(await perform(change(gone, gone))).toMatchObject({ outcome: 'done' });
    expect(await chain('HP')).toHaveLength(1);
    await twice(change(gone, gone, gone));
    expect(await chain('HP')).toEqual([]);
  });

  test('puts a rule first, which is nothing when it is', async () => {
    await run(variant, '-t', 'nat', '-A', 'PREROUTING', '-p', 'udp', '-j', 'RETURN');
    await run(variant, '-t', 'nat', '-A', 'PREROUTING', ...jump);
    await twice(change(['-D', 'PREROUTING', ...jump], ['-I', 'PREROUTING', ...jump]));
    expect((await chain('PREROUTING'))[0]).toContain('addrtype');
  });

  test('all or nothing', async () => {
    const result = await perform(change(['-A', 'HP', '-j', 'RETURN'], ['-A', 'HP', '-j', 'NO-SUCH-CHAIN']));
    expect(result.outcome).toBe('failed');
    expect(await chain('HP')).toEqual([]);
  });

  test('a rule by number is refused', async () => {
    expect(await perform(change(['-D', 'PREROUTING', '1']))).toMatchObject({ outcome: 'failed' });
  });

  test('a policy', async () => {
    await run(variant, '-P', 'FORWARD', 'DROP');
    await twice({
      do: 'iptables',
      variant,
      family: 'ipv4',
      table: 'filter',
      commands: [['-P', 'FORWARD', 'ACCEPT']],
    });
    expect(await run(variant, '-S', 'FORWARD')).toStartWith('-P FORWARD ACCEPT');
  });
});

test('a rule of nft goes by its handle', async () => {
  await run('nft', 'add table inet t; add chain inet t c; add rule inet t c tcp dport 80 drop');
  const listed = await run('nft', '-a', 'list', 'chain', 'inet', 't', 'c');
  const handle = Number(/drop # handle (\d+)/.exec(listed)![1]);
  await twice({ do: 'delete-nft-rule', family: 'inet', table: 't', chain: 'c', handle });
  expect(await run('nft', 'list', 'chain', 'inet', 't', 'c')).not.toContain('drop');
});

test('names that are more than names do not reach nft', async () => {
  const action = {
    do: 'delete-nft-rule',
    family: 'inet',
    table: 't; flush ruleset',
    chain: 'c',
    handle: 1,
  } as const;
  expect(await perform(action)).toMatchObject({
    outcome: 'failed',
    detail: expect.stringContaining('not a name'),
  });
});

describe('replace-route', () => {
  const route = (change: object): NodeAction =>
    ({
      do: 'replace-route',
      family: 'ipv4',
      destination: '10.9.0.5/32',
      device: 'veth0',
      ...change,
    }) as NodeAction;

  test('makes a route, and moves one that leads elsewhere', async () => {
    await twice(route({}));
    await run('ip', 'route', 'replace', '10.9.0.5/32', 'dev', 'veth1');
    expect(await twice(route({}))).toMatchObject({ detail: expect.stringContaining('before: veth1') });
    expect(await run('ip', 'route', 'show', '10.9.0.5')).toContain('dev veth0');
  });

  test.each([
    [{ destination: '10.9.0.5' }],
    [{ destination: 'fd00::/64' }],
    [{ gateway: 'a.b' }],
    [{ device: '-h' }],
    [{ device: undefined }],
  ])('%p is refused', async (change) => {
    expect(await perform(route(change))).toMatchObject({ outcome: 'failed' });
  });
});

test('a flow is forgotten, and one that is not there is fine', async () => {
  const flow = {
    protocol: 'udp',
    family: 'ipv4',
    source: '10.9.0.1',
    sourcePort: 4000,
    destination: '10.9.0.2',
    destinationPort: 53,
  } as const;
  await run(
    ...['conntrack', '-I', '-p', 'udp', '-s', flow.source, '-d', flow.destination],
    ...['--sport', '4000', '--dport', '53', '--timeout', '60'],
  );
  await twice({ do: 'delete-flow', ...flow });
  expect(await run('conntrack', '-L', '-p', 'udp')).toBe('');
});
