/**
 * Cases from the field: what people have reported to the trackers of Kubernetes' network plugins and runtimes, each as the least of a node that has
 * it, in what its own tools print; each with variations of the same kind, and with neighbours that look alike and are in order.
 */
import type { Event, Pod, Service } from '../../src/kube/types.ts';
import type { NodeReport } from '../../src/path/model/node-report.ts';
import { known } from '../../src/path/model/observed.ts';
import type { ProbeResult, Vantage } from '../../src/path/model/probe.ts';
import type { World } from '../../src/path/model/world.ts';
import { cniNode, listOf, pluginFile } from '../../src/path/testing/cni-node.ts';
import { podOn, smallWorld, worldOfNode } from '../../src/path/testing/small-world.ts';
import { DPORT, NODE, type Otherwise, POD, REFUSED, SILENT, worldOf } from '../../src/path/testing/worker.ts';

/** A world, and what is to be found in it: severities and codes, without notes. */
export interface Scene {
  name: string;
  world: World;
  found: readonly string[];
  /** Words that the first finding's message has. */
  says?: readonly string[];
}

export interface FieldCase {
  number: number;
  /** Where it was reported, or what the report is about. */
  from: string;
  scenes: readonly Scene[];
}

const scene = (name: string, otherwise: Otherwise, found: readonly string[], ...says: string[]): Scene => ({
  ...{ name, found, says },
  world: worldOf(otherwise),
});

type Probes = Partial<Record<Vantage, Partial<ProbeResult>>>;
const UNSEEN = { ...SILENT, tracked: false };
/** Other machines time out, and the node has seen nothing of them. */
const UNSEEN_AWAY: Probes = { 'other-node': UNSEEN, outside: UNSEEN };
/** Other machines time out; the node has tracked their connections and seen no answer. */
const LOST: Probes = {
  'other-node': { ...SILENT, tracked: true, replied: false },
  outside: { ...SILENT, tracked: true, replied: false },
};
const ALL_SILENT: Probes = {
  ...{ direct: SILENT, node: SILENT, loopback: SILENT, 'other-node': SILENT, pod: SILENT, outside: SILENT },
};
const ALL_REFUSED: Probes = {
  ...{
    direct: REFUSED,
    node: REFUSED,
    loopback: REFUSED,
    'other-node': REFUSED,
    pod: REFUSED,
    outside: REFUSED,
  },
};

const netdev = (devices: string | string[], ...expr: unknown[]) => {
  const where = { family: 'netdev', table: 'edge' };
  return [
    { table: { family: 'netdev', name: 'edge', handle: 1 } },
    {
      chain: {
        ...where,
        ...{
          name: 'ingress',
          handle: 1,
          type: 'filter',
          hook: 'ingress',
          prio: 0,
          policy: 'accept',
          dev: devices,
        },
      },
    },
    { rule: { ...where, chain: 'ingress', handle: 2, expr } },
  ];
};
const nftDport = (port: number) => ({
  match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: port },
});
const DROP = { drop: null };

const DROPPED: FieldCase = {
  number: 1,
  from: 'a firewall on the node drops in mangle',
  scenes: [
    scene(
      'in mangle PREROUTING',
      { mangle: [`[7:420] -A PREROUTING ${DPORT} -j DROP`], probes: UNSEEN_AWAY },
      ['broken packet-dropped'],
      'PREROUTING in table mangle',
    ),
    scene('in raw PREROUTING', { raw: [`-A PREROUTING -i eth0 ${DPORT} -j DROP`], probes: UNSEEN_AWAY }, [
      'broken packet-dropped',
    ]),
    scene(
      'in mangle POSTROUTING, behind the translation',
      {
        mangle: ['-A POSTROUTING ! -s 172.17.0.3/32 -o lxc1 -p tcp -m tcp --dport 8080 -j DROP'],
        probes: LOST,
      },
      ['broken packet-dropped'],
      'POSTROUTING',
    ),
    scene(
      'at the device, in nftables',
      { nft: netdev('eth0', nftDport(80), DROP), probes: UNSEEN_AWAY },
      ['broken packet-dropped'],
      'ingress in table edge',
    ),
    scene('at another device', { nft: netdev('eth9', nftDport(80), DROP), probes: {} }, []),
    scene(
      'of another port, at the device',
      { nft: netdev(['eth0', 'eth1'], nftDport(81), DROP), probes: {} },
      [],
    ),
    scene(
      'of the answers, in raw',
      { raw: ['-A PREROUTING -i lxc1 -p tcp -m tcp --sport 8080 -j DROP'], probes: LOST },
      ['broken packet-dropped'],
      'answers of echo',
    ),
    scene(
      'of the answers, by a FORWARD that accepts only the way there',
      {
        filter: [':FORWARD DROP [0:0]', '-A FORWARD -i eth0 -o lxc1 -j ACCEPT'],
        probes: LOST,
      },
      ['broken packet-dropped'],
      'the policy of FORWARD',
    ),
    scene(
      'of nothing, where connections that are there are accepted first',
      {
        filter: [
          ':FORWARD DROP [0:0]',
          '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
          '-A FORWARD -i eth0 -o lxc1 -j ACCEPT',
        ],
        probes: {},
      },
      [],
    ),
    scene(
      'of the node’s own packets alone',
      { filter: [`-A OUTPUT -d ${POD.address}/32 -p tcp -m tcp --dport 8080 -j REJECT`] },
      ['risk packet-dropped'],
      'the node itself',
    ),
    scene(
      'of packets of other machines, which were answered all the same',
      { mangle: [`-A PREROUTING ${DPORT} -j DROP`], probes: {} },
      [],
    ),
    scene(
      'of packets of other machines, where another node was answered and others were not',
      { mangle: [`-A PREROUTING ${DPORT} -j DROP`], probes: { outside: UNSEEN } },
      ['broken not-answering', 'risk packet-dropped'],
    ),
    scene(
      'of packets of nodes, where others were answered',
      {
        mangle: [`-A PREROUTING -s 172.17.0.2/32 ${DPORT} -j DROP`],
        probes: { 'other-node': UNSEEN },
      },
      ['broken packet-dropped'],
    ),
    scene(
      'of the answers, where only the node itself got none',
      { raw: ['-A PREROUTING -i lxc1 -p tcp -m tcp --sport 8080 -j DROP'], probes: { node: SILENT } },
      ['broken packet-dropped'],
      'to the node itself',
    ),
    scene(
      'of the node’s own packets, which were answered all the same',
      {
        filter: [`-A OUTPUT -d ${POD.address}/32 -p tcp -m tcp --dport 8080 -j REJECT`],
        probes: {},
      },
      [],
    ),
    scene('by nothing on the node', { probes: UNSEEN_AWAY }, ['broken off-node-blocked']),
  ],
};

