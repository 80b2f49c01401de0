import type { NodeReport } from '../../model/node-report.ts';
import { testFindings } from '../../testing/findings-text.ts';
import {
  CHAIN,
  DUAL,
  forAddress,
  inNamespace,
  NODE,
  type Otherwise,
  POD,
  SANDBOX,
  unreadRules,
  withoutAddresses,
  withoutNode,
  worldOf,
} from '../../testing/worker.ts';

const DPORT = '-p tcp -m tcp --dport 80';
const ELSEWHERE = '10.9.9.9:80';
const OLD = '192.168.1.77';
const JUMP = '-m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT';
const unread = { unknown: 'EACCES' };

/** Without portmap in the chain. */
const unchained = { portmap: { type: 'tuning' } };

type Iptables = NodeReport['netfilter']['iptables'][number];

/** More tables of iptables, beside those of the worker. */
const also = (variant: Iptables['variant'], family: Iptables['family'], text: string): Otherwise => ({
  report: (report) => ({
    ...report,
    netfilter: {
      ...report.netfilter,
      iptables: [...report.netfilter.iptables, { variant, family, text: { value: text } }],
    },
  }),
});
const table = (name: string, ...lines: string[]) => [`*${name}`, ...lines, 'COMMIT', ''].join('\n');

/** A base chain of nft that has one rule. */
const nftChain = (name: string, more: object = {}) => {
  const where = { family: 'ip', table: name };
  return [
    { table: { family: 'ip', name, handle: 1 } },
    {
      chain: {
        ...where,
        ...{ name: 'pre', handle: 1, type: 'nat', hook: 'prerouting', prio: -100, policy: 'accept' },
        ...more,
      },
    },
    { rule: { ...where, chain: 'pre', handle: 2, expr: [{ return: null }] } },
  ];
};
const LEGACY = also(
  'iptables-legacy',
  'ipv4',
  table('nat', ':PREROUTING ACCEPT [0:0]', '-A PREROUTING -j RETURN', '-A PREROUTING -j ACCEPT'),
);
/** Without a rule in table nat of iptables-nft. */
const plain: Otherwise = { rules: (text) => text.replace(/^-A (PREROUTING|OUTPUT|POSTROUTING).*\n/gm, '') };

testFindings('backends-mixed', [
  [
    'of both variants of iptables',
    worldOf(LEGACY),
    [
      'risk worker: worker has rules of iptables-legacy and of iptables-nft where destinations are translated',
      'rule | iptables-legacy nat PREROUTING | -A PREROUTING -j RETURN\n-A PREROUTING -j ACCEPT',
      'rule | iptables-nft nat PREROUTING | -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
      'by hand: only the owners of the rules know which of them are in the wrong place and which are still needed',
    ],
  ],
  [
    'of legacy and of nft alone',
    worldOf({
      ...LEGACY,
      ...plain,
      nft: [
        ...nftChain('firewall'),
        ...nftChain('other'),
        ...nftChain('firewall', { name: 'pre2' }).slice(1, 2),
      ],
    }),
    [
      'risk worker: worker has rules of iptables-legacy and of nft (table firewall, table other) where destinations are translated',
      'rule | iptables-legacy nat PREROUTING | -A PREROUTING -j RETURN\n-A PREROUTING -j ACCEPT',
      'rule | nft firewall pre | return',
      'rule | nft other pre | return',
      'by hand: only the owners of the rules know which of them are in the wrong place and which are still needed',
    ],
  ],
  [
    'of all three',
    worldOf({ ...LEGACY, nft: nftChain('firewall') }),
    [
      'risk worker: worker has rules of iptables-legacy and of iptables-nft where destinations are translated',
      'rule | iptables-legacy nat PREROUTING | -A PREROUTING -j RETURN\n-A PREROUTING -j ACCEPT',
      'rule | iptables-nft nat PREROUTING | -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
      'by hand: only the owners of the rules know which of them are in the wrong place and which are still needed',
    ],
  ],
  ['of legacy alone', worldOf({ ...LEGACY, ...plain }), []],
  ['of all others', worldOf({ nft: nftChain('firewall') }), []],
  [
    'of legacy at another hook',
    worldOf(also('iptables-legacy', 'ipv4', table('nat', ':OUTPUT ACCEPT [0:0]', '-A OUTPUT -j RETURN'))),
    [],
  ],
  [
    'of legacy for something else',
    worldOf(
      also('iptables-legacy', 'ipv4', table('raw', ':PREROUTING ACCEPT [0:0]', '-A PREROUTING -j ACCEPT')),
    ),
    [],
  ],
  [
    'of legacy for the other family',
    worldOf(
      also('iptables-legacy', 'ipv6', table('nat', ':PREROUTING ACCEPT [0:0]', '-A PREROUTING -j ACCEPT')),
    ),
    [],
  ],
  ['which are not known', worldOf({ report: unreadRules }), []],
]);

const without = (entry: string): Otherwise => ({
  rules: (text) => text.replace(`-A ${entry} ${JUMP}\n`, ''),
});

