import { afterAll, beforeAll, expect, test } from 'bun:test';
import { known } from '../../path/model/observed.ts';
import { type Exec, output, realExec } from '../../sys/exec.ts';
import { namespaceIdentity } from '../../sys/netns.ts';
import { waitFor } from '../../sys/wait.ts';
import { readFlows } from './flows.ts';
import { readNetfilter } from './netfilter.ts';
import { readNetwork } from './network.ts';
import { whichProgram } from './take.ts';

// The node's own tools in a network namespace of the test's own.
const namespace = `hpt-report-${process.pid}`;
const exec: Exec = {
  run: (argv, options) => realExec.run(['nsenter', `--net=/run/netns/${namespace}`, ...argv], options),
};
const run = (...argv: string[]) => output(exec, argv);
/** A process that runs inside the namespace, whose view of /proc/net is the namespace's. */
let resident: Bun.Subprocess;

beforeAll(async () => {
  await output(realExec, ['ip', 'netns', 'add', namespace]);
  resident = Bun.spawn(['nsenter', `--net=/run/netns/${namespace}`, 'sleep', '60']);
  await waitFor(
    'a process in the namespace',
    () => namespaceIdentity(`/proc/${resident.pid}/ns/net`) === namespaceIdentity(`/run/netns/${namespace}`),
    { timeoutMs: 5000 },
  );
  await run('ip', 'link', 'add', 'br0', 'type', 'bridge');
  await run('ip', 'link', 'add', 'veth0', 'master', 'br0', 'type', 'veth', 'peer', 'name', 'veth1');
  await run('ip', 'address', 'add', '10.9.0.1/24', 'dev', 'br0');
  for (const device of ['lo', 'br0', 'veth0']) await run('ip', 'link', 'set', device, 'up');
  await run('ip', 'route', 'add', 'blackhole', '10.8.0.0/16', 'table', '99');
});
afterAll(async () => {
  resident.kill();
  await resident.exited;
  await output(realExec, ['ip', 'netns', 'delete', namespace]);
});

test('policy rules, in the order in which they apply', async () => {
  await run(
    'ip',
    'rule',
    'add',
    'not',
    'from',
    '10.0.0.0/8',
    'fwmark',
    '0x200/0xf00',
    'table',
    '99',
    'priority',
    '9',
  );
  await run('ip', 'rule', 'add', 'nop', 'priority', '10');
  await run('ip', 'rule', 'add', 'from', '10.0.0.0/8', 'goto', '30', 'priority', '11');
  await run('ip', '-6', 'rule', 'add', 'from', 'fd00::/8', 'unreachable', 'priority', '12');
  const { ipv4, ipv6 } = (await readNetwork(exec)).rules!;
  const rules = known(ipv4);
  expect(rules?.map(({ table, action }) => table ?? action)).toEqual([
    'local',
    '99',
    'nop',
    'goto 30',
    'main',
    'default',
  ]);
  expect(known(ipv6)).toEqual([
    { priority: 0, table: 'local' },
    { priority: 12, source: 'fd00::/8', action: 'unreachable' },
    { priority: 32766, table: 'main' },
  ]);
  expect(rules?.[1]).toEqual({
    priority: 9,
    inverted: true,
    source: '10.0.0.0/8',
    mark: { value: 0x200, mask: 0xf00 },
    table: '99',
  });
});

test('links, addresses and routes of every table', async () => {
  const { links, addresses, routes } = await readNetwork(exec);
  expect(known(links)).toContainEqual(
    expect.objectContaining({ name: 'veth0', kind: 'veth', master: 'br0', up: true }),
  );
  expect(known(addresses)).toContainEqual({
    device: 'br0',
    family: 'ipv4',
    address: '10.9.0.1',
    prefix: 24,
    scope: 'global',
  });
  expect(known(routes)).toContainEqual({
    family: 'ipv4',
    destination: '10.8.0.0/16',
    table: '99',
    type: 'blackhole',
  });
});

test('rules are read as they are, and reading them leaves no tables behind', async () => {
  const empty = await readNetfilter(exec, whichProgram, {
    proc: `/proc/${resident.pid}`,
    nftTables: () => undefined,
  });
  expect(empty.iptables.map(({ text }) => known(text))).toEqual(['', '', '', '']);
  expect(await run('cat', '/proc/net/ip_tables_names')).toBe('');
  expect(await run('nft', 'list', 'ruleset')).toBe('');

  await run(
    'iptables-nft',
    '-t',
    'nat',
    '-A',
    'PREROUTING',
    '-p',
    'tcp',
    '--dport',
    '80',
    '-j',
    'DNAT',
    '--to-destination',
    '10.9.0.5:8080',
  );
  const { iptables, nft } = await readNetfilter(exec, whichProgram, {
    proc: `/proc/${resident.pid}`,
    nftTables: () => undefined,
  });
  expect(known(iptables[0]!.text)).toContain(
    '[0:0] -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.0.5:8080',
  );
  expect(JSON.parse(known(nft)!)).toMatchObject({
    nftables: expect.arrayContaining([{ table: expect.objectContaining({ name: 'nat' }) }]),
  });
});

test('a flow to a hostPort is seen with its answerer', async () => {
  await run(
    ...[
      'conntrack',
      '-I',
      '-p',
      'udp',
      '-s',
      '10.9.0.7',
      '-d',
      '10.9.0.1',
      '--sport',
      '4000',
      '--dport',
      '53',
    ],
    ...[
      '-r',
      '10.9.0.5',
      '-q',
      '10.9.0.7',
      '--reply-port-src',
      '5353',
      '--reply-port-dst',
      '4000',
      '--timeout',
      '60',
    ],
  );
  const flows = await readFlows(exec, { hostPorts: new Set([53]), addresses: new Set() }, 1);
  expect(flows).toEqual([
    expect.objectContaining({
      protocol: 'udp',
      destinationPort: 53,
      replySource: '10.9.0.5',
      replySourcePort: 5353,
    }),
  ]);
});