const forwardingOff = (device: string) => ({ [`net.ipv4.conf.${device}.forwarding`]: '0' });

const FORWARDING: FieldCase = {
  number: 2,
  from: 'systemd#468, systemd#30648',
  scenes: [
    scene(
      'off on the node’s device',
      { sysctls: forwardingOff('eth0'), probes: UNSEEN_AWAY },
      ['broken ip-forward-off'],
      'eth0',
      'net.ipv4.conf.eth0.forwarding=0',
    ),
    scene(
      'off on the pod’s device',
      { sysctls: forwardingOff(POD.device), probes: LOST },
      ['broken ip-forward-off'],
      POD.device,
    ),
    scene(
      'off on the device by which answers enter, and not on that of the route',
      {
        sysctls: { ...forwardingOff(POD.device), 'net.ipv4.conf.cilium_host.route_localnet': '1' },
        links: (links) => [...links, { name: 'cilium_host', index: 9, up: true, mtu: 1500 }],
        routes: (routes) =>
          routes.map((route) =>
            route.destination === `${POD.address}/32` ? { ...route, device: 'cilium_host' } : route,
          ),
        probes: LOST,
      },
      ['broken ip-forward-off'],
      POD.device,
    ),
    scene('off on a device that is not on the way', { sysctls: forwardingOff('eth1'), probes: {} }, []),
  ],
};

const service = (spec: object, more: object = {}): Service =>
  ({
    metadata: { namespace: 'shop', name: 'web' },
    spec: { ports: [{ name: 'http', port: 80, targetPort: 8080 }], ...spec },
    ...more,
  }) as Service;
const withServices =
  (...services: Service[]) =>
  (world: World): World => ({ ...world, services });

/** An address on a device of the node. */
const localAddress =
  (address: string, device: string): NonNullable<Otherwise['report']> =>
  (report) => ({
    ...report,
    network: {
      ...report.network,
      addresses: {
        value: [
          ...known(report.network.addresses)!,
          { device, family: 'ipv4', address, prefix: 32, scope: 'global' },
        ],
      },
    },
  });

/** kube-proxy's rules for a Service at an address. */
const kubeProxyAt = (address: string, why: string) => [
  ':KUBE-SERVICES - [0:0]',
  ':KUBE-EXT-X - [0:0]',
  ':KUBE-SVC-X - [0:0]',
  ':KUBE-SEP-X - [0:0]',
  `-A KUBE-SERVICES -d ${address}/32 -p tcp -m comment --comment "shop/web:http ${why}" -m tcp --dport 80 -j KUBE-EXT-X`,
  '-A KUBE-EXT-X -j KUBE-SVC-X',
  '-A KUBE-SVC-X -m comment --comment "shop/web:http -> 10.244.0.9:8080" -j KUBE-SEP-X',
  '-A KUBE-SEP-X -p tcp -m comment --comment "shop/web:http" -m tcp -j DNAT --to-destination 10.244.0.9:8080',
];
const TO_SERVICES = '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES';
const KUBE_PROXY = kubeProxyAt(NODE.address, 'external IP');
const OUT_TO_SERVICES = TO_SERVICES.replace('PREROUTING', 'OUTPUT');

const CLUSTER_IP = '10.96.0.10';
const labelled =
  (labels: Record<string, string>) =>
  (pod: Pod): Pod => ({ ...pod, metadata: { ...pod.metadata, labels } });

