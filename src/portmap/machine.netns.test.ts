import { afterAll, beforeAll } from 'bun:test';
import { closeSync, openSync } from 'node:fs';
import { type Exec, output, realExec } from '../sys/exec.ts';
import { enterNetns } from '../sys/netns.ts';
import { familyOf } from '../util/family.ts';
import { REFERENCE_NFT_TABLE } from './layout.ts';
import { FLOWS, machineSuite, REFERENCE_RULES } from './machine.suite.ts';
import { thisMachine } from './machine.ts';

const node = `hpm-${process.pid}-node`;
const pod = `hpm-${process.pid}-pod`;

/** What iptables means here does not depend on the machine's default. */
const exec: Exec = {
  run: ([program, ...args], options) =>
    realExec.run([program!.replace(/^(ip6?tables)(?=$|-restore$)/, '$1-nft'), ...args], options),
};
const ip = (words: string) => output(realExec, ['ip', '-n', node, ...words.split(' ')]);
let home: number;

beforeAll(async () => {
  for (const name of [node, pod]) await output(realExec, ['ip', 'netns', 'add', name]);
  await ip('link set lo up');
  await ip('link add ports index 30 type bridge');
  await ip(`link add host0 index 20 type veth peer name eth0 netns ${pod}`);
  await ip('link set host0 master ports');
  await ip('link set ports up');
  await ip('address add 10.1.1.1/24 dev ports');
  await ip('address add fd01::1/64 dev ports nodad');
  await ip('route add 10.0.0.0/24 dev ports');
  await ip('route add blackhole 10.9.0.0/24');
  await ip('route add unreachable 10.8.0.0/24');
  home = openSync('/proc/thread-self/ns/net', 'r');
  enterNetns(`/run/netns/${node}`);
  for (const name of ['all', 'host0', 'ports']) thisMachine.setSysctl(name, 'route_localnet', '0');
  const rules = REFERENCE_RULES.map(
    ({ comment, text }) =>
      `add rule ip ${REFERENCE_NFT_TABLE} hostports ${text}${comment === undefined ? '' : ` comment "${comment}"`}`,
  );
  const table = `add table ip ${REFERENCE_NFT_TABLE}\nadd chain ip ${REFERENCE_NFT_TABLE} hostports`;
  await output(realExec, ['nft', '-f', '-'], { stdin: [table, ...rules, ''].join('\n') });
  for (const [i, { to, port, by, byPort }] of FLOWS.entries()) {
    const client = familyOf(to) === 'ipv4' ? '10.1.1.7' : 'fd01::7';
    // Flows to one port are of different clients.
    const from = String(4000 + i);
    await output(realExec, [
      ...['conntrack', '-I', '-p', 'udp', '-t', '120'],
      ...['-s', client, '--sport', from, '-d', to, '--dport', String(port)],
      ...['--reply-src', by, '--reply-port-src', String(byPort), '--reply-dst', client],
      ...['--reply-port-dst', from],
    ]);
  }
});

afterAll(async () => {
  enterNetns(`/proc/self/fd/${home}`);
  closeSync(home);
  for (const name of [node, pod]) await output(realExec, ['ip', 'netns', 'delete', name]);
});

machineSuite(() => ({ machine: thisMachine, exec, pod: `/run/netns/${pod}` }));
