import { describe, expect, test } from 'bun:test';
import { contains } from '../util/cidr.ts';
import { parseIp } from '../util/ip.ts';
import { type Packet, takenBefore } from './precedence.ts';

const ours = '-A PREROUTING -m addrtype --dst-type LOCAL -j OURS';
const node = parseIp('10.0.0.1')!;
const packet: Packet = {
  protocol: 'tcp',
  port: 80,
  mayGoTo: (network) => contains(network, node),
  mayGoBeyond: (network) => !contains(network, node),
};

describe('before ours', () => {
  test.each<[string, string, string[], boolean]>([
    ['a translation of the port', '-p tcp -m tcp --dport 80 -j DNAT --to-destination 10.1.1.1:1', [], true],
    ['of another port', '-p tcp -m tcp --dport 81 -j DNAT --to-destination 10.1.1.1:1', [], false],
    ['of another protocol', '-p udp -m udp --dport 80 -j DNAT --to-destination 10.1.1.1:1', [], false],
    ['of a range', '-p tcp -m tcp --dport 79:81 -j REDIRECT --to-ports 1', [], true],
    ['of several ports', '-p tcp -m multiport --dports 22,80:90 -j ACCEPT', [], true],
    ['of all others', '-p tcp -m tcp ! --dport 22 -j ACCEPT', [], true],
    ['of this address', '-d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j ACCEPT', [], true],
    ['of another address', '-d 10.0.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT', [], false],
    ['not of another address', '! -d 127.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT', [], true],
    ['from somewhere', '-s 10.9.0.0/16 -p tcp -m tcp --dport 80 -j ACCEPT', [], false],
    ['by some way', '-i eth1 -p tcp -m tcp --dport 80 -j ACCEPT', [], false],
    ['by any way but one', '! -i docker0 -p tcp -m tcp --dport 80 -j ACCEPT', [], true],
    ['under an unknown condition', '-m set --match-set x dst -p tcp -j ACCEPT', [], false],
    ['a note', '-p tcp -j LOG --log-prefix "a b"', [], false],
    ['a way out', '-j RETURN', [], true],
    [
      'a chain that takes it',
      '-j OTHER',
      ['-p tcp -m tcp --dport 80 -j DNAT --to-destination 1.1.1.1:1'],
      true,
    ],
    ['a chain that lets it pass', '-m comment --comment "x y" -j OTHER', ['-j RETURN', '-j ACCEPT'], false],
    ['a chain that it is sent to for good', '-g OTHER', ['-p udp -j ACCEPT'], true],
    ['a chain of other packets', '-p udp -j OTHER', ['-j ACCEPT'], false],
    ['a chain that has ours', '-j OTHER', ['-m addrtype --dst-type LOCAL -j OURS', '-j ACCEPT'], false],
    ['a chain that leads to itself', '-j OTHER', ['-j OTHER'], false],
  ])('%s: %s', async (_name, earlier, other, taken) => {
    const chains: Record<string, string[]> = {
      PREROUTING: [`-A PREROUTING ${earlier}`, ours],
      OTHER: other.map((rule) => `-A OTHER ${rule}`),
    };
    const by = await takenBefore(
      async (chain) => chains[chain],
      'PREROUTING',
      (line) => line.endsWith('-j OURS'),
      packet,
    );
    expect(by !== undefined).toBe(taken);
    if (taken) expect([...chains.PREROUTING!, ...chains.OTHER!]).toContain(by!);
  });

  test('what comes behind takes nothing', async () => {
    const list = async () => [ours, '-A PREROUTING -j ACCEPT'];
    expect(await takenBefore(list, 'PREROUTING', (line) => line === ours, packet)).toBeUndefined();
  });
});