const LOCAL_SERVICES: FieldCase = {
  number: 3,
  from: 'talos#9223, kubernetes#61938, plugins#222',
  scenes: [
    scene(
      'a cluster IP on kube-ipvs0',
      {
        report: localAddress(CLUSTER_IP, 'kube-ipvs0'),
        world: withServices(service({ clusterIP: CLUSTER_IP })),
      },
      ['broken service-shadowed'],
      'shop/web',
      CLUSTER_IP,
    ),
    scene(
      'a cluster IP on the device of a cache of DNS',
      {
        report: localAddress(CLUSTER_IP, 'nodelocaldns'),
        world: withServices(service({ clusterIPs: [CLUSTER_IP, 'fd00::a'] })),
      },
      ['broken service-shadowed'],
    ),
    scene(
      'a cluster IP on kube-ipvs0, where the rules of the node are not known',
      {
        report: (report) => ({
          ...localAddress(CLUSTER_IP, 'kube-ipvs0')(report),
          netfilter: { ...report.netfilter, nft: { unknown: 'EACCES' } },
        }),
        world: withServices(service({ clusterIP: CLUSTER_IP })),
      },
      ['risk service-shadowed'],
    ),
    scene(
      'a cluster IP on the device of a cache of DNS, with rules of kube-proxy behind those of portmap',
      {
        nat: [...kubeProxyAt(CLUSTER_IP, 'cluster IP'), TO_SERVICES, OUT_TO_SERVICES],
        report: localAddress(CLUSTER_IP, 'nodelocaldns'),
        world: withServices(service({ clusterIP: CLUSTER_IP })),
      },
      ['broken service-shadowed'],
      'takes what is sent to Service shop/web',
    ),
    scene(
      'the same, with rules of kube-proxy first',
      {
        before: [...kubeProxyAt(CLUSTER_IP, 'cluster IP'), TO_SERVICES, OUT_TO_SERVICES],
        report: localAddress(CLUSTER_IP, 'nodelocaldns'),
        world: withServices(service({ clusterIP: CLUSTER_IP })),
      },
      [],
    ),
    scene(
      'the same, to one of two endpoints',
      {
        before: [
          ':KUBE-SEP-Y - [0:0]',
          '-A KUBE-SVC-X -m comment --comment "shop/web:http -> 10.244.0.8:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-Y',
          ...kubeProxyAt(CLUSTER_IP, 'cluster IP'),
          '-A KUBE-SEP-Y -p tcp -m comment --comment "shop/web:http" -m tcp -j DNAT --to-destination 10.244.0.8:8080',
          TO_SERVICES,
          OUT_TO_SERVICES,
        ],
        report: localAddress(CLUSTER_IP, 'nodelocaldns'),
        world: withServices(service({ clusterIP: CLUSTER_IP })),
      },
      [],
    ),
    scene(
      'the same, which the cache keeps from being tracked',
      {
        raw: ['PREROUTING', 'OUTPUT'].map(
          (chain) =>
            `-A ${chain} -d ${CLUSTER_IP}/32 ${DPORT} -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j CT --notrack`,
        ),
        report: localAddress(CLUSTER_IP, 'nodelocaldns'),
        world: withServices(service({ clusterIP: CLUSTER_IP })),
      },
      [],
    ),
    scene(
      'the same, kept from being tracked for pods alone',
      {
        raw: [`-A PREROUTING -d ${CLUSTER_IP}/32 ${DPORT} -j CT --notrack`],
        report: localAddress(CLUSTER_IP, 'nodelocaldns'),
        world: withServices(service({ clusterIP: CLUSTER_IP })),
      },
      ['broken service-shadowed'],
    ),
    scene(
      'of another port',
      {
        report: localAddress(CLUSTER_IP, 'kube-ipvs0'),
        world: withServices(service({ clusterIP: CLUSTER_IP, ports: [{ port: 81 }] })),
      },
      [],
    ),
    scene(
      'a cluster IP that is local nowhere',
      { world: withServices(service({ clusterIP: CLUSTER_IP })) },
      [],
    ),
    scene(
      'of a mapping for the node’s address alone',
      {
        pod: (pod) => ({
          ...pod,
          spec: {
            ...pod.spec!,
            containers: [
              { name: 'echo', ports: [{ hostPort: 80, containerPort: 8080, hostIP: NODE.address }] },
            ],
          },
        }),
        rules: (text) =>
          text.replace(
            /^-A (CNI-DN-\S+) -p tcp (.*) -j DNAT/m,
            `-A $1 -d ${NODE.address}/32 -p tcp $2 -j DNAT`,
          ),
        report: localAddress(CLUSTER_IP, 'kube-ipvs0'),
        world: withServices(service({ clusterIP: CLUSTER_IP })),
      },
      [],
    ),
    scene(
      'of the pod itself: the same answers either way',
      {
        report: localAddress(CLUSTER_IP, 'kube-ipvs0'),
        pod: (pod) => ({ ...pod, metadata: { ...pod.metadata, namespace: 'shop' } }),
        sandboxes: (all) => all.map((entry) => ({ ...entry, namespace: 'shop' })),
        world: withServices(service({ clusterIP: CLUSTER_IP, selector: { app: 'echo' } })),
      },
      [],
    ),
  ],
};

const condition = (conditionsV4: string[], rule: string, probes: Probes = {}): Otherwise => ({
  probes,
  rules: (text) => text.replace('-A CNI-HOSTPORT-DNAT -p tcp', `-A CNI-HOSTPORT-DNAT ${rule} -p tcp`),
  attachments: (all) =>
    all.map((entry) => ({
      ...entry,
      config: listOf([
        { type: 'cilium-cni' },
        { type: 'portmap', capabilities: { portMappings: true }, conditionsV4 },
      ]),
    })),
});

const CONDITIONS: FieldCase = {
  number: 4,
  from: "portmap's conditionsV4",
  scenes: [
    scene(
      'that excludes the network of the nodes',
      condition(['!', '-s', '172.17.0.0/16'], '! -s 172.17.0.0/16', {
        'other-node': REFUSED,
        outside: REFUSED,
        node: REFUSED,
      }),
      ['broken condition-excludes'],
      '! -s 172.17.0.0/16',
      'another node',
    ),
    scene(
      'that excludes the pods',
      condition(['!', '-s', '192.168.0.0/16'], '! -s 192.168.0.0/16', { pod: REFUSED }),
      ['broken condition-excludes'],
      'the pod itself',
    ),
    scene(
      'that excludes the node alone, where nobody has asked',
      { ...condition(['!', '-s', NODE.address], `! -s ${NODE.address}/32`), probes: undefined },
      ['risk condition-excludes'],
      'the node itself',
    ),
    scene(
      'on the device by which clients come in',
      condition(['-i', 'eth0'], '-i eth0', { node: REFUSED, loopback: REFUSED, pod: REFUSED }),
      ['broken condition-excludes'],
      '-i eth0',
    ),
    scene(
      'that excludes the gateway and the nodes, where public clients are served',
      {
        ...condition(['!', '-s', '172.17.0.0/16'], '! -s 172.17.0.0/16'),
        probes: undefined,
      },
      ['risk condition-excludes'],
      'another node and the node itself',
    ),
    scene(
      'the same, on the only node',
      {
        ...condition(['!', '-s', '172.17.0.0/16'], '! -s 172.17.0.0/16'),
        probes: undefined,
        world: (world) => ({ ...world, nodes: world.nodes.slice(0, 1) }),
      },
      ['risk condition-excludes'],
      'excludes the node itself from',
    ),
    scene(
      'that excludes all networks but that of the nodes',
      { ...condition(['-s', '172.17.0.0/16'], '-s 172.17.0.0/16'), probes: undefined },
      ['risk condition-excludes'],
      'machines of other networks',
    ),
    scene(
      'that excludes all networks but one of others, where nobody has asked',
      { ...condition(['-s', '10.9.0.0/16'], '-s 10.9.0.0/16'), probes: undefined },
      ['broken condition-excludes'],
      'another node',
    ),
    scene(
      'that excludes the network of the nodes, on the only node',
      {
        ...condition(['!', '-s', '172.17.0.0/16'], '! -s 172.17.0.0/16', { node: REFUSED, outside: REFUSED }),
        world: (world) => ({ ...world, nodes: world.nodes.slice(0, 1) }),
      },
      ['broken condition-excludes'],
    ),
    scene(
      'that seems to exclude clients who were answered',
      condition(['!', '-s', '172.17.0.0/16'], '! -s 172.17.0.0/16'),
      [],
    ),
    scene(
      'that excludes nobody who asks',
      condition(['!', '-s', '203.0.113.0/24'], '! -s 203.0.113.0/24'),
      [],
    ),
  ],
};

