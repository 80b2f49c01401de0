import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { type AddressValue, formatAddress, parseAddress } from '../../util/address.ts';
import { contains, parseCidr } from '../../util/cidr.ts';
import { parseIp } from '../../util/ip.ts';
import { AddressStandIns } from './addresses.ts';

const coins = fc.infiniteStream(fc.boolean()).map((stream) => () => stream.next().value as boolean);
const IPV4 = fc.nat({ max: 0xffffffff });
const IPV6 = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
const NETWORKS = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fd00::/8', '2000::/3'];

/** Addresses as clusters have them, and any. */
const addresses = fc.oneof(
  fc.constantFrom(
    '10.244.1.5',
    '10.244.1.6',
    '10.96.0.10',
    '172.17.0.3',
    '192.168.1.2',
    '8.8.8.8',
    'fd00::5',
  ),
  fc.oneof<fc.Arbitrary<AddressValue>[]>(IPV4, IPV6).map(formatAddress),
);

function commonPrefix(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => {
    const value = parseAddress(text)!;
    return BigInt(value)
      .toString(2)
      .padStart(typeof value === 'number' ? 32 : 128, '0');
  }) as [string, string];
  let length = 0;
  while (length < left.length && left[length] === right[length]) length++;
  return left.length === right.length ? length : -1;
}

test('two stand-ins have as many leading bits in common as what they stand for', () => {
  fc.assert(
    fc.property(coins, addresses, addresses, (coin, a, b) => {
      const standIns = new AddressStandIns(coin);
      expect(commonPrefix(standIns.of(a)!, standIns.of(b)!)).toBe(commonPrefix(a, b));
    }),
  );
});

test('no address of a private or public network stands for itself, and each stays in its class', () => {
  const ofNetwork = fc.constantFrom(...NETWORKS).chain((network) => {
    const { ip, prefix } = parseCidr(network)!;
    const bits = ip.family === 'ipv4' ? 32 : 128;
    const first = BigInt(parseAddress(network.split('/')[0]!)!);
    return fc.bigInt({ min: 0n, max: (1n << BigInt(bits - prefix)) - 1n }).map((host) => {
      const value = first | host;
      return { network, text: formatAddress(bits === 32 ? Number(value) : value) };
    });
  });
  fc.assert(
    fc.property(coins, ofNetwork, (coin, { network, text }) => {
      const standIn = new AddressStandIns(coin).of(text)!;
      expect(standIn).not.toBe(text);
      expect(contains(parseCidr(network)!, parseIp(standIn)!)).toBe(true);
    }),
  );
});

test.each([
  ...['0.0.0.0', '0.0.0.0/0', '127.0.0.1', '127.0.0.0/8', '169.254.1.1', '169.254.169.254', '224.0.0.1'],
  ...['255.255.255.0', '255.255.255.255', '::', '::1', '::/0', 'ff02::1', 'fe80::/64'],
])('%s stays', (text) => {
  expect(new AddressStandIns().of(text)).toBe(text);
});

test.each(['10.244.1.0/24', '172.16.0.0/12', '192.168.0.0/16', 'fd00:10::/32', '128.0.0.0/1'])(
  'the network %s stays a network of that length',
  (text) => {
    const [, prefix] = text.split('/');
    const standIn = new AddressStandIns().of(text)!;
    expect(standIn).toEndWith(`/${prefix}`);
    const { ip } = parseCidr(standIn)!;
    expect(Bun.deepEquals(ip, parseIp(standIn.split('/')[0]!))).toBe(true);
    expect(contains(parseCidr(standIn)!, ip)).toBe(true);
    // Its host bits are clear.
    expect(
      commonPrefix(standIn.split('/')[0]!, text.includes(':') ? '::' : '0.0.0.0'),
    ).toBeGreaterThanOrEqual(0);
  },
);

test('an IPv4 address that is mapped into IPv6 has the stand-in of the address', () => {
  const standIns = new AddressStandIns();
  const standIn = standIns.of('10.1.2.3')!;
  expect(parseIp(standIns.of('::ffff:10.1.2.3')!)).toEqual(parseIp(standIn)!);
});

describe('a range', () => {
  test('keeps what is in it, in its order', () => {
    const range = fc.tuple(fc.nat({ max: 0xffff }), fc.nat({ max: 0xffff }), fc.nat({ max: 0xffff }));
    fc.assert(
      fc.property(coins, range, (coin, [a, b, c]) => {
        const at = (host: number) => formatAddress(0x0af40000 + host);
        const [from, to] = a < b ? [a, b] : [b, a];
        const standIns = new AddressStandIns(coin);
        standIns.keepOrder(at(from), at(to));
        const [first, last, other] = [from, to, c].map((host) =>
          Number(parseAddress(standIns.of(at(host))!)),
        );
        expect(first! <= other! && other! <= last!).toBe(from <= c && c <= to);
        expect(standIns.of(at(from))).not.toBe(at(from));
      }),
    );
  });

  test('that would show everything is not kept', () => {
    const standIns = new AddressStandIns();
    standIns.keepOrder('0.0.0.0', '255.255.255.255');
    standIns.keepOrder('10.0.0.0', '10.255.255.255');
    expect(standIns.of('10.1.2.3')).not.toBe('10.1.2.3');
  });
});

test.each(['', '10.1.2', 'web', '300.1.1.1', '10.0.0.1/33', '1:2', 'fd00::/129'])('%p is none', (text) => {
  expect(new AddressStandIns().of(text)).toBeUndefined();
});