testFindings('entry-jump-missing', [
  [
    'from one of the two',
    worldOf(without('PREROUTING')),
    [
      'broken worker: PREROUTING of worker does not lead to CNI-HOSTPORT-DNAT, which holds 1 mapping',
      'rule | iptables-nft ip nat PREROUTING | (empty)',
      'iptables on worker, to restore the jump from PREROUTING to CNI-HOSTPORT-DNAT: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-A","PREROUTING","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"]]}',
    ],
  ],
  [
    'from the other, which has other rules',
    worldOf({ ...without('OUTPUT'), before: ['-A OUTPUT -j RETURN', '-A OUTPUT -j ACCEPT'] }),
    [
      'broken worker: OUTPUT of worker does not lead to CNI-HOSTPORT-DNAT, which holds 1 mapping',
      'rule | iptables-nft ip nat OUTPUT | -A OUTPUT -j RETURN\n-A OUTPUT -j ACCEPT',
      'iptables on worker, to restore the jump from OUTPUT to CNI-HOSTPORT-DNAT: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-A","OUTPUT","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"]]}',
    ],
  ],
  [
    'from both, of legacy, of the other family, with two mappings',
    worldOf(
      also(
        'iptables-legacy',
        'ipv6',
        table(
          'nat',
          ':CNI-HOSTPORT-DNAT - [0:0]',
          '-A CNI-HOSTPORT-DNAT -j RETURN',
          '-A CNI-HOSTPORT-DNAT -j ACCEPT',
        ),
      ),
    ),
    [
      'broken worker: PREROUTING and OUTPUT of worker do not lead to CNI-HOSTPORT-DNAT, which holds 2 mappings',
      'rule | iptables-legacy ip6 nat PREROUTING | (empty)',
      'rule | iptables-legacy ip6 nat OUTPUT | (empty)',
      'iptables on worker, to restore the jump from PREROUTING and OUTPUT to CNI-HOSTPORT-DNAT: {"variant":"iptables-legacy","family":"ipv6","table":"nat","commands":[["-A","PREROUTING","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"],["-A","OUTPUT","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"]]}',
    ],
  ],
  [
    'from one that leads elsewhere, in a circle and to what is not there',
    worldOf({
      rules: (text) =>
        text.replace(
          `-A PREROUTING ${JUMP}`,
          ':A - [0:0]\n:B - [0:0]\n-A PREROUTING -j A\n-A A -j B\n-A A -j NOWHERE\n-A B -j A',
        ),
    }),
    [
      'broken worker: PREROUTING of worker does not lead to CNI-HOSTPORT-DNAT, which holds 1 mapping',
      'rule | iptables-nft ip nat PREROUTING | -A PREROUTING -j A',
      'iptables on worker, to restore the jump from PREROUTING to CNI-HOSTPORT-DNAT: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-A","PREROUTING","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"]]}',
    ],
  ],
  [
    'but by way of others',
    worldOf({
      rules: (text) =>
        text.replace(
          `-A PREROUTING ${JUMP}`,
          ':A - [0:0]\n:B - [0:0]\n-A PREROUTING -j RETURN\n-A PREROUTING -j A\n-A A -g B\n-A B -g CNI-HOSTPORT-DNAT',
        ),
    }),
    [],
  ],
  [
    'but there is no mapping',
    worldOf({ rules: (text) => text.replace(/^-A (PREROUTING|OUTPUT|CNI-HOSTPORT-DNAT).*\n/gm, '') }),
    [],
  ],
  ['but there is no chain', worldOf({ rules: (text) => text.replace(/^.*CNI-.*\n/gm, '') }), []],
  [
    'but it is of another table',
    worldOf({ filter: [':CNI-HOSTPORT-DNAT - [0:0]', '-A CNI-HOSTPORT-DNAT -j ACCEPT'] }),
    [],
  ],
  [
    'but it is of nft alone',
    worldOf({
      rules: () => '',
      nft: [
        { table: { family: 'ip6', name: 'nat', handle: 1 } },
        { chain: { family: 'ip6', table: 'nat', name: 'CNI-HOSTPORT-DNAT', handle: 1 } },
        {
          rule: {
            family: 'ip6',
            table: 'nat',
            chain: 'CNI-HOSTPORT-DNAT',
            handle: 2,
            expr: [{ accept: null }],
          },
        },
      ],
    }),
    [],
  ],
  ['which is not known', worldOf({ report: unreadRules }), []],
]);

type Listener = NonNullable<Otherwise['listeners']>[number];
const listening = (address: string, more: Partial<Listener> = {}): Otherwise => ({
  listeners: [{ protocol: 'tcp', address, port: 80, process: 'nginx', pid: 7, ...more }],
});