const mountsOf = (path: string, noExec: boolean): Otherwise['report'] => {
  const seen = { path: '/opt/cni/bin', point: path, origin: '/', source: '/dev/sdb1', readOnly: false };
  return (report) => ({
    ...report,
    cni: { ...report.cni, mounts: { value: [{ ...seen, ...(noExec ? { noExec: true as const } : {}) }] } },
  });
};

const NOEXEC: FieldCase = {
  number: 5,
  from: 'calico cni-plugin#891',
  scenes: [
    scene(
      '/opt/cni/bin on a mount with noexec',
      { report: mountsOf('/opt/cni/bin', true) },
      ['broken plugin-not-executable'],
      '/opt/cni/bin',
      'noexec',
    ),
    scene('a mount above it with noexec', { report: mountsOf('/opt', true) }, [
      'broken plugin-not-executable',
    ]),
    scene('a mount without it', { report: mountsOf('/opt', false) }, []),
    scene(
      'plugins that are links to elsewhere',
      {
        report: (report) => {
          const mounted = mountsOf('/opt', true)!(report);
          const plugins = known(mounted.cni.plugins)!.map((file) => ({
            ...file,
            target: `/usr/lib/cni/${file.name}`,
          }));
          return { ...mounted, cni: { ...mounted.cni, plugins: { value: plugins } } };
        },
      },
      [],
    ),
  ],
};

const secondInterface = (route: object | undefined, rule: object): Otherwise => ({
  links: (links) => [...links, { name: 'eth1', index: 9, up: true, mtu: 1500 }],
  routes: (routes) => [
    ...routes,
    ...(route === undefined
      ? []
      : [{ family: 'ipv4' as const, destination: '0.0.0.0/0', table: '2', type: 'unicast', ...route }]),
  ],
  policyRules: [{ priority: 1500, table: '2', ...rule }],
});
const FROM_PODS = { source: '192.168.1.0/24' };
const BY_ETH1 = { gateway: '10.0.0.1', device: 'eth1' };

/** A node whose outer device is in a VRF, whose table knows the way to the pods; `leaks`: the main table knows the way out, too. */
const inVrf = (leaks: boolean, probes: Probes): Otherwise => ({
  links: (links) => [
    ...links.map((link) => (link.name === 'eth0' ? { ...link, master: 'red' } : link)),
    { name: 'red', index: 9, up: true, mtu: 1500, kind: 'vrf', vrfTable: 10 },
  ],
  routes: (routes) => [
    ...routes.map((route) =>
      route.device === 'eth0' && route.table !== 'local' ? { ...route, table: '10' } : route,
    ),
    { family: 'ipv4', destination: `${POD.address}/32`, device: POD.device, table: '10', type: 'unicast' },
    ...(leaks
      ? [{ family: 'ipv4' as const, destination: '0.0.0.0/0', device: 'red', table: 'main', type: 'unicast' }]
      : []),
  ],
  policyRules: [{ priority: 1000, others: ['l3mdev'], action: 'lookup [other]' }],
  probes,
});

const WAY_BACK: FieldCase = {
  number: 6,
  from: 'aws-vpc-cni#75, antrea#678',
  scenes: [
    scene(
      'a table that leads out by another interface',
      { ...secondInterface(BY_ETH1, FROM_PODS), probes: LOST },
      ['broken reply-misrouted'],
      'eth1',
      'table 2',
    ),
    scene('the same, where nobody has asked', secondInterface(BY_ETH1, FROM_PODS), ['risk reply-misrouted']),
    scene(
      'the same, where it works all the same',
      { ...secondInterface(BY_ETH1, FROM_PODS), probes: {} },
      [],
    ),
    scene(
      'a table that leads nowhere',
      { ...secondInterface({ type: 'unreachable' }, FROM_PODS), probes: LOST },
      ['broken reply-misrouted'],
      'no way out',
    ),
    scene(
      'a rule for what comes in by the pod’s device',
      {
        ...secondInterface(BY_ETH1, { inputInterface: POD.device }),
        probes: LOST,
      },
      ['broken reply-misrouted'],
    ),
    scene(
      'an exception by a mark of the connection, as AWS VPC CNI makes it',
      {
        ...secondInterface(BY_ETH1, FROM_PODS),
        policyRules: [
          { priority: 1024, table: 'main', mark: { value: 0x80, mask: 0x80 } },
          { priority: 1536, table: '2', ...FROM_PODS },
        ],
        mangle: [
          '-A PREROUTING -i eth0 -m addrtype --dst-type LOCAL -j CONNMARK --set-xmark 0x80/0x80',
          '-A PREROUTING -i lxc+ -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80',
        ],
      },
      [],
    ),
    scene(
      'the node’s device in a VRF, from which the pods are not reached back',
      inVrf(false, LOST),
      ['broken reply-misrouted'],
      'no way out',
    ),
    scene('the same, with a route that leads into the VRF', inVrf(true, {}), []),
    scene('an empty table, which leaves it to the next', secondInterface(undefined, FROM_PODS), []),
  ],
};

const EXTERNAL = service({ clusterIP: '10.96.7.7', externalIPs: [NODE.address] });

