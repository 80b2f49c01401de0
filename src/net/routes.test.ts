import { expect, test } from 'bun:test';
import { parseIp } from '../util/ip.ts';
import { parseFibTrie, parseIfInet6 } from './local-addresses.ts';
import { deviceTowards, parseProcNetRoute } from './routes.ts';

const ROUTES =
  parseProcNetRoute(`Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010011AC	0003	0	0	0	00000000	0	0	0
eth0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
*	0001A8C0	00000000	0201	0	0	4096	00FFFFFF	0	0	0
*	0003A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
lxc1	0501A8C0	00000000	0005	0	0	0	FFFFFFFF	0	0	0
slow	0002A8C0	00000000	0001	0	0	100	00FFFFFF	0	0	0
fast	0002A8C0	00000000	0001	0	0	10	00FFFFFF	0	0	0
`);

test.each([
  ['192.168.1.5', 'lxc1'],
  ['192.168.1.6', undefined],
  ['192.168.2.9', 'fast'],
  ['192.168.3.9', undefined],
  ['172.17.0.3', 'eth0'],
  ['8.8.8.8', 'eth0'],
  ['fd00::5', undefined],
])('%s leaves by %p', (address, device) => {
  expect(deviceTowards(ROUTES, parseIp(address)!)).toBe(device as string);
});

test('without a default route there is a way to what is near only', () => {
  expect(deviceTowards(ROUTES.slice(1), parseIp('8.8.8.8')!)).toBeUndefined();
});

test('local addresses are the leaves that the kernel calls so', () => {
  const trie = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 172.17.0.2
        /32 host LOCAL
     |-- 172.17.255.255
        /32 link BROADCAST
`;
  expect([...parseFibTrie(trie)]).toEqual(['127.0.0.1', '172.17.0.2']);
});

test('IPv6 addresses are those of the interfaces', () => {
  const text =
    '00000000000000000000000000000001 01 80 10 80       lo\nfd780000000000000000000000000002 05 40 00 80 eth0\n';
  expect([...parseIfInet6(text)]).toEqual(['::1', 'fd78::2']);
});
