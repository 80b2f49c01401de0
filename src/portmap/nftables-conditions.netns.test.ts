import { afterAll, beforeAll, expect, test } from 'bun:test';
import { validateNftConditions } from './nftables-conditions.ts';
import { Topology } from './testing/topology.ts';

// What the grammar takes is what nft takes: each of these is given to both.
const V4 = [
  ...[
    'ip saddr 10.0.0.0/8',
    'ip daddr { 10.0.0.1, 10.1.0.0/16 }',
    'ip protocol { tcp, udp }',
    'ip dscp { cs1, af11 }',
  ],
  ...[
    'ip ecn ect0',
    'ip ttl > 5',
    'ip length 40-1500',
    'ip id 1',
    'ip hdrlength 5',
    'ip frag-off & 0x1fff != 0',
  ],
  ...['ip version 4', 'ip checksum 1', 'ct original ip saddr 10.0.0.0/8', 'ct reply ip daddr != 10.0.0.1'],
];
const V6 = [
  ...['ip6 saddr fd00::/8', 'ip6 daddr fd00::1-fd00::9', 'ip6 nexthdr tcp', 'ip6 dscp cs1', 'ip6 ecn ect1'],
  ...[
    'ip6 hoplimit 64',
    'ip6 length 10',
    'ip6 flowlabel 1',
    'ip6 version 6',
    'ct original ip6 saddr fd00::/8',
  ],
];
const BOTH = [
  ...['ether saddr 00:11:22:33:44:55', 'ether daddr != 00:11:22:33:44:55', 'ether type ip'],
  ...[
    'tcp sport 1024-65535',
    'tcp dport { 80, 443 }',
    'tcp sequence 1',
    'tcp ackseq 0',
    'tcp doff 5',
    'tcp window 1-9',
  ],
  ...[
    'tcp urgptr 0',
    'tcp checksum 1',
    'tcp flags syn',
    'tcp flags != syn',
    'tcp flags & (fin|syn|rst|ack) == syn',
  ],
  ...[
    'tcp flags syn / fin,syn,rst,ack',
    'tcp flags { syn, ack }',
    'tcp flags & syn != 0',
    'tcp flags syn|ack',
  ],
  ...['tcp option maxseg size 1-500', 'tcp option sack-perm exists', 'tcp option timestamp missing'],
  ...['tcp option window exists', 'tcp option sack missing', 'tcp option maxseg exists'],
  ...['udp sport 53', 'udp dport 53', 'udp length 8-100', 'udp checksum 0', 'sctp sport 1', 'sctp dport 2'],
  ...['sctp vtag 1', 'sctp checksum 1', 'meta l4proto tcp th sport 80', 'meta l4proto tcp th dport 80'],
  ...[
    'iifname "eth*"',
    'oifname lo',
    'iif lo',
    'oif lo',
    'meta iifname lo',
    'meta oifname lo',
    'meta iif lo',
  ],
  ...[
    'meta oif lo',
    'mark 1',
    'meta mark and 0xff == 0x1',
    'meta cgroup 5',
    'meta length 40-1500',
    'meta cpu 0',
  ],
  ...['meta l4proto tcp', 'meta nfproto ipv4', 'meta protocol ip', 'meta pkttype unicast', 'meta skuid root'],
  ...[
    'meta skgid 0',
    'meta iifgroup default',
    'meta oifgroup 0',
    'meta iiftype ether',
    'meta oiftype loopback',
  ],
  ...['meta priority none', 'meta iifkind "veth"', 'meta oifkind veth', 'meta hour "17:00"-"19:00"'],
  ...[
    'meta hour < "19:00:30"',
    'meta hour { "01:00"-"02:00" }',
    'meta day "Monday"',
    'meta day { Monday, 2 }',
  ],
  ...[
    'meta time > "2026-01-01 10:00:00"',
    'meta time "2026-01-01"',
    'meta ipsec missing',
    'meta secpath exists',
  ],
  ...[
    'ct state new,related',
    'ct status confirmed',
    'ct direction original',
    'ct protocol tcp',
    'ct l3proto ipv4',
  ],
  ...[
    'ct mark & 1 1',
    'ct zone 1',
    'ct label 1',
    'ct id 5',
    'ct bytes > 100',
    'ct packets 5',
    'ct avgpkt > 5',
  ],
  ...['ct expiration 30s', 'ct helper "ftp"', 'meta l4proto tcp ct original proto-dst 80'],
  ...['meta l4proto tcp ct reply proto-src 80', 'ct original protocol tcp', 'ct original packets > 3'],
  ...['ct reply bytes 1-5', 'ct original zone 1', 'fib saddr type local', 'fib daddr type != local'],
  ...[
    'fib daddr . iif type local',
    'fib saddr . iif oif missing',
    'counter',
    'counter packets 0 bytes 0 mark 1',
  ],
];

let lab: Topology;
beforeAll(async () => {
  lab = await Topology.create();
  await lab.namespace('node');
});
afterAll(() => lab.dispose());

test.each([
  ['conditionsV4', [...V4, ...BOTH]],
  ['conditionsV6', [...V6, ...BOTH]],
] as const)('nft takes what %s may have', async (field, all) => {
  const rules = all.map(
    (text) => `add rule inet try inner ${validateNftConditions([text], field).join(' ')} return`,
  );
  const document = ['add table inet try', 'add chain inet try inner', ...rules, ''].join('\n');
  const { code, stderr } = await lab.run('node', ['nft', '-c', '-f', '-'], document);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