const EXTERNAL_IPS: FieldCase = {
  number: 7,
  from: 'Service externalIPs',
  scenes: [
    scene(
      'the node’s address, before there are rules',
      { world: withServices(EXTERNAL) },
      ['risk service-shadowed'],
      'shop/web',
    ),
    scene(
      'the node’s address, with rules of kube-proxy first',
      { before: [...KUBE_PROXY, TO_SERVICES], world: withServices(EXTERNAL) },
      ['broken service-shadowed'],
      'Service shop/web takes TCP 80',
    ),
    scene(
      'the node’s address, with rules of kube-proxy behind those of portmap',
      { nat: [...KUBE_PROXY, TO_SERVICES], world: withServices(EXTERNAL) },
      ['broken service-shadowed'],
      'takes what is sent to Service shop/web',
    ),
    scene(
      'a load balancer’s address that is the node’s',
      {
        world: withServices(
          service(
            { type: 'LoadBalancer' },
            { status: { loadBalancer: { ingress: [{ ip: NODE.address }] } } },
          ),
        ),
      },
      ['risk service-shadowed'],
    ),
    scene(
      'a load balancer’s address, on a node without a report',
      {
        world: (world) => ({
          ...withServices(
            service(
              { type: 'LoadBalancer' },
              { status: { loadBalancer: { ingress: [{ ip: NODE.address }] } } },
            ),
          )(world),
          reports: new Map(),
        }),
      },
      ['risk service-shadowed'],
    ),
    scene(
      'k3s’ load balancer, whose own pod has the port',
      {
        pod: labelled({
          'svccontroller.k3s.cattle.io/svcname': 'web',
          'svccontroller.k3s.cattle.io/svcnamespace': 'shop',
        }),
        world: withServices(
          service(
            { type: 'LoadBalancer' },
            { status: { loadBalancer: { ingress: [{ ip: NODE.address }] } } },
          ),
        ),
      },
      [],
    ),
    scene('another node’s address', { world: withServices(service({ externalIPs: ['172.17.0.9'] })) }, []),
    scene(
      'a node port, with rules of kube-proxy first',
      {
        before: [
          ...KUBE_PROXY.filter((rule) => !rule.includes('external IP')),
          '-A KUBE-SERVICES -p tcp -m comment --comment "shop/web:http" -m tcp --dport 80 -j KUBE-EXT-X',
          TO_SERVICES,
        ],
        world: withServices(service({ type: 'NodePort', ports: [{ port: 8080, nodePort: 80 }] })),
      },
      ['broken service-shadowed'],
      'its node port',
    ),
    scene(
      'a node port, before there are rules',
      { world: withServices(service({ type: 'NodePort', ports: [{ port: 8080, nodePort: 80 }] })) },
      ['risk nodeport-collision'],
    ),
  ],
};

const container =
  (state: object, more: object = {}): Otherwise['pod'] =>
  (pod) => ({
    ...pod,
    status: {
      ...pod.status,
      containerStatuses: [
        { name: 'echo', ready: false, restartCount: 0, image: '', imageID: '', state, ...more },
      ],
    },
  });
const pending =
  (change: NonNullable<Otherwise['pod']>): Otherwise['pod'] =>
  (pod) => ({ ...change(pod), status: { ...change(pod).status, phase: 'Pending' } });
const warnings =
  (...events: [reason: string, message: string][]) =>
  (world: World): World => ({
    ...world,
    events: events.map(
      ([reason, message]): Event =>
        ({
          metadata: { name: reason },
          involvedObject: { kind: 'Pod', namespace: 'default', name: POD.name, uid: POD.uid },
          ...{ type: 'Warning', reason, message },
        }) as Event,
    ),
  });
/** A warning about one container, at a time. */
const warningOf =
  (fieldPath: string, reason: string, message: string, lastTimestamp?: string) =>
  (world: World): World => {
    const { events, ...rest } = warnings([reason, message])(world);
    return {
      ...rest,
      events: events.map((event) => ({
        ...event,
        ...{ involvedObject: { ...event.involvedObject, fieldPath }, lastTimestamp },
      })),
    };
  };
/** The pod's port is that of a container that runs beside `app`, which is in order: the init container `echo`. */
const sidecar =
  (state: object, restartPolicy?: string): Otherwise['pod'] =>
  (pod) => {
    const [first] = pod.spec!.containers;
    const [status] = pod.status!.containerStatuses!;
    return {
      ...pod,
      spec: {
        ...pod.spec!,
        containers: [{ name: 'app' }],
        initContainers: [{ ...first!, ...{ restartPolicy } }],
      },
      status: {
        ...pod.status,
        containerStatuses: [{ ...status!, name: 'app' }],
        initContainerStatuses: [{ ...status!, ready: false, state }],
      },
    };
  };
const READINESS = 'Readiness probe failed: dial tcp: connection refused';
const noSandbox: Otherwise['sandboxes'] = (all) => all.map((entry) => ({ ...entry, ready: false }));

