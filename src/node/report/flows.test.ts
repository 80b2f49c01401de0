import { describe, expect, test } from 'bun:test';
import type { Exec } from '../../sys/exec.ts';
import { parseFlows, readFlows, readFlowsFrom } from './flows.ts';

const TCP =
  'tcp      6 117 TIME_WAIT src=172.17.0.1 dst=172.17.0.3 sport=50934 dport=80 src=10.244.1.2 dst=172.17.0.1 sport=8080 dport=50934 [ASSURED] mark=0 use=1';
const UDP =
  'udp      17 29 src=172.17.0.1 dst=172.17.0.3 sport=40651 dport=81 [UNREPLIED] src=10.244.1.9 dst=172.17.0.1 sport=8080 dport=40651 mark=0 use=1';
const ICMP =
  'icmp     1 29 src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=1 src=10.0.0.2 dst=10.0.0.1 type=0 code=0 id=1';
const OTHER =
  'tcp      6 431957 ESTABLISHED src=172.17.0.3 dst=172.17.0.2 sport=46732 dport=6443 src=172.17.0.2 dst=172.17.0.3 sport=6443 dport=46732 [ASSURED] mark=0 use=1';

const udp = {
  protocol: 'udp',
  source: '172.17.0.1',
  sourcePort: 40651,
  destination: '172.17.0.3',
  destinationPort: 81,
  replySource: '10.244.1.9',
  replySourcePort: 8080,
  replyDestination: '172.17.0.1',
  replyDestinationPort: 40651,
  unreplied: true,
};

test('both directions are read, state and all', () => {
  expect(parseFlows(`${TCP}\n${UDP}\n${ICMP}\n\n`)).toEqual([
    {
      protocol: 'tcp',
      state: 'TIME_WAIT',
      source: '172.17.0.1',
      sourcePort: 50934,
      destination: '172.17.0.3',
      destinationPort: 80,
      replySource: '10.244.1.2',
      replySourcePort: 8080,
      replyDestination: '172.17.0.1',
      replyDestinationPort: 50934,
      unreplied: false,
    },
    udp,
  ]);
});

describe('of a node', () => {
  const LISTED = `${TCP}\n${UDP}\n${OTHER}\n`;
  const exec: Exec = {
    run: async (argv) => ({ code: 0, stdout: argv.includes('-f') ? '' : LISTED, stderr: '' }),
  };

  test.each([
    [[80], [], [80]],
    [[80, 81], [], [80, 81]],
    [[], ['10.244.1.9'], [81]],
    [[], [], []],
  ])('hostPorts %p and pods %p: flows to %p', async (hostPorts, addresses, ports) => {
    const filter = { hostPorts: new Set(hostPorts), addresses: new Set(addresses) };
    const flows = await readFlows(exec, filter, 3);
    expect(flows.map(({ destinationPort }) => destinationPort)).toEqual(ports);
  });

  test.each([
    ['conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown.\n', 1],
    ['conntrack v1.10.0 (conntrack-tools): 3 flow entries have been shown.\n', 1],
    ['conntrack v2.0.0 (conntrack-tools): 3 flow entries have been shown.\n', 1],
    ['conntrack v1.4.6 (conntrack-tools): 3 flow entries have been shown.\n', 2],
    ['', 2],
  ])('where conntrack says %p, the table is read %p times', async (stderr, times) => {
    const runs: (readonly string[])[] = [];
    const remembering: Exec = {
      run: async (argv) => {
        runs.push(argv);
        return { code: 0, stdout: argv.includes('-f') ? '' : LISTED, stderr };
      },
    };
    const flows = await readFlowsFrom(remembering, new Set([46732, 40651, 8080]));
    expect(flows.map(({ destinationPort }) => destinationPort)).toEqual([81, 6443]);
    expect(runs).toEqual(
      [
        ['conntrack', '-L'],
        ['conntrack', '-L', '-f', 'ipv6'],
      ].slice(0, times),
    );
  });

  test('a table that is too large is not read', async () => {
    const never: Exec = { run: () => Promise.reject(new Error('must not be run')) };
    await expect(readFlows(never, { hostPorts: new Set(), addresses: new Set() }, 1_000_000)).rejects.toThrow(
      '1000000 connections are tracked',
    );
  });
});
