import { known } from '../../model/observed.ts';
import { testFindings } from '../../testing/findings-text.ts';
import {
  CHAIN,
  inNamespace,
  type Otherwise,
  POD,
  SANDBOX,
  withoutAddresses,
  withoutNode,
  worldOf,
} from '../../testing/worker.ts';

const OLD = '192.168.1.77';
const DPORT = '-p tcp -m tcp --dport 80';
const to = (address: string, chain = CHAIN) =>
  `-A ${chain} ${DPORT} -j DNAT --to-destination ${address}:8080`;

const unread = { unknown: 'EACCES' };
testFindings('attachment-doubled', [
  [
    'to an old address first',
    worldOf({ own: [to(OLD)] }),
    [
      'broken worker echo TCP 80: the chain of echo on worker translates TCP 80 to another address before its own',
      'rule | table nat of worker | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.77:8080',
      'rule | table nat of worker | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'attach on worker, to rewrite the rules of echo: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'to an old address first, by the name of its interface',
    worldOf({
      own: [to(OLD)],
      rules: (text) => text.replace(`id: \\"${SANDBOX}\\"`, `id: \\"${SANDBOX}\\" if: \\"net1\\"`),
      attachments: (all) => all.map((entry) => ({ ...entry, ifName: 'net1' })),
      ...inNamespace,
    }),
    [
      'broken worker shop/echo TCP 80: the chain of shop/echo on worker translates TCP 80 to another address before its own',
      'rule | table nat of worker | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.77:8080',
      'rule | table nat of worker | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'attach on worker, to rewrite the rules of shop/echo: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'to an old address first, without a cached result',
    worldOf({ own: [to(OLD)], attachments: () => [] }),
    [
      'broken worker echo TCP 80: the chain of echo on worker translates TCP 80 to another address before its own',
      'rule | table nat of worker | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.77:8080',
      'rule | table nat of worker | -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'attach on worker, to rewrite the rules of echo: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  ['to its own first', worldOf({ nat: [to(OLD)] }), []],
  ['to an old address alone', worldOf({ rules: (text) => text.replace(to(POD.address), to(OLD)) }), []],
  ['to its own alone', worldOf({}), []],
  [
    'to an old address first, which nothing leads to',
    worldOf({ own: [to(OLD)], rules: (text) => text.replace(/^-A (PREROUTING|OUTPUT) .*\n/gm, '') }),
    [],
  ],
  [
    'to an old address first, behind what takes the port',
    worldOf({ own: [to(OLD)], before: [to('10.9.9.9', 'PREROUTING')] }),
    [],
  ],
  [
    'to an old address first, perhaps',
    worldOf({ own: [`-A ${CHAIN} ${DPORT} -m u32 --u32 "0>>22=1" -j DNAT --to-destination ${OLD}:8080`] }),
    [],
  ],
  ['where nobody knows the address of the node', worldOf({ own: [to(OLD)], world: withoutAddresses }), []],
  [
    'of nobody',
    worldOf({ own: [to(OLD)], rules: (text) => text.replace(/ -m comment --comment "dnat[^-]*"/, '') }),
    [],
  ],
  ['without a sandbox', worldOf({ own: [to(OLD)], sandboxes: () => [] }), []],
  ['without a node', worldOf({ own: [to(OLD)], pod: withoutNode }), []],
]);

const GONE = '0123456789abcdef0123456789abcdef';

/** The rules of a sandbox that is gone. */
const left = ({ port = 81, network = 'net', id = GONE, ifName = '', chain = 'CNI-DN-gone' } = {}) => [
  `:${chain} - [0:0]`,
  `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"${network}\\" id: \\"${id}\\"${ifName && ` if: \\"${ifName}\\"`}" -m multiport --dports ${port} -j ${chain}`,
  `-A ${chain} -p tcp -m tcp --dport ${port} -j DNAT --to-destination ${OLD}:8080`,
];
/** The cached result of a sandbox that is gone. */
const cached =
  (more: object = {}): Otherwise['attachments'] =>
  (all) => [...all, { ...all[0]!, file: '/var/lib/cni/results/net-gone', containerId: GONE, ...more }];

testFindings('attachment-leaked', [
  [
    'of one',
    worldOf({ nat: left() }),
    [
      'risk worker: worker still maps ports to container 0123456789abc of network net, which is gone',
      'rule | rules of worker | -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"0123456789abcdef0123456789abcdef\\"" -m multiport --dports 81 -j CNI-DN-gone',
      'detach on worker, to remove the leftover rules of 0123456789abc: {"networkName":"net","containerId":"0123456789abcdef0123456789abcdef","ifName":"eth0"}',
    ],
  ],
  [
    'of two, one of which has another interface',
    worldOf({
      nat: [...left({ ifName: 'net1' }), ...left({ id: 'f'.repeat(64), chain: 'CNI-DN-too', port: 82 })],
    }),
    [
      'risk worker: worker still maps ports to container 0123456789abc of network net, which is gone',
      'rule | rules of worker | -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"0123456789abcdef0123456789abcdef\\" if: \\"net1\\"" -m multiport --dports 81 -j CNI-DN-gone',
      'detach on worker, to remove the leftover rules of 0123456789abc: {"networkName":"net","containerId":"0123456789abcdef0123456789abcdef","ifName":"net1"}',
      'risk worker: worker still maps ports to container fffffffffffff of network net, which is gone',
      'rule | rules of worker | -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\\"" -m multiport --dports 82 -j CNI-DN-too',
      'detach on worker, to remove the leftover rules of fffffffffffff: {"networkName":"net","containerId":"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff","ifName":"eth0"}',
    ],
  ],
  ['whose DEL the runtime has not done', worldOf({ nat: left(), attachments: cached() }), []],
  [
    'and nothing is known of attachments',
    worldOf({
      nat: left(),
      report: (report) => ({ ...report, cni: { ...report.cni, attachments: unread } }),
    }),
    [
      'risk worker: worker still maps ports to container 0123456789abc of network net, which is gone',
      'rule | rules of worker | -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"0123456789abcdef0123456789abcdef\\"" -m multiport --dports 81 -j CNI-DN-gone',
      'detach on worker, to remove the leftover rules of 0123456789abc: {"networkName":"net","containerId":"0123456789abcdef0123456789abcdef","ifName":"eth0"}',
    ],
  ],
  ["in a live pod's way", worldOf({ before: left({ port: 80 }) }), []],
  ['of another network', worldOf({ nat: left({ network: 'podman' }) }), []],
  ['of one that is there', worldOf({}), []],
  [
    'where the rules are not known',
    worldOf({
      nat: left(),
      report: (report) => ({ ...report, netfilter: { ...report.netfilter, nft: unread } }),
    }),
    [],
  ],
]);

testFindings('delete-aborted', [
  [
    'of a sandbox that is gone',
    worldOf({ attachments: cached({ result: { cniVersion: '1.0.0' } }) }),
    [
      'risk worker: worker still has a cached attachment of container 0123456789abc to net, whose sandbox is gone',
      'result | /var/lib/cni/results/net-gone | {"cniVersion":"1.0.0"}',
      'collect on worker, to release what deleted sandboxes held on worker: {"config":"/etc/cni/net.d/10-net.conflist"}',
    ],
  ],
  [
    'whose namespace is gone',
    worldOf({ attachments: cached({ netnsExists: false }) }),
    [
      'risk worker: worker still has a cached attachment of container 0123456789abc to net, whose sandbox is gone',
      'result | /var/lib/cni/results/net-gone | {}',
      'collect on worker, to release what deleted sandboxes held on worker: {"config":"/etc/cni/net.d/10-net.conflist"}',
    ],
  ],
  [
    'with all that it had',
    worldOf({
      nat: left(),
      attachments: cached({
        result: {
          interfaces: [{ name: 'veth9' }, { name: 'gone' }, { name: 'eth0', sandbox: '/run/netns/x' }],
          ips: [{ address: `${OLD}/24` }],
        },
      }),
      report: (report) => {
        const link = { index: 9, up: true, mtu: 1500 };
        const { links, routes } = report.network;
        known(links)!.push({ ...link, name: 'veth9' });
        known(routes)!.push({
          ...{ family: 'ipv4', destination: `${OLD}/32`, device: 'veth9', table: 'main', type: 'unicast' },
        });
        return report;
      },
    }),
    [
      'risk worker: worker still has a cached attachment of container 0123456789abc to net, whose sandbox is gone; left of it: link veth9, route to 192.168.1.77/32, mappings of its ports',
      'result | /var/lib/cni/results/net-gone | {"interfaces":[{"name":"veth9"},{"name":"gone"},{"name":"eth0","sandbox":"/run/netns/x"}],"ips":[{"address":"192.168.1.77/24"}]}',
      'collect on worker, to release what deleted sandboxes held on worker: {"config":"/etc/cni/net.d/10-net.conflist"}',
    ],
  ],
  ['whose namespace is there', worldOf({ attachments: cached({ netnsExists: true }) }), []],
  ['of the loopback', worldOf({ attachments: cached({ ifName: 'lo' }) }), []],
  ['of another network', worldOf({ attachments: cached({ networkName: 'podman' }) }), []],
  ['of a sandbox that is there', worldOf({}), []],
  [
    'where the sandboxes are not known',
    worldOf({ attachments: cached(), report: (report) => ({ ...report, sandboxes: unread }) }),
    [],
  ],
  [
    'where the attachments are not known',
    worldOf({ report: (report) => ({ ...report, cni: { ...report.cni, attachments: unread } }) }),
    [],
  ],
  [
    'where there is no configuration',
    worldOf({
      attachments: cached(),
      report: (report) => ({ ...report, cni: { ...report.cni, files: { value: [] } } }),
    }),
    [],
  ],
  [
    'where the configuration cannot be read',
    worldOf({
      attachments: cached(),
      report: (report) => {
        const files = known(report.cni.files)!.map((file) => ({ ...file, content: { value: '{' } }));
        return { ...report, cni: { ...report.cni, files: { value: files } } };
      },
    }),
    [],
  ],
]);

/** The pod was attached by this chain. */
const by = (plugins: object[] | undefined): Otherwise => ({
  attachments: (all) =>
    all.map((entry) => ({
      ...entry,
      config: plugins === undefined ? '{' : JSON.stringify({ name: 'net', plugins }),
    })),
});
const ALONE = [{ type: 'cilium-cni' }];
/** Without the rules of the pod. */
const unmapped: Otherwise = {
  rules: (text) => text.replace(/^.*CNI-DN-.*\n/gm, ''),
};

testFindings('pod-predates-chain', [
  [
    'by a chain without portmap',
    worldOf({ ...by(ALONE), ...unmapped }),
    [
      'broken worker echo TCP 80: echo was created before 10-net.conflist chained portmap on worker, so TCP 80 has no mapping',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 (2026-01-01T00:00:00Z) | {"name":"net","plugins":[{"type":"cilium-cni"}]}',
      'runtime | sandbox 9b2bd130537c7 | created 2026-01-01T00:00:00Z',
      'attach on worker, to attach portmap to echo while it runs: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap"}',
    ],
  ],
  [
    'by a chain whose portmap had no capability, of a pod elsewhere',
    worldOf({
      ...by([...ALONE, { type: 'portmap' }]),
      ...unmapped,
      ...inNamespace,
    }),
    [
      'broken worker shop/echo TCP 80: shop/echo was created before 10-net.conflist chained portmap on worker, so TCP 80 has no mapping',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 (2026-01-01T00:00:00Z) | {"name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap"}]}',
      'runtime | sandbox 9b2bd130537c7 | created 2026-01-01T00:00:00Z',
      'attach on worker, to attach portmap to shop/echo while it runs: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap"}',
    ],
  ],
  ['and others get an answer', worldOf({ ...by(ALONE), ...unmapped, probes: {} }), []],
  ['and it has a mapping', worldOf(by(ALONE)), []],
  [
    'and it has a mapping by the name of its interface',
    worldOf({
      attachments: (all) => by(ALONE).attachments!(all).map((entry) => ({ ...entry, ifName: 'net1' })),
      rules: (text) => text.replace(`id: \\"${SANDBOX}\\"`, `id: \\"${SANDBOX}\\" if: \\"net1\\"`),
    }),
    [],
  ],
  ['by a chain that cannot be read', worldOf({ ...by(undefined), ...unmapped }), []],
  ['by a chain with portmap', worldOf(unmapped), []],
  [
    'and portmap is still not chained',
    worldOf({ ...by(ALONE), ...unmapped, portmap: { type: 'tuning' } }),
    [],
  ],
  [
    'and portmap still has no capability',
    worldOf({ ...by(ALONE), ...unmapped, portmap: { capabilities: { portMappings: false } } }),
    [],
  ],
  [
    'and the rules are not known',
    worldOf({
      ...by(ALONE),
      report: (report) => ({ ...report, netfilter: { ...report.netfilter, nft: unread } }),
    }),
    [],
  ],
  ['without a cached result', worldOf({ ...unmapped, attachments: () => [] }), []],
]);
