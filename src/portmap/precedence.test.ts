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
    ['a chain that is sent for good into ours', '-g OTHER', ['-m addrtype --dst-type LOCAL -j OURS'], false],
    ['a chain behind one that leads to itself', '-j OTHER', ['-j OTHER', '-j DROP'], true],
    ['a chain whose own goto does not end it', '-j OTHER', ['-g GONE', '-j DROP'], false],
    ['a goto with a target of its own', '-g DROP', [], true],
    ['a rule without a target', '-p tcp', [], false],
    ['a rule that is cut off', '-p tcp -j', [], false],
    ['the first of a range', '-p tcp -m tcp --dport 80:90 -j DROP', [], true],
    ['the last of a range', '-p tcp -m tcp --dport 70:80 -j DROP', [], true],
    ['a range below', '-p tcp -m tcp --dport 70:79 -j DROP', [], false],
    ['a range above', '-p tcp -m tcp --dport 81:90 -j DROP', [], false],
    ['not the port', '-p tcp -m tcp ! --dport 80 -j DROP', [], false],
    ['several other ports', '-p tcp -m multiport --dports 22,81 -j DROP', [], false],
    ['none of several ports', '-p tcp -m multiport ! --dports 22,81 -j DROP', [], true],
    ['sources', '-p tcp -m tcp --sport 1024 -j DROP', [], false],
    ['not the protocol', '! -p tcp -j DROP', [], false],
    ['another protocol than udp', '! -p udp -j DROP', [], true],
    ['SCTP', '-p sctp -m sctp --dport 80 -j DROP', [], false],
    ['an unknown port of a known match', '-m sctp -j DROP', [], true],
    ['an unknown port of another known match', '-m udp -j DROP', [], true],
    ['what goes to this machine', '-m addrtype --dst-type LOCAL -j DROP', [], true],
    ['what does not go to this machine', '-m addrtype ! --dst-type LOCAL -j DROP', [], false],
    ['what goes to others', '-m addrtype --dst-type UNICAST -j DROP', [], false],
    ['what comes from this machine', '-m addrtype --src-type LOCAL -j DROP', [], false],
    ['this address without a prefix', '-d 10.0.0.1 -j DROP', [], true],
    ['not this address', '! -d 10.0.0.1/32 -j DROP', [], false],
    ['its network', '-d 10.0.0.0/8 -j DROP', [], true],
    ['no address', '-d nonsense -j DROP', [], false],
    ['an address of the other family', '-d fd00::1/128 -j DROP', [], false],
    ['not to one interface', '! -o eth0 -j DROP', [], true],
    ['to one interface', '-o eth0 -j DROP', [], false],
    ['by a mark', '-m mark --mark 0x1 -j DROP', [], false],
    ...['ACCEPT', 'DROP', 'DNAT', 'REDIRECT', 'SNAT', 'MASQUERADE', 'NETMAP', 'RETURN'].map(
      (target): [string, string, string[], boolean] => [
        `a target ${target}`,
        `-p tcp -j ${target}`,
        [],
        true,
      ],
    ),
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