const CONTAINERS: FieldCase = {
  number: 8,
  from: 'the image cannot be pulled',
  scenes: [
    scene(
      'ImagePullBackOff',
      {
        pod: pending(
          container({ waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "x"' } })!,
        ),
        world: warnings(
          ['Failed', 'Failed to pull image "x": not found'],
          ['Failed', 'Error: ImagePullBackOff'],
        ),
        probes: ALL_REFUSED,
      },
      ['broken container-not-running'],
      'ImagePullBackOff',
    ),
    scene(
      'CrashLoopBackOff',
      {
        pod: container({ waiting: { reason: 'CrashLoopBackOff' } }, { restartCount: 7 }),
        world: warnings(['BackOff', 'Back-off restarting failed container']),
        probes: ALL_REFUSED,
      },
      ['broken container-not-running'],
      'CrashLoopBackOff',
    ),
    scene(
      'CreateContainerError, unprobed',
      {
        pod: pending(
          container({ waiting: { reason: 'CreateContainerError', message: 'no command specified' } })!,
        ),
      },
      ['broken container-not-running'],
    ),
    scene(
      'ended, and not started again yet',
      { pod: container({ terminated: { reason: 'OOMKilled', exitCode: 137 } }), probes: ALL_REFUSED },
      ['broken container-not-running'],
      'OOMKilled',
    ),
    scene(
      'not ready by its probe',
      {
        pod: container({ running: {} }),
        world: warnings(['Unhealthy', 'Readiness probe failed: dial tcp: connection refused']),
        probes: ALL_REFUSED,
      },
      ['broken container-not-running'],
      'its readiness probe fails',
    ),
    scene(
      'a sidecar that crashes',
      {
        pod: sidecar({ waiting: { reason: 'CrashLoopBackOff' } }, 'Always'),
        world: warningOf(
          'spec.initContainers{echo}',
          'BackOff',
          'Back-off restarting failed container echo in pod echo',
        ),
        probes: ALL_REFUSED,
      },
      ['broken container-not-running'],
      'container echo',
    ),
    scene(
      'not ready by its probe, since it started',
      {
        pod: container({ running: { startedAt: '2026-01-01T00:00:00Z' } }),
        world: warningOf('spec.containers{echo}', 'Unhealthy', READINESS, '2026-01-01T00:00:00Z'),
      },
      ['risk container-not-running'],
      'its readiness probe fails',
    ),
    scene(
      'not ready yet, and its probe failed before it was started again',
      {
        pod: container({ running: { startedAt: '2026-01-01T00:00:01Z' } }),
        world: warningOf('spec.containers{echo}', 'Unhealthy', READINESS, '2026-01-01T00:00:00.999999Z'),
      },
      [],
    ),
    scene(
      'not ready yet, and the probe of another container fails',
      {
        pod: container({ running: {} }),
        world: warningOf('spec.containers{app}', 'Unhealthy', READINESS),
      },
      [],
    ),
    scene(
      'coming up, and another container of the pod has no image',
      {
        pod: pending(container({ waiting: { reason: 'ContainerCreating' } })!),
        world: warningOf('spec.containers{app}', 'Failed', 'Failed to pull image "x": not found'),
      },
      [],
    ),
    scene(
      'an init container that does not end, by its events',
      {
        pod: pending(container({ waiting: { reason: 'PodInitializing' } })!),
        world: warningOf('spec.initContainers{setup}', 'BackOff', 'Back-off restarting failed container'),
      },
      ['broken container-not-running'],
    ),
    scene(
      'not ready by its probe, of another port that answers',
      {
        pod: container({ running: {} }),
        world: warnings(['Unhealthy', 'Readiness probe failed: 503']),
        probes: {},
      },
      [],
    ),
    scene(
      'an init container that does not end',
      {
        pod: pending(container({ waiting: { reason: 'PodInitializing' } })!),
        world: warnings(['BackOff', 'Back-off restarting failed container init in pod echo']),
        probes: ALL_REFUSED,
      },
      ['broken container-not-running'],
    ),
    scene(
      'a volume that cannot be mounted',
      {
        pod: pending(container({ waiting: { reason: 'ContainerCreating' } })!),
        sandboxes: noSandbox,
        world: warnings(['FailedMount', 'MountVolume.SetUp failed: secret "tls" not found']),
      },
      ['broken container-not-running'],
    ),
    scene(
      'no address left for the sandbox',
      {
        pod: pending(container({ waiting: { reason: 'ContainerCreating' } })!),
        sandboxes: noSandbox,
        world: warnings([
          'FailedCreatePodSandBox',
          'plugin type="host-local" failed (add): failed to allocate for range 0: no IP addresses available in range set',
        ]),
      },
      ['broken container-not-running'],
    ),
    scene(
      'a sandbox that failed for what has been fixed on the node, and is tried again',
      {
        pod: pending(container({ waiting: { reason: 'ContainerCreating' } })!),
        sandboxes: noSandbox,
        world: warnings([
          'FailedCreatePodSandBox',
          'plugin type="portmap" failed (add): failed to find plugin "portmap" in path [/opt/cni/bin]',
        ]),
      },
      [],
    ),
    scene(
      'coming up',
      { pod: pending(container({ waiting: { reason: 'ContainerCreating' } })!), sandboxes: noSandbox },
      [],
    ),
    scene('running, and nothing listens', { probes: ALL_REFUSED }, ['broken application-not-listening']),
    scene('running, and silent', { probes: ALL_SILENT }, ['broken not-answering']),
  ],
};

/** Multus' own file, and what else is in the directory. */
const multus = (
  fields: object,
  files: Record<string, string> = {},
  more: Partial<NodeReport['cni']> = {},
): World => {
  const entry = { type: 'multus', name: 'multus-cni-network', cniVersion: '1.0.0', ...fields };
  return worldOfNode(
    cniNode(
      { '00-multus.conf': JSON.stringify(entry), ...files },
      {
        cni: {
          plugins: {
            value: ['multus', 'cilium-cni', 'calico', 'portmap', 'bridge'].map((name) => pluginFile(name)),
          },
          ...more,
        },
      },
    ),
  );
};
const PORTS = { capabilities: { portMappings: true } };
const CALICO = { type: 'calico' };
const delegate = (...plugins: object[]) => ({
  delegates: [{ cniVersion: '1.0.0', name: 'k8s-pod-network', plugins }],
});
const FILE = {
  '10-calico.conflist': listOf([CALICO, { type: 'portmap', ...PORTS }], { name: 'k8s-pod-network' }),
};
const FILE_WITHOUT = { '10-calico.conflist': listOf([CALICO], { name: 'k8s-pod-network' }) };

const delegated = (name: string, world: World, found: readonly string[], ...says: string[]): Scene => ({
  ...{ name, world, found, says },
});

const MULTUS: FieldCase = {
  number: 9,
  from: 'Multus',
  scenes: [
    delegated(
      'a delegate that maps ports',
      multus({ ...PORTS, ...delegate(CALICO, { type: 'portmap', ...PORTS }) }),
      [],
    ),
    delegated(
      'Multus itself is not given the ports',
      multus(delegate(CALICO, { type: 'portmap', ...PORTS })),
      ['broken delegate-capability-missing'],
      'multus in 00-multus.conf',
    ),
    delegated(
      'the delegate’s portmap is not given them',
      multus({ ...PORTS, ...delegate(CALICO, { type: 'portmap' }) }),
      ['broken delegate-capability-missing'],
      'delegates[0]',
    ),
    delegated(
      'a delegate without portmap',
      multus({ ...PORTS, ...delegate(CALICO) }),
      ['broken portmap-not-chained'],
      'delegates[0]',
    ),
    delegated(
      'the cluster network by name',
      multus({ ...PORTS, clusterNetwork: 'k8s-pod-network' }, FILE),
      [],
    ),
    delegated(
      'the cluster network by name, without portmap',
      multus({ ...PORTS, clusterNetwork: 'k8s-pod-network' }, FILE_WITHOUT),
      ['broken portmap-not-chained'],
      '10-calico.conflist',
    ),
    delegated(
      'the cluster network by a path in Multus’ pod',
      multus({ clusterNetwork: '/host/etc/cni/net.d/10-calico.conflist' }, FILE),
      ['broken delegate-capability-missing'],
    ),
    delegated(
      'the cluster network by an object',
      multus({ ...PORTS, clusterNetwork: 'macvlan-conf' }, {}),
      [],
    ),
    delegated('a delegate that is no list', multus({ ...PORTS, delegates: [{ type: 'bridge' }] }), [
      'broken portmap-not-chained',
    ]),
  ],
};

const KINDNET_MAP = {
  map: {
    ...{ family: 'inet', name: 'hostport-map-v4', table: 'cni-kindnet', handle: 4 },
    type: ['ipv4_addr', 'inet_proto', 'inet_service'],
    map: ['ipv4_addr', 'inet_service'],
    elem: [
      [{ concat: [{ range: ['0.0.0.0', '255.255.255.255'] }, 'tcp', 80] }, { concat: [POD.address, 8080] }],
    ],
  },
};
/** As cni-kindnet writes it; earlier versions had no chain for the node's own packets. */
const kindnet = (hooks: readonly ('prerouting' | 'output')[]) => {
  const where = { family: 'inet', table: 'cni-kindnet' };
  const lookup = [
    {
      match: {
        op: '==',
        left: { fib: { result: 'type', flags: ['daddr'] } },
        right: 'local',
      },
    },
    { match: { op: '==', left: { meta: { key: 'nfproto' } }, right: 'ipv4' } },
    {
      dnat: {
        family: 'ip',
        addr: {
          map: {
            key: {
              concat: [
                { payload: { protocol: 'ip', field: 'daddr' } },
                { payload: { protocol: 'ip', field: 'protocol' } },
                { payload: { protocol: 'th', field: 'dport' } },
              ],
            },
            data: '@hostport-map-v4',
          },
        },
      },
    },
  ];
  return [
    { table: { family: 'inet', name: 'cni-kindnet', handle: 7 } },
    KINDNET_MAP,
    ...hooks.flatMap((name) => [
      { chain: { ...where, name, handle: 1, type: 'nat', hook: name, prio: -100, policy: 'accept' } },
      { rule: { ...where, chain: name, handle: 2, expr: lookup } },
    ]),
  ];
};
const KINDNET_LIST = listOf([{ type: 'cni-kindnet', capabilities: { portMappings: true } }]);
const onKindnet = (hooks: readonly ('prerouting' | 'output')[], more: Otherwise = {}): Otherwise => ({
  nft: kindnet(hooks),
  // Nothing of portmap.
  rules: (text) => text.replace(/^.*(?:CNI-).*\n/gm, ''),
  attachments: (all) => all.map((entry) => ({ ...entry, config: KINDNET_LIST })),
  report: (report) => ({
    ...report,
    cni: {
      ...report.cni,
      files: {
        value: known(report.cni.files)!.map((file) => ({ ...file, content: { value: KINDNET_LIST } })),
      },
      plugins: { value: [pluginFile('cni-kindnet')] },
    },
    runtime: {
      value: {
        ...known(report.runtime)!,
        loadedNetworks: { value: [{ name: 'net', config: KINDNET_LIST }] },
      },
    },
    network: {
      ...report.network,
      sysctls: {
        value: { ...known(report.network.sysctls)!, [`net.ipv4.conf.${POD.device}.route_localnet`]: '0' },
      },
    },
  }),
  ...more,
});

const KINDNET: FieldCase = {
  number: 10,
  from: 'kindnet',
  scenes: [
    scene('its own mapping', onKindnet(['prerouting', 'output']), []),
    scene('its own mapping, without one for the node’s own packets', onKindnet(['prerouting']), []),
    scene(
      'its own mapping, probed: 127.0.0.1 is not served',
      onKindnet(['prerouting', 'output'], { probes: { loopback: SILENT, pod: {} } }),
      [],
    ),
    scene('a chain of its own without its mapping', { ...onKindnet([]), nft: [] }, [
      'risk portmap-not-chained',
    ]),
  ],
};

/** The reference portmap's table: the rules of its chain prerouting, and a mapping. */
const referenceNft = (...expr: unknown[][]) => [...emptyReferenceNft(...expr), REFERENCE_MAPPING];
const emptyReferenceNft = (...expr: unknown[][]) => {
  const where = { family: 'ip', table: 'cni_hostport' };
  return [
    { table: { family: 'ip', name: 'cni_hostport', handle: 3 } },
    ...['hostports', 'hostip_hostports', 'hostports_all'].map((name, i) => ({
      chain: { ...where, name, handle: i + 2 },
    })),
    {
      chain: {
        ...where,
        name: 'prerouting',
        handle: 9,
        type: 'nat',
        hook: 'prerouting',
        prio: -100,
        policy: 'accept',
      },
    },
    ...expr.map((each, i) => ({ rule: { ...where, chain: 'prerouting', handle: i + 20, expr: each } })),
  ];
};
const REFERENCE_MAPPING = {
  rule: {
    ...{ family: 'ip', table: 'cni_hostport', chain: 'hostports', handle: 40 },
    expr: [
      { match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: 9090 } },
      { dnat: { addr: '10.9.9.9', port: 90 } },
    ],
  },
};
const jump = (target: string) => ({ jump: { target } });
const LOCAL = { match: { op: '==', left: { fib: { result: 'type', flags: ['daddr'] } }, right: 'local' } };

const VULNERABLE: FieldCase = {
  number: 17,
  from: 'plugins GHSA-jv3w-x3r3-g6rm',
  scenes: [
    scene(
      'rules of 1.6 to 1.8',
      { nft: referenceNft([jump('hostip_hostports')], [jump('hostports')]) },
      ['risk plugin-vulnerable'],
      'CVE-2025-67499',
      '1.9.0',
    ),
    scene(
      'rules of 1.8, left behind without a mapping',
      { nft: emptyReferenceNft([jump('hostip_hostports')], [jump('hostports')]) },
      [],
    ),
    scene('rules of 1.9', { nft: referenceNft([LOCAL, jump('hostports_all')]) }, []),
    scene(
      'rules of 1.8 with a condition',
      {
        nft: referenceNft([
          { match: { op: '==', left: { meta: { key: 'iifname' } }, right: 'eth0' } },
          jump('hostports'),
        ]),
      },
      ['risk plugin-vulnerable'],
    ),
    scene(
      'the iptables backend before 0.7.5, ahead of kube-proxy',
      {
        nat: [':KUBE-SERVICES - [0:0]', TO_SERVICES],
        report: (report) => ({
          ...report,
          cni: {
            ...report.cni,
            plugins: {
              value: known(report.cni.plugins)!.map((file) => ({
                ...file,
                versions: { value: ['0.2.0', '0.3.1'] },
              })),
            },
          },
        }),
        portmap: {},
      },
      ['broken cni-version-unsupported', 'risk plugin-vulnerable'],
    ),
    scene('a newer one ahead of kube-proxy', { nat: [':KUBE-SERVICES - [0:0]', TO_SERVICES] }, []),
  ],
};

/** CRI-O's own mapping, as its mapper writes it into iptables. */
const CRIO_MAPPING = [
  ':KUBE-HOSTPORTS - [0:0]',
  ':KUBE-HP-X - [0:0]',
  '-A PREROUTING -m comment --comment "kube hostport portals" -m addrtype --dst-type LOCAL -j KUBE-HOSTPORTS',
  '-A OUTPUT -m comment --comment "kube hostport portals" -m addrtype --dst-type LOCAL -j KUBE-HOSTPORTS',
  '-A POSTROUTING -s 127.0.0.0/8 -o lxc1 -m comment --comment "SNAT for localhost access to hostports" -j MASQUERADE',
  '-A POSTROUTING -s 192.168.1.2/32 -d 192.168.1.2/32 -j MASQUERADE',
  '-A KUBE-HOSTPORTS -p tcp -m comment --comment "k8s_echo_default_uid-echo_0_ hostport 80" -m tcp --dport 80 -j KUBE-HP-X',
  '-A KUBE-HP-X -p tcp -m comment --comment "k8s_echo_default_uid-echo_0_ hostport 80" -m tcp -j DNAT --to-destination 192.168.1.2:8080',
];
const onCrio = (rules: readonly string[], more: Otherwise = {}, options: object = {}): Otherwise => ({
  nat: [...rules],
  portmap: { ...options },
  rules: (text) => text.replace(/^.*(?:CNI-).*\n/gm, ''),
  attachments: (all) => all.map((entry) => ({ ...entry, portMappings: [] })),
  report: (report) => ({
    ...report,
    runtime: {
      value: {
        ...known(report.runtime)!,
        ...{ name: 'cri-o', version: '1.27.0', loadedNetworks: { unknown: 'cri-o does not report them' } },
      },
    },
  }),
  ...more,
});

/** A node of CRI-O with an agent of Cilium, which leads the port to `backend`. */
const withCilium =
  (hostPorts: boolean, backend?: string): Otherwise['report'] =>
  (report) => {
    const backends = backend === undefined ? [] : [{ address: backend, port: 8080 }];
    const mappings = [{ address: '0.0.0.0', port: 80, protocol: 'TCP', backends }];
    return { ...onCrio([]).report!(report), cilium: { value: { hostPorts, mappings } } };
  };

const CRIO: FieldCase = {
  number: 18,
  from: 'cri-o#7217',
  scenes: [
    scene(
      'disable_hostport_mapping, and portmap chained',
      onCrio([]),
      ['broken runtime-owns-hostports'],
      'CRI-O of worker',
    ),
    scene('the same, probed', onCrio([], { probes: { ...ALL_REFUSED, direct: {} } }), [
      'broken runtime-owns-hostports',
    ]),
    scene(
      'without portmap',
      onCrio([], {
        report: (report) => ({
          ...onCrio([]).report!(report),
          cni: {
            ...report.cni,
            files: {
              value: known(report.cni.files)!.map((file) => ({
                ...file,
                content: { value: listOf([{ type: 'cilium-cni' }], { name: 'net' }) },
              })),
            },
          },
        }),
      }),
      ['broken runtime-owns-hostports'],
    ),
    scene('CRI-O maps the port itself', onCrio(CRIO_MAPPING), []),
    scene('Cilium maps the ports, in eBPF', onCrio([], { report: withCilium(true) }), []),
    scene(
      'Cilium has a mapping of the port, and does not say that it maps them',
      onCrio([], { report: withCilium(false, POD.address) }),
      [],
    ),
    scene(
      'Cilium is there, and maps no port',
      onCrio([], { report: withCilium(false) }),
      ['broken runtime-owns-hostports'],
      'CRI-O of worker',
    ),
    scene(
      'CRI-O maps the port itself, and portmap has a condition',
      onCrio(CRIO_MAPPING, {}, { conditionsV4: ['!', '-s', '10.0.0.0/8'], snat: true }),
      ['risk runtime-owns-hostports'],
      'conditionsV4',
    ),
    scene('it works all the same, by whatever maps it', onCrio([], { probes: {} }), []),
    scene(
      'a mapping of portmap’s, which was given the ports after all',
      onCrio([], { rules: (text) => text, attachments: (all) => [...all] }),
      [],
    ),
  ],
};

const booked = (name: string, createdAt: string, more: Partial<Pod['spec'] & object> = {}): Pod => {
  const pod = podOn('n1', name, 80);
  return {
    ...pod,
    metadata: { ...pod.metadata, creationTimestamp: createdAt as never },
    spec: { ...pod.spec!, ...more },
  };
};
const assigned = (name: string): Event =>
  ({
    metadata: { name: 'scheduled' },
    involvedObject: { kind: 'Pod', namespace: 'default', name, uid: `uid-${name}` },
    ...{ type: 'Normal', reason: 'Scheduled', message: `Successfully assigned default/${name} to n1` },
  }) as Event;
const FIRST = booked('first', '2026-01-01T00:00:00Z');
const SECOND = booked('second', '2026-01-01T01:00:00Z');

const BOOKED_TWICE: FieldCase = {
  number: 19,
  from: 'kube-scheduler 1.36',
  scenes: [
    delegated(
      'a pod that the scheduler placed where the port is taken',
      smallWorld([FIRST, SECOND], { events: [assigned('second')] }),
      ['broken scheduled-to-taken-port'],
      'second',
      'first',
    ),
    delegated('a pod that names the node itself', smallWorld([FIRST, SECOND]), ['broken hostport-conflict']),
    delegated(
      'of another protocol',
      smallWorld(
        [
          FIRST,
          {
            ...SECOND,
            spec: {
              ...SECOND.spec!,
              containers: [{ name: 'c', ports: [{ hostPort: 80, containerPort: 1, protocol: 'UDP' }] }],
            },
          },
        ],
        { events: [assigned('second')] },
      ),
      [],
    ),
  ],
};

/** Those whose worlds are built here. What needs more than a world (recorded nodes, a refusing API, files) is in the tests that docs/quality.md names. */
export const FIELD_CASES: readonly FieldCase[] = [
  DROPPED,
  FORWARDING,
  LOCAL_SERVICES,
  CONDITIONS,
  NOEXEC,
  WAY_BACK,
  EXTERNAL_IPS,
  CONTAINERS,
  MULTUS,
  KINDNET,
  VULNERABLE,
  CRIO,
  BOOKED_TWICE,
];