testFindings('host-listener-hijacked', [
  [
    'of every address',
    worldOf(listening('0.0.0.0')),
    [
      'risk worker echo TCP 80: nginx (pid 7) of worker listens on TCP 80, whose packets go to echo',
      'socket | tcp 0.0.0.0:80 of worker | nginx (pid 7)',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  [
    'of every address of both families',
    worldOf({ ...listening('::'), ...inNamespace }),
    [
      'risk worker shop/echo TCP 80: nginx (pid 7) of worker listens on TCP 80, whose packets go to shop/echo',
      'socket | tcp [::]:80 of worker | nginx (pid 7)',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  [
    "of the mapping's address, by nobody who is known",
    worldOf(listening(NODE.address, { process: undefined })),
    [
      'risk worker echo TCP 80: a process of worker listens on TCP 80, whose packets go to echo',
      'socket | tcp 172.17.0.3:80 of worker | a process',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  [
    "of the mapping's address, in another spelling",
    worldOf({ ...listening('FD00:0::3'), pod: forAddress('fd00::3') }),
    [
      'risk worker echo TCP [fd00::3]:80: nginx (pid 7) of worker listens on TCP [fd00::3]:80, whose packets go to echo',
      'socket | tcp [FD00:0::3]:80 of worker | nginx (pid 7)',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  [
    'of UDP',
    worldOf({ ...listening('0.0.0.0', { protocol: 'udp' }), protocol: 'UDP' }),
    [
      'risk worker echo UDP 80: nginx (pid 7) of worker listens on UDP 80, whose packets go to echo',
      'socket | udp 0.0.0.0:80 of worker | nginx (pid 7)',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  [
    'of the loopback',
    worldOf(listening('127.0.0.53')),
    [
      'risk worker echo TCP 80: nginx (pid 7) of worker listens on 127.0.0.53:80, but packets from the node itself to it go to echo: TCP 80 is mapped on every address',
      'socket | tcp 127.0.0.53:80 of worker | nginx (pid 7)',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  [
    'of the loopback, which alone is mapped',
    worldOf({ ...listening('127.0.0.1'), pod: forAddress('127.0.0.1') }),
    [
      'risk worker echo TCP 127.0.0.1:80: nginx (pid 7) of worker listens on TCP 127.0.0.1:80, whose packets go to echo',
      'socket | tcp 127.0.0.1:80 of worker | nginx (pid 7)',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  [
    'of any address, where nobody knows that of the mapping',
    worldOf({ ...listening('10.0.0.9'), world: withoutAddresses }),
    [
      'risk worker echo TCP 80: nginx (pid 7) of worker listens on TCP 80, whose packets go to echo',
      'socket | tcp 10.0.0.9:80 of worker | nginx (pid 7)',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  [
    'by CRI-O, and by another behind it',
    worldOf({
      listeners: [
        ...listening('0.0.0.0', { process: 'crio' }).listeners!,
        ...listening(NODE.address).listeners!,
      ],
    }),
    [
      'risk worker echo TCP 80: nginx (pid 7) of worker listens on TCP 80, whose packets go to echo',
      'socket | tcp 172.17.0.3:80 of worker | nginx (pid 7)',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  ['by CRI-O, which holds the port', worldOf(listening('0.0.0.0', { process: 'crio' })), []],
  ['of another port', worldOf(listening('0.0.0.0', { port: 81 })), []],
  ['of another protocol', worldOf(listening('0.0.0.0', { protocol: 'udp' })), []],
  ['of another address', worldOf(listening('10.0.0.9')), []],
  ['of the loopback of IPv6', worldOf(listening('::1')), []],
  [
    'of the loopback, where another address is mapped',
    worldOf({ ...listening('127.0.0.1'), pod: forAddress(NODE.address) }),
    [],
  ],
  [
    'of the loopback, where the rules are not known',
    worldOf({ ...listening('127.0.0.1'), report: unreadRules }),
    [],
  ],
  [
    'of the loopback, whose packets go elsewhere',
    worldOf({
      ...listening('127.0.0.1'),
      before: [`-A OUTPUT -d 127.0.0.0/8 ${DPORT} -j DNAT --to-destination ${ELSEWHERE}`],
    }),
    [],
  ],
  [
    'of nobody knows what',
    worldOf({ report: (report) => ({ ...report, network: { ...report.network, listeners: unread } }) }),
    [],
  ],
  ['of a pod without a node', worldOf({ ...listening('0.0.0.0'), pod: withoutNode }), []],
]);

/** Without the rules of the pod. */
const unmapped: Otherwise = { rules: (text) => text.replace(/^.*CNI-DN-.*\n/gm, '') };
/** The pod's own chain, for packets to one address. */
const onlyFor =
  (address: string): Otherwise['rules'] =>
  (text) =>
    text.replaceAll(`-A ${CHAIN} -p tcp`, `-A ${CHAIN} -d ${address}/32 -p tcp`);

testFindings('mapping-missing', [
  [
    'of the only pod',
    worldOf({ ...unmapped, ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: no rule of worker names the sandbox of shop/echo, so TCP 80 leads nowhere',
      'rule | mappings of worker | (none; chains of hostPorts: CNI-HOSTPORT-DNAT CNI-HOSTPORT-MASQ CNI-HOSTPORT-SETMARK; others: 5)',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 | attached 2026-01-01T00:00:00Z with portMappings [{"hostPort":80,"containerPort":8080,"protocol":"tcp"}]',
      'attach on worker, to write the mapping of shop/echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'beside those of others',
    worldOf({
      rules: (text) =>
        text
          .replaceAll(SANDBOX, 'f'.repeat(64))
          .replaceAll('--dport 80', '--dport 81')
          .replace('--dports 80', '--dports 81'),
    }),
    [
      'broken worker echo TCP 80: no rule of worker names the sandbox of echo, so TCP 80 leads nowhere',
      'rule | mappings of worker | -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\\"" -m multiport --dports 81 -j CNI-DN-548df12b6bfbdd0f68f88',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 | attached 2026-01-01T00:00:00Z with portMappings [{"hostPort":80,"containerPort":8080,"protocol":"tcp"}]',
      'attach on worker, to write the mapping of echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'of one of two families',
    worldOf(DUAL),
    [
      'broken worker echo TCP 80 IPv6: no rule of worker names the sandbox of echo, so TCP 80 leads nowhere',
      'rule | mappings of worker | -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e\\"" -m multiport --dports 80 -j CNI-DN-548df12b6bfbdd0f68f88',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 | attached 2026-01-01T00:00:00Z with portMappings [{"hostPort":80,"containerPort":8080,"protocol":"tcp"}]',
      'attach on worker, to write the mapping of echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'of the address 0.0.0.0 alone, which nothing is sent to',
    worldOf({ pod: forAddress('0.0.0.0'), rules: onlyFor('0.0.0.0') }),
    [
      'broken worker echo TCP 80: the mapping of echo on worker takes no packets to 172.17.0.3 TCP 80',
      'rule | iptables-nft nat CNI-DN-548df12b6bfbdd0f68f88 | -A CNI-DN-548df12b6bfbdd0f68f88 -d 0.0.0.0/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 | attached 2026-01-01T00:00:00Z with portMappings [{"hostPort":80,"containerPort":8080,"protocol":"tcp"}]',
      'attach on worker, to write the mapping of echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'of an address that the node had before',
    worldOf({ rules: onlyFor('172.17.0.9') }),
    [
      'broken worker echo TCP 80: the mapping of echo on worker takes no packets to 172.17.0.3 TCP 80',
      'rule | iptables-nft nat CNI-DN-548df12b6bfbdd0f68f88 | -A CNI-DN-548df12b6bfbdd0f68f88 -d 172.17.0.9/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 | attached 2026-01-01T00:00:00Z with portMappings [{"hostPort":80,"containerPort":8080,"protocol":"tcp"}]',
      'attach on worker, to write the mapping of echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  ['and it is there', worldOf({}), []],
  ['and it is there for the node’s address', worldOf({ rules: onlyFor(NODE.address) }), []],
  [
    'and it is there by the name of its interface',
    worldOf({
      rules: (text) =>
        text
          .replace(`id: \\"${SANDBOX}\\"`, `id: \\"${SANDBOX}\\" if: \\"net1\\"`)
          .replaceAll(`--to-destination ${POD.address}`, `--to-destination ${OLD}`),
      attachments: (all) => all.map((entry) => ({ ...entry, ifName: 'net1' })),
    }),
    [],
  ],
  [
    'and a rule of nobody leads to the pod',
    worldOf({ ...unmapped, before: [`-A PREROUTING ${DPORT} -j DNAT --to-destination ${POD.address}:8080`] }),
    [],
  ],
  [
    'and a rule of nobody leads elsewhere',
    worldOf({ ...unmapped, before: [`-A PREROUTING ${DPORT} -j DNAT --to-destination ${ELSEWHERE}`] }),
    [
      'broken worker echo TCP 80: no rule of worker names the sandbox of echo, so TCP 80 leads nowhere',
      'rule | mappings of worker | (none; chains of hostPorts: CNI-HOSTPORT-DNAT CNI-HOSTPORT-MASQ CNI-HOSTPORT-SETMARK; others: 5)',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 | attached 2026-01-01T00:00:00Z with portMappings [{"hostPort":80,"containerPort":8080,"protocol":"tcp"}]',
      'attach on worker, to write the mapping of echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  ['and portmap is not chained', worldOf({ ...unmapped, ...unchained }), []],
  ['and there is no cached result', worldOf({ ...unmapped, attachments: () => [] }), []],
  ['and the rules are not known', worldOf({ report: unreadRules }), []],
]);

const taking = `-A PREROUTING ${DPORT} -j DNAT --to-destination ${ELSEWHERE}`;
const GONE = '0123456789abcdef0123456789abcdef';
/** A mapping of port 80 of a sandbox, ahead of the pod's. */
const mappingOf = (id: string, network = 'net', ifName = '') => [
  ':CNI-DN-gone - [0:0]',
  `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"${network}\\" id: \\"${id}\\"${ifName && ` if: \\"${ifName}\\"`}" -m multiport --dports 80 -j CNI-DN-gone`,
  `-A CNI-DN-gone ${DPORT} -j DNAT --to-destination ${OLD}:8080`,
];
/** A rule of the reference plugin's table, which comes first. */
const reference = (comment?: string): unknown[] => {
  const where = { family: 'ip', table: 'cni_hostport' };
  const dport = { payload: { protocol: 'tcp', field: 'dport' } };
  return [
    { table: { family: 'ip', name: 'cni_hostport', handle: 1 } },
    {
      chain: {
        ...where,
        ...{ name: 'prerouting', handle: 1, type: 'nat', hook: 'prerouting', prio: -101, policy: 'accept' },
      },
    },
    { chain: { ...where, name: 'hostports', handle: 2 } },
    { rule: { ...where, chain: 'prerouting', handle: 3, expr: [{ jump: { target: 'hostports' } }] } },
    {
      rule: {
        ...where,
        ...{ chain: 'hostports', handle: 4, ...(comment && { comment }) },
        expr: [{ match: { op: '==', left: dport, right: 80 } }, { dnat: { addr: '10.9.9.9', port: 80 } }],
      },
    },
  ];
};

const OWN_RULE =
  'rule | iptables-nft nat CNI-DN-548df12b6bfbdd0f68f88 | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080';
const EXEMPT_REMEDY =
  'remedy: Where the mapping should serve these clients, delete the rule, or leave the port out of it.';
const exemptBy = (chain: string) =>
  `by hand: the rule in nat ${chain} of iptables-nft is for some clients, so it may be there on purpose: whoever wrote it must say whether the mapping should serve them`;
/** Rules ahead of the mapping and whom they let pass untranslated; nobody for certain where that is undefined. The neighbour is 172.17.0.2. */
const EXEMPTIONS: [
  name: string,
  chain: string | undefined,
  rules: string[],
  clients: string | undefined,
  otherwise?: Otherwise,
][] = [
  [
    'the neighbour’s network',
    'PREROUTING',
    [`-A PREROUTING -s 172.16.0.0/12 ${DPORT} -j ACCEPT`],
    'from 172.16.0.0/12',
  ],
  ['the upper half', 'PREROUTING', [`-A PREROUTING -s 128.0.0.0/1 ${DPORT} -j ACCEPT`], 'from 128.0.0.0/1'],
  ['the lower half', 'PREROUTING', [`-A PREROUTING -s 0.0.0.0/1 ${DPORT} -j ACCEPT`], 'from 0.0.0.0/1'],
  ['another network', 'PREROUTING', [`-A PREROUTING -s 10.0.0.0/8 ${DPORT} -j ACCEPT`], 'from 10.0.0.0/8'],
  [
    'another network, and the mapping answers',
    'PREROUTING',
    [`-A PREROUTING -s 10.0.0.0/8 ${DPORT} -j ACCEPT`],
    'from 10.0.0.0/8',
    { probes: {} },
  ],
  [
    'two networks, by two rules',
    'PREROUTING',
    [`-A PREROUTING -s 10.0.0.0/8 ${DPORT} -j ACCEPT`, `-A PREROUTING -s 172.17.0.2/32 ${DPORT} -j RETURN`],
    'from 10.0.0.0/8 or from 172.17.0.2',
  ],
  [
    'all but a network',
    'PREROUTING',
    [`-A PREROUTING ! -s 10.0.0.0/8 ${DPORT} -j ACCEPT`],
    'not from 10.0.0.0/8',
  ],
  ['an interface', 'PREROUTING', [`-A PREROUTING -i eth0 ${DPORT} -j ACCEPT`], 'by eth0'],
  ['other interfaces', 'PREROUTING', ['-A PREROUTING -i tun+ -j ACCEPT'], 'by tun*'],
  [
    'a mark and an interface',
    'PREROUTING',
    [`-A PREROUTING -i wg0 ${DPORT} -m mark --mark 0x10/0xf0 -j ACCEPT`],
    'by wg0 and with mark 0x10/0xf0',
  ],
  [
    'a range, in a chain for an interface',
    'EXEMPT',
    [
      ':EXEMPT - [0:0]',
      '-A PREROUTING -i eth0 -j EXEMPT',
      '-A EXEMPT -m iprange --src-range 172.17.0.2-172.17.0.4 -j ACCEPT',
    ],
    'by eth0 and from 172.17.0.2-172.17.0.4',
  ],
  [
    'the neighbour, in a chain that a condition on the port leads to',
    'EXEMPT',
    [':EXEMPT - [0:0]', `-A PREROUTING ${DPORT} -j EXEMPT`, '-A EXEMPT -s 172.17.0.2/32 -j ACCEPT'],
    'from 172.17.0.2',
  ],
  [
    'which return only from a chain of others',
    undefined,
    [':OTHERS - [0:0]', '-A PREROUTING -j OTHERS', '-A OTHERS -i docker0 -j RETURN'],
    undefined,
  ],
  [
    'to another port',
    undefined,
    ['-A PREROUTING -s 172.16.0.0/12 -p tcp -m tcp --dport 81 -j ACCEPT'],
    undefined,
  ],
  [
    'to another address',
    undefined,
    [`-A PREROUTING -s 172.16.0.0/12 -d 10.0.0.1/32 ${DPORT} -j ACCEPT`],
    undefined,
  ],
  [
    'the neighbour, who was answered',
    undefined,
    [`-A PREROUTING -s 172.16.0.0/12 ${DPORT} -j ACCEPT`],
    undefined,
    { probes: {} },
  ],
];

testFindings('mapping-shadowed', [
  [
    'by a rule of nobody',
    worldOf({ before: [taking], ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: a rule in nat PREROUTING of worker takes TCP 80 before the mapping of shop/echo',
      'rule | iptables-nft nat PREROUTING | -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.9.9:80',
      'rule | nat CNI-DN-548df12b6bfbdd0f68f88 | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'iptables on worker, to move the jump to CNI-HOSTPORT-DNAT to the head of PREROUTING: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-D","PREROUTING","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"],["-I","PREROUTING","1","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"]]}',
    ],
  ],
  [
    'by a rule of nobody, of legacy',
    worldOf({
      before: [taking],
      report: (report) => ({
        ...report,
        netfilter: {
          ...report.netfilter,
          iptables: report.netfilter.iptables.map((entry) => ({ ...entry, variant: 'iptables-legacy' })),
        },
      }),
    }),
    [
      'broken worker echo TCP 80: a rule in nat PREROUTING of worker takes TCP 80 before the mapping of echo',
      'rule | iptables-legacy nat PREROUTING | -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.9.9:80',
      'rule | nat CNI-DN-548df12b6bfbdd0f68f88 | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'iptables on worker, to move the jump to CNI-HOSTPORT-DNAT to the head of PREROUTING: {"variant":"iptables-legacy","family":"ipv4","table":"nat","commands":[["-D","PREROUTING","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"],["-I","PREROUTING","1","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"]]}',
    ],
  ],
  [
    'by a rule of nobody, of the other family',
    worldOf({
      ...DUAL,
      ...also(
        'iptables-nft',
        'ipv6',
        table(
          'nat',
          ...[
            ':PREROUTING ACCEPT [0:0]',
            ':OUTPUT ACCEPT [0:0]',
            ':CNI-HOSTPORT-DNAT - [0:0]',
            ':CNI-DN-six - [0:0]',
          ],
          `-A PREROUTING ${DPORT} -j DNAT --to-destination [fd00::99]:80`,
          `-A PREROUTING ${JUMP}`,
          `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"${SANDBOX}\\"" -m multiport --dports 80 -j CNI-DN-six`,
          `-A CNI-DN-six ${DPORT} -j DNAT --to-destination [fd00:1::2]:8080`,
        ),
      ),
    }),
    [
      'broken worker echo TCP 80 IPv6: a rule in nat PREROUTING of worker takes TCP 80 before the mapping of echo',
      'rule | iptables-nft nat PREROUTING | -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00::99]:80',
      'rule | nat CNI-DN-six | -A CNI-DN-six -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00:1::2]:8080',
      'iptables on worker, to move the jump to CNI-HOSTPORT-DNAT to the head of PREROUTING: {"variant":"iptables-nft","family":"ipv6","table":"nat","commands":[["-D","PREROUTING","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"],["-I","PREROUTING","1","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"]]}',
    ],
  ],
  [
    'by the rule of a chain of its own',
    worldOf({
      before: [
        ':DOCKER - [0:0]',
        '-A PREROUTING -j DOCKER',
        `-A DOCKER ${DPORT} -j DNAT --to-destination ${ELSEWHERE}`,
      ],
    }),
    [
      'broken worker echo TCP 80: a rule in nat DOCKER of worker takes TCP 80 before the mapping of echo',
      'rule | iptables-nft nat DOCKER | -A DOCKER -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.9.9:80',
      'rule | nat CNI-DN-548df12b6bfbdd0f68f88 | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'by hand: DOCKER is a chain of another component, which maps the port as well: their owners must decide which of the two keeps it',
    ],
  ],
  [
    'by the reference plugin',
    worldOf({ nft: reference(SANDBOX) }),
    [
      "broken worker echo TCP 80: a rule in cni_hostport hostports of worker, which belongs to the reference portmap's nftables backend (1.6 or newer), for echo, takes TCP 80 before the mapping of echo",
      'rule | nft cni_hostport hostports | tcp dport 80 dnat to 10.9.9.9:80 comment "9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e"',
      'rule | nat CNI-DN-548df12b6bfbdd0f68f88 | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'by hand: the rule belongs to the reference portmap\'s nftables backend (1.6 or newer), for echo: DEL for its container removes it, and so does "nft delete rule" with its handle where that container no longer exists',
    ],
  ],
  [
    'by a table of nft',
    worldOf({
      nft: reference()
        .filter((_, i) => i !== 2 && i !== 3)
        .map((entry) =>
          JSON.parse(
            JSON.stringify(entry).replaceAll('cni_hostport', 'other').replaceAll('hostports', 'prerouting'),
          ),
        ),
    }),
    [
      'broken worker echo TCP 80: a rule in other prerouting of worker takes TCP 80 before the mapping of echo',
      'rule | nft other prerouting | tcp dport 80 dnat to 10.9.9.9:80',
      'rule | nat CNI-DN-548df12b6bfbdd0f68f88 | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      "by hand: the rule is in other prerouting of nft, before all of portmap's rules: its owner must give up the port",
    ],
  ],
  [
    'where its own rule is in no chain of its own',
    worldOf({
      ...unmapped,
      before: [taking, `-A PREROUTING ${DPORT} -j DNAT --to-destination ${POD.address}:8080`],
    }),
    [
      'broken worker echo TCP 80: a rule in nat PREROUTING of worker takes TCP 80 before the mapping of echo',
      'rule | iptables-nft nat PREROUTING | -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.9.9:80',
      'rule | nat PREROUTING | -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      "by hand: the rule is in nat PREROUTING of iptables-nft, before all of portmap's rules: its owner must give up the port",
    ],
  ],
  [
    'by a rule that lets packets pass',
    worldOf({ before: [`-A PREROUTING ${DPORT} -j ACCEPT`] }),
    [
      'broken worker echo TCP 80: a rule in nat PREROUTING of worker lets TCP 80 pass untranslated before the mapping of echo',
      'rule | iptables-nft nat PREROUTING | -A PREROUTING -p tcp -m tcp --dport 80 -j ACCEPT',
      'rule | iptables-nft nat CNI-DN-548df12b6bfbdd0f68f88 | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'iptables on worker, to move the jump to CNI-HOSTPORT-DNAT to the head of PREROUTING: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-D","PREROUTING","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"],["-I","PREROUTING","1","-m","addrtype","--dst-type","LOCAL","-j","CNI-HOSTPORT-DNAT"]]}',
    ],
  ],
  [
    'by a rule that returns from portmap’s own chain',
    worldOf({ before: ['-A CNI-HOSTPORT-DNAT -i eth0 -j RETURN'], ...inNamespace }),
    [
      'risk worker shop/echo TCP 80: a rule in nat CNI-HOSTPORT-DNAT of worker lets packets to TCP 80 by eth0 pass untranslated: the mapping of shop/echo does not serve them',
      EXEMPT_REMEDY,
      'rule | iptables-nft nat CNI-HOSTPORT-DNAT | -A CNI-HOSTPORT-DNAT -i eth0 -j RETURN',
      'rule | iptables-nft nat CNI-DN-548df12b6bfbdd0f68f88 | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      exemptBy('CNI-HOSTPORT-DNAT'),
    ],
  ],
  [
    'by a rule that returns all from portmap’s own chain',
    worldOf({ before: ['-A CNI-HOSTPORT-DNAT -m addrtype --dst-type LOCAL -j RETURN'] }),
    [
      'broken worker echo TCP 80: a rule in nat CNI-HOSTPORT-DNAT of worker lets TCP 80 pass untranslated before the mapping of echo',
      'rule | iptables-nft nat CNI-HOSTPORT-DNAT | -A CNI-HOSTPORT-DNAT -m addrtype --dst-type LOCAL -j RETURN',
      OWN_RULE,
      'by hand: the rule is in nat CNI-HOSTPORT-DNAT of iptables-nft: whoever wrote it must leave the port out, or delete it',
    ],
  ],
  ...EXEMPTIONS.map(
    ([name, chain, rules, clients, otherwise]) =>
      [
        `by a rule that lets some clients pass: ${name}`,
        worldOf({ before: rules, ...otherwise }),
        clients === undefined
          ? []
          : [
              `risk worker echo TCP 80: a rule in nat ${chain} of worker lets packets to TCP 80 ${clients} pass untranslated: the mapping of echo does not serve them`,
              EXEMPT_REMEDY,
              ...rules
                .filter((rule) => / -j (ACCEPT|RETURN)$/.test(rule))
                .map((rule) => `rule | iptables-nft nat ${chain} | ${rule}`),
              OWN_RULE,
              exemptBy(chain!),
            ],
      ] as const,
  ),
  [
    'by the mapping of another network',
    worldOf({ before: mappingOf(GONE, 'nerdctl') }),
    [
      'broken worker echo TCP 80: a rule in nat CNI-DN-gone of worker, which belongs to container 0123456789abc of network nerdctl, which the runtime does not know, takes TCP 80 before the mapping of echo',
      'rule | iptables-nft nat CNI-DN-gone | -A CNI-DN-gone -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.77:8080',
      'rule | nat CNI-DN-548df12b6bfbdd0f68f88 | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'by hand: CNI-DN-gone is a chain of another component, which maps the port as well: their owners must decide which of the two keeps it',
    ],
  ],
  [
    'by a rule that lets packets pass, and they were answered',
    worldOf({ before: [`-A PREROUTING ${DPORT} -j ACCEPT`], probes: {} }),
    [],
  ],
  [
    'by a rule that lets packets of another port pass',
    worldOf({ before: ['-A PREROUTING -p tcp -m tcp --dport 81 -j ACCEPT'] }),
    [],
  ],
  [
    'by a rule that may let packets pass',
    worldOf({ before: [`-A PREROUTING ${DPORT} -m u32 --u32 "0>>22=1" -j ACCEPT`] }),
    [],
  ],
  ['by none', worldOf({}), []],
  ['by a rule behind its own', worldOf({ nat: [taking] }), []],
  [
    'by a rule behind one of its own, which is for some clients',
    worldOf({
      ...unmapped,
      before: [`-A PREROUTING -s 10.0.0.0/8 ${DPORT} -j DNAT --to-destination ${POD.address}:8080`, taking],
    }),
    [],
  ],
  ['by a mapping of another', worldOf({ before: mappingOf(GONE) }), []],
  ['and it has none', worldOf({ ...unmapped, before: [taking] }), []],
  ['and it has no sandbox', worldOf({ before: [taking], sandboxes: () => [] }), []],
  ['and the rules are not known', worldOf({ before: [taking], report: unreadRules }), []],
]);

testFindings('mapping-stale', [
  [
    'of one that is gone',
    worldOf({ before: mappingOf(GONE), ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: TCP 80 of worker goes to container 0123456789abc, which is gone, and not to shop/echo',
      'rule | rules of worker | -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"0123456789abcdef0123456789abcdef\\"" -m multiport --dports 80 -j CNI-DN-gone',
      'detach on worker, to remove the mapping of 0123456789abc, which is gone: {"networkName":"net","containerId":"0123456789abcdef0123456789abcdef","ifName":"eth0"}',
    ],
  ],
  [
    'of one that is gone, of another interface',
    worldOf({ before: mappingOf(GONE, 'net', 'net1') }),
    [
      'broken worker echo TCP 80: TCP 80 of worker goes to container 0123456789abc, which is gone, and not to echo',
      'rule | rules of worker | -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"0123456789abcdef0123456789abcdef\\" if: \\"net1\\"" -m multiport --dports 80 -j CNI-DN-gone',
      'detach on worker, to remove the mapping of 0123456789abc, which is gone: {"networkName":"net","containerId":"0123456789abcdef0123456789abcdef","ifName":"net1"}',
    ],
  ],
  ['of another network', worldOf({ before: mappingOf(GONE, 'podman') }), []],
  ['of one that is gone, behind its own', worldOf({ nat: mappingOf(GONE) }), []],
  [
    'of another that is there',
    worldOf({
      before: mappingOf(GONE),
      sandboxes: (all) => [...all, { ...all[0]!, id: GONE, uid: 'uid-x' }],
    }),
    [],
  ],
  ['by a rule of nobody', worldOf({ before: [taking] }), []],
  ['and it has no sandbox', worldOf({ before: mappingOf(GONE), sandboxes: () => [] }), []],
  ['and the rules are not known', worldOf({ before: mappingOf(GONE), report: unreadRules }), []],
]);

const MARKED = {
  pod: `-A ${CHAIN} -s ${POD.address}/32 ${DPORT} -j CNI-HOSTPORT-SETMARK`,
  loopback: `-A ${CHAIN} -s 127.0.0.1/32 ${DPORT} -j CNI-HOSTPORT-SETMARK`,
};

testFindings('masquerade-missing', [
  [
    'of both',
    worldOf({ own: [], ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: connections to TCP 80 of shop/echo from 127.0.0.1 and from the pod itself keep their source address on worker',
      'rule | masquerading on worker | POSTROUTING: -A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ\nCNI-HOSTPORT-MASQ: -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
      'attach on worker, to write marks and masquerading for shop/echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'of the pod itself',
    worldOf({ own: [MARKED.loopback] }),
    [
      'broken worker echo TCP 80: connections to TCP 80 of echo from the pod itself keep their source address on worker',
      'rule | masquerading on worker | POSTROUTING: -A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ\nCNI-HOSTPORT-MASQ: -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
      'attach on worker, to write marks and masquerading for echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'of the loopback',
    worldOf({ own: [MARKED.pod], nat: ['-A POSTROUTING -j RETURN'] }),
    [
      'broken worker echo TCP 80: connections to TCP 80 of echo from 127.0.0.1 keep their source address on worker',
      'rule | masquerading on worker | POSTROUTING: -A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ\nPOSTROUTING: -A POSTROUTING -j RETURN\nCNI-HOSTPORT-MASQ: -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
      'attach on worker, to write marks and masquerading for echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'of the loopback, which alone is mapped',
    worldOf({ own: [], pod: forAddress('127.0.0.1') }),
    [
      'broken worker echo TCP 127.0.0.1:80: connections to TCP 127.0.0.1:80 of echo from 127.0.0.1 keep their source address on worker',
      'rule | masquerading on worker | POSTROUTING: -A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ\nCNI-HOSTPORT-MASQ: -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
      'attach on worker, to write marks and masquerading for echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'of a mapping of one address',
    worldOf({ own: [], pod: forAddress(NODE.address) }),
    [
      'broken worker echo TCP 172.17.0.3:80: connections to TCP 172.17.0.3:80 of echo from the pod itself keep their source address on worker',
      'rule | masquerading on worker | POSTROUTING: -A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ\nCNI-HOSTPORT-MASQ: -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
      'attach on worker, to write marks and masquerading for echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'and there are no rules at all',
    worldOf({ own: [], rules: (text) => text.replace(/^-A (POSTROUTING|CNI-HOSTPORT-MASQ).*\n/gm, '') }),
    [
      'broken worker echo TCP 80: connections to TCP 80 of echo from 127.0.0.1 and from the pod itself keep their source address on worker',
      'rule | masquerading on worker | (no rules)',
      'attach on worker, to write marks and masquerading for echo again: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  ['and it is there', worldOf({}), []],
  ['by order', worldOf({ own: [], portmap: { snat: false } }), []],
  [
    'of what leads elsewhere',
    worldOf({ before: [taking, taking.replace('PREROUTING', 'OUTPUT')], own: [] }),
    [],
  ],
  ['of what is dropped', worldOf({ own: [], mangle: ['-A POSTROUTING -j DROP'] }), []],
  [
    'of what may be dropped',
    worldOf({ own: [], mangle: ['-A POSTROUTING -m u32 --u32 "0>>22=1" -j DROP'] }),
    [],
  ],
  [
    'of what may be masqueraded',
    worldOf({ own: [], nat: ['-A POSTROUTING -m u32 --u32 "0>>22=1" -j MASQUERADE'] }),
    [],
  ],
  ['and it has no sandbox', worldOf({ own: [], sandboxes: () => [] }), []],
  ['and the rules are not known', worldOf({ own: [], report: unreadRules }), []],
]);

const CLEARING = '-A FORWARD -i tailscale0 -j MARK --set-xmark 0x40000/0xffffffff';
const NONE_FREE =
  'no bit of the mark is free on worker: rules there or Kubernetes, Cilium use each of them, so one of the components must give one up';
const CLEARS = [
  'risk worker: portmap uses bit 13 of the packet mark on worker, and a rule of another component uses it too',
  `remedy: ${NONE_FREE}`,
  `rule | iptables-nft filter FORWARD (clears the bit before packets are masqueraded) | ${CLEARING}`,
  `by hand: ${NONE_FREE}`,
];

testFindings('mark-bit-shared', [
  ['cleared on what comes in by another device than that of the pod', worldOf({ filter: [CLEARING] }), []],
  [
    'the same, where everything is masqueraded',
    worldOf({ filter: [CLEARING], portmap: { masqAll: true } }),
    CLEARS,
  ],
  [
    'the same, where nothing shows by which device the pod sends',
    worldOf({
      filter: [CLEARING],
      links: (links) => links.map(({ peerNamespace, ...link }) => link),
    }),
    CLEARS,
  ],
]);
