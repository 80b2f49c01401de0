/**
 * Rule sets that people have published with a question or a change, each written for these tests with no more than what packets of a mapping and
 * their answers meet. Nothing of them was looked at while the diagnosis was written.
 */
import type { NodeReport } from '../../src/path/model/node-report.ts';
import { known } from '../../src/path/model/observed.ts';
import { listOf, pluginFile } from '../../src/path/testing/cni-node.ts';
import {
  DPORT,
  forAddress,
  NODE,
  type Otherwise,
  POD,
  SANDBOX,
  worldOf,
} from '../../src/path/testing/worker.ts';
import { accept, base, chain, jump, meta, nft, payload, rule, state } from './nft.ts';
import type { PublicCase } from './public-cases.ts';

/** A rule set, judged without a probe: by what it says alone. */
const rules = (
  from: string,
  shows: string,
  otherwise: Otherwise,
  found: readonly string[],
  unknown?: PublicCase['unknown'],
): PublicCase => ({
  from,
  shows,
  of: 'rules',
  world: worldOf(otherwise),
  found,
  ...(unknown && { unknown }),
});

/** What portmap's own iptables rules are, gone. */
const flushed: Otherwise['rules'] = (text) => text.replace(/^.*CNI-.*\n/gm, '');

/** A table that somebody made by nft under a name of iptables', which iptables then does not show. */
const incompatible =
  (table: string): Otherwise['rules'] =>
  (text) =>
    text.replace(
      new RegExp(`^\\*${table}\n(?:.*\n)*?COMMIT\n`, 'm'),
      `# Table \`${table}' is incompatible, use 'nft' tool.\n`,
    );

/** A mapping that portmap wrote for a sandbox which is no more, in front of all others. */
const leftBehind = (name: string, ports: string, to: string): string[] => [
  ':CNI-DN-0123456789abcdef01234 - [0:0]',
  `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"${name}\\" id: \\"${'e'.repeat(64)}\\"" -m multiport --dports ${ports} -j CNI-DN-0123456789abcdef01234`,
  `-A CNI-DN-0123456789abcdef01234 ${DPORT} -j DNAT --to-destination ${to}`,
];

/** A node whose pods are attached by another list. */
const attachedBy = (config: string, more: Otherwise): Otherwise => ({
  attachments: (all) => all.map((entry) => ({ ...entry, config })),
  report: (report): NodeReport => ({
    ...report,
    cni: {
      ...report.cni,
      files: { value: known(report.cni.files)!.map((file) => ({ ...file, content: { value: config } })) },
      plugins: {
        value: [...config.matchAll(/"type":"([\w-]+)"/g)].map(([, name]) => pluginFile(name!)),
      },
    },
    runtime: {
      value: { ...known(report.runtime)!, loadedNetworks: { value: [{ name: 'net', config }] } },
    },
  }),
  ...more,
});

const FLANNEL_FORWARD = [
  ':FLANNEL-FWD - [0:0]',
  '-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
  '-A FLANNEL-FWD -s 192.168.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT',
  '-A FLANNEL-FWD -d 192.168.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT',
];
const KUBE_FORWARD = [
  ':KUBE-FORWARD - [0:0]',
  '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
  '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
  '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
  '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
];
const DOCKER_FORWARD = [
  ':FORWARD DROP [0:0]',
  ':DOCKER - [0:0]',
  ':DOCKER-ISOLATION-STAGE-1 - [0:0]',
  ':DOCKER-ISOLATION-STAGE-2 - [0:0]',
  ':DOCKER-USER - [0:0]',
  '-A FORWARD -j DOCKER-USER',
  '-A FORWARD -j DOCKER-ISOLATION-STAGE-1',
  '-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  '-A FORWARD -o docker0 -j DOCKER',
  '-A FORWARD -i docker0 ! -o docker0 -j ACCEPT',
  '-A FORWARD -i docker0 -o docker0 -j ACCEPT',
  '-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2',
  '-A DOCKER-ISOLATION-STAGE-1 -j RETURN',
  '-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP',
  '-A DOCKER-ISOLATION-STAGE-2 -j RETURN',
  '-A DOCKER-USER -j RETURN',
];

const DNAT_STATUS = { match: { op: 'in', left: { ct: { key: 'status' } }, right: 'dnat' } };
const REJECTED = { reject: { type: 'icmpx', expr: 'admin-prohibited' } };
/** To a port of a pod, behind the lookup of what portmap's nftables backend writes. */
const dnatTo = (address: string, port: number) => ({ dnat: { family: 'ip', addr: address, port } });

export const PUBLIC_RULE_SETS: readonly PublicCase[] = [
  rules(
    'containernetworking/plugins#643',
    'a mapping for the address 0.0.0.0 alone',
    {
      pod: forAddress('0.0.0.0'),
      rules: (text) => text.replace(/^(-A CNI-DN-\S+) (.*-p tcp)/gm, '$1 -d 0.0.0.0/32 $2'),
    },
    ['broken mapping-missing'],
  ),
  rules(
    'lyft/cni-ipvlan-vpc-k8s#43',
    'loopback of an early version in front of portmap, which hands it no address: no mapping is written',
    attachedBy(
      listOf([
        { type: 'cni-ipvlan-vpc-k8s-ipvlan' },
        { type: 'cni-ipvlan-vpc-k8s-unnumbered-ptp' },
        { type: 'loopback' },
        { type: 'portmap', capabilities: { portMappings: true } },
      ]),
      { rules: flushed },
    ),
    ['broken mapping-missing'],
  ),
  rules(
    'kubernetes/kubernetes#62112',
    'a mapping without the address that the pod asks for',
    { pod: forAddress(NODE.address) },
    [],
  ),
  rules(
    'kubernetes/kubernetes#107591',
    "flannel's masquerading, with an exception for the pods of this node",
    {
      nat: [
        '-A POSTROUTING -s 192.168.0.0/16 -d 192.168.0.0/16 -j RETURN',
        '-A POSTROUTING -s 192.168.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully',
        '-A POSTROUTING ! -s 192.168.0.0/16 -d 192.168.1.0/24 -j RETURN',
        '-A POSTROUTING ! -s 192.168.0.0/16 -d 192.168.0.0/16 -j MASQUERADE --random-fully',
      ],
    },
    [],
  ),
  rules(
    'hashicorp/nomad#6385',
    "mappings of another network's earlier containers, restored at boot in front of the new ones",
    {
      before: leftBehind('nomad', '80,443', '172.26.64.9:8080'),
      filter: ['-A FORWARD -m conntrack --ctstate INVALID -j DROP'],
    },
    ['broken mapping-shadowed'],
  ),
  rules(
    'rancher-archives/rke#3440',
    'a mapping that an upgrade left behind, in front of the new one',
    { before: leftBehind('net', '80,443', '192.168.1.77:8080') },
    ['broken mapping-stale'],
  ),
  rules(
    'greenpau/cni-plugins#12',
    'a port mapper of another project, in nftables, for what comes in by other devices',
    attachedBy(
      listOf([
        { type: 'cilium-cni' },
        { type: 'cni-nftables-portmap', capabilities: { portMappings: true } },
      ]),
      {
        rules: incompatible('nat'),
        nft: nft('ip', 'nat', [
          base('prerouting', 'prerouting', { type: 'nat', prio: -100 }),
          chain('cni-npr-1'),
          rule('prerouting', jump('cni-npr-1')),
          rule(
            'cni-npr-1',
            { match: { op: '!=', left: { meta: { key: 'iifname' } }, right: POD.device } },
            payload('tcp', 'dport', 80),
            dnatTo(POD.address, 8080),
          ),
        ]),
      },
    ),
    [],
    { stage: 'translated', says: 'node: the rules do not lead to the pod' },
  ),
  rules(
    'greenpau/cni-plugins#3',
    "a firewall of the node's own that rejects all that is forwarded",
    {
      nft: nft('inet', 'filter', [base('forward', 'forward'), rule('forward', REJECTED)]),
    },
    ['broken forward-policy-drop'],
  ),
  rules(
    'k3s-io/k3s#977',
    "the rules of Oracle's images, which reject what is forwarded",
    {
      filter: [
        ':InstanceServices - [0:0]',
        '-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT',
        '-A INPUT -p icmp -j ACCEPT',
        '-A INPUT -i lo -j ACCEPT',
        '-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT',
        '-A INPUT -j REJECT --reject-with icmp-host-prohibited',
        '-A FORWARD -j REJECT --reject-with icmp-host-prohibited',
        '-A OUTPUT -d 169.254.0.0/16 -j InstanceServices',
        '-A InstanceServices -d 169.254.0.2/32 -p tcp -m owner --uid-owner 0 -m tcp --dport 3260 -j ACCEPT',
        '-A InstanceServices -d 169.254.0.0/16 -p tcp -m tcp -j REJECT --reject-with tcp-reset',
      ],
    },
    ['broken forward-policy-drop'],
  ),
  rules(
    'k3s-io/k3s#4847',
    "Tailscale's chains, and flannel's",
    {
      filter: [
        ':ts-input - [0:0]',
        ':ts-forward - [0:0]',
        '-A INPUT -j ts-input',
        '-A FORWARD -j ts-forward',
        '-A ts-input -s 100.115.92.0/23 ! -i tailscale0 -j RETURN',
        '-A ts-input -s 100.64.0.0/10 ! -i tailscale0 -j DROP',
        '-A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xffffffff',
        '-A ts-forward -m mark --mark 0x40000 -j ACCEPT',
        '-A ts-forward -s 100.64.0.0/10 -o tailscale0 -j DROP',
        '-A ts-forward -o tailscale0 -j ACCEPT',
        ...FLANNEL_FORWARD,
      ],
      nat: [
        ':ts-postrouting - [0:0]',
        '-A POSTROUTING -j ts-postrouting',
        '-A ts-postrouting -m mark --mark 0x40000 -j MASQUERADE',
      ],
    },
    [],
  ),
  rules(
    'kubernetes/kubernetes#72370',
    "Docker's policy, and nobody who accepts what goes to pods",
    { filter: DOCKER_FORWARD },
    ['broken forward-policy-drop'],
  ),
  rules(
    'kubernetes/kubernetes#108718',
    'the same policy with the rules of kube-proxy, which accept what is established',
    { filter: [':FORWARD DROP [0:0]', ...KUBE_FORWARD] },
    ['broken forward-policy-drop'],
  ),
  rules(
    'k0sproject/k0s#2849',
    "kube-router's chain of a pod that no policy selects",
    {
      filter: [
        ':KUBE-ROUTER-FORWARD - [0:0]',
        ':KUBE-POD-FW-X - [0:0]',
        ':KUBE-NWPLCY-DEFAULT - [0:0]',
        '-A FORWARD -m comment --comment "kube-router netpol" -j KUBE-ROUTER-FORWARD',
        `-A KUBE-ROUTER-FORWARD -d ${POD.address}/32 -m comment --comment "to POD" -j KUBE-POD-FW-X`,
        `-A KUBE-ROUTER-FORWARD -d ${POD.address}/32 -m physdev --physdev-is-bridged -m comment --comment "to POD" -j KUBE-POD-FW-X`,
        `-A KUBE-ROUTER-FORWARD -s ${POD.address}/32 -m comment --comment "from POD" -j KUBE-POD-FW-X`,
        '-A KUBE-ROUTER-FORWARD -m comment --comment "rule to explicitly ACCEPT" -m mark --mark 0x20000/0x20000 -j ACCEPT',
        '-A KUBE-POD-FW-X -m comment --comment "stateful" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
        '-A KUBE-POD-FW-X -m comment --comment "invalid" -m conntrack --ctstate INVALID -j DROP',
        `-A KUBE-POD-FW-X -d ${POD.address}/32 -m comment --comment "from the node" -m addrtype --src-type LOCAL -j ACCEPT`,
        `-A KUBE-POD-FW-X -s ${POD.address}/32 -m comment --comment "egress" -j KUBE-NWPLCY-DEFAULT`,
        `-A KUBE-POD-FW-X -d ${POD.address}/32 -m comment --comment "ingress" -j KUBE-NWPLCY-DEFAULT`,
        '-A KUBE-POD-FW-X -m comment --comment "log" -m mark ! --mark 0x10000/0x10000 -m limit --limit 10/min --limit-burst 10 -j NFLOG --nflog-group 100',
        '-A KUBE-POD-FW-X -m comment --comment "reject" -m mark ! --mark 0x10000/0x10000 -j REJECT --reject-with icmp-port-unreachable',
        '-A KUBE-POD-FW-X -j MARK --set-xmark 0x0/0x10000',
        '-A KUBE-POD-FW-X -m comment --comment "comply" -j MARK --set-xmark 0x20000/0x20000',
        '-A KUBE-NWPLCY-DEFAULT -m comment --comment "mark traffic matching a network policy" -j MARK --set-xmark 0x10000/0x10000',
      ],
    },
    [],
  ),
  rules(
    'firewalld/firewalld#527',
    'zones of firewalld, with the devices of pods in none: what is translated is accepted',
    {
      nft: nft('inet', 'firewalld', [
        base('filter_FORWARD', 'forward', { prio: 10 }),
        chain('filter_FORWARD_ZONES'),
        chain('filter_FWD_public'),
        rule('filter_FORWARD', state('established', 'related'), accept),
        rule('filter_FORWARD', DNAT_STATUS, accept),
        rule('filter_FORWARD', meta('iifname', 'lo'), accept),
        rule('filter_FORWARD', state('invalid'), { drop: null }),
        rule('filter_FORWARD', jump('filter_FORWARD_ZONES')),
        rule('filter_FORWARD', REJECTED),
        rule('filter_FORWARD_ZONES', meta('iifname', 'eth0'), { goto: { target: 'filter_FWD_public' } }),
        rule('filter_FORWARD_ZONES', meta('iifname', 'cali*'), accept),
        rule('filter_FORWARD_ZONES', { goto: { target: 'filter_FWD_public' } }),
        rule('filter_FWD_public', REJECTED),
      ]),
    },
    [],
  ),
  rules(
    'projectcalico/calico#8025',
    "a redirection of the port to a process, in front of portmap's rules",
    {
      protocol: 'UDP',
      before: ['-A PREROUTING -i eth0 -p udp -m udp --dport 80 -j REDIRECT --to-ports 1162'],
    },
    ['broken mapping-shadowed'],
  ),
  rules(
    'kubernetes/kubernetes#114537',
    'a translation of another Service whose text no tool should print',
    {
      before: [
        ':KUBE-SERVICES - [0:0]',
        ':KUBE-SEP-DAS - [0:0]',
        '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        '-A KUBE-SERVICES -d 10.96.44.1/32 -p tcp -m tcp --dport 9100 -j KUBE-SEP-DAS',
        '-A KUBE-SEP-DAS -p tcp -m tcp -j DNAT --to-destination :0 --persistent --to-destination :0 --persistent --to-destination 0.0.0.0:0',
      ],
    },
    [],
  ),
  rules(
    'containernetworking/plugins#916',
    "the firewall plugin's chain, which accepts answers and what comes from the pod, under Docker's policy",
    {
      filter: [
        ...DOCKER_FORWARD,
        ':CNI-ADMIN - [0:0]',
        ':CNI-FORWARD - [0:0]',
        '-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD',
        '-A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN',
        `-A CNI-FORWARD -d ${POD.address}/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
        `-A CNI-FORWARD -s ${POD.address}/32 -j ACCEPT`,
      ],
    },
    ['broken forward-policy-drop'],
  ),
  rules(
    'containernetworking/plugins#1116',
    "the reference's nftables backend with a condition that leaves out loopback",
    attachedBy(
      listOf([
        { type: 'cilium-cni' },
        {
          type: 'portmap',
          capabilities: { portMappings: true },
          backend: 'nftables',
          conditionsV4: ['ip', 'daddr', '!=', '{ 127.0.0.0/8, 198.19.254.254 }'],
        },
      ]),
      {
        rules: flushed,
        nft: nft('ip', 'cni_hostport', [
          chain('hostports'),
          chain('hostip_hostports'),
          ...(['prerouting', 'output'] as const).flatMap((hook) => {
            const condition = payload(
              'ip',
              'daddr',
              { set: [{ prefix: { addr: '127.0.0.0', len: 8 } }, '198.19.254.254'] },
              '!=',
            );
            const local = {
              match: { op: '==', left: { fib: { result: 'type', flags: ['daddr'] } }, right: 'local' },
            };
            return [
              base(hook, hook, { type: 'nat', prio: -100 }),
              rule(hook, condition, jump('hostip_hostports')),
              rule(hook, condition, ...(hook === 'output' ? [local] : []), jump('hostports')),
            ];
          }),
          base('masquerading', 'postrouting', { type: 'nat', prio: 100 }),
          ...[POD.address, '127.0.0.1'].map((source) =>
            rule('masquerading', payload('ip', 'saddr', source), payload('ip', 'daddr', POD.address), {
              masquerade: null,
            }),
          ),
          {
            rule: {
              ...{ chain: 'hostports', handle: 7, comment: SANDBOX },
              expr: [payload('tcp', 'dport', 80), dnatTo(POD.address, 8080)],
            },
          },
        ]),
      },
    ),
    ['risk plugin-vulnerable', 'risk condition-excludes'],
  ),
  rules(
    'moby/moby#49518',
    "Docker's chains with sets of bridges that iptables does not show, under its policy",
    {
      raw: ['-A PREROUTING -d 172.18.0.2/32 ! -i br-1 -p tcp -m tcp --dport 1000 -j DROP'],
      filter: [
        ':FORWARD DROP [0:0]',
        ':DOCKER - [0:0]',
        ':DOCKER-FORWARD - [0:0]',
        ':DOCKER-USER - [0:0]',
        '-A FORWARD -j DOCKER-USER',
        '-A FORWARD -j DOCKER-FORWARD',
        '-A DOCKER-FORWARD -m set --match-set docker-ext-bridges-v4 dst -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
        '-A DOCKER-FORWARD -m set --match-set docker-ext-bridges-v4 dst -j DOCKER',
        '-A DOCKER-FORWARD -i br-1 -j ACCEPT',
        '-A DOCKER -d 172.18.0.2/32 ! -i br-1 -o br-1 -p tcp -m tcp --dport 1000 -j ACCEPT',
        '-A DOCKER ! -i br-1 -o br-1 -j DROP',
      ],
    },
    ['broken forward-policy-drop'],
  ),
  rules(
    'projectcalico/calico#7434',
    'kube-proxy drops what it takes for invalid, before it accepts the rest',
    { filter: KUBE_FORWARD },
    [],
  ),
  rules(
    'kube-vip/kube-vip#560',
    'a second address of the node, of a load balancer, is closed to its own processes',
    {
      report: (report) => ({
        ...report,
        network: {
          ...report.network,
          addresses: {
            value: [
              ...known(report.network.addresses)!,
              { device: 'eth0', family: 'ipv4', address: '172.17.0.100', prefix: 32, scope: 'global' },
            ],
          },
        },
      }),
      filter: [
        '-A INPUT -d 172.17.0.100/32 -p tcp -m tcp --dport 443 -m comment --comment "default/primary kube-vip load balancer IP" -j ACCEPT',
        '-A INPUT -d 172.17.0.100/32 -m comment --comment "default/primary kube-vip load balancer IP" -j DROP',
      ],
    },
    [],
  ),
  rules(
    'canonical/lxd#8716',
    "LXD's table accepts, and Docker's policy drops all the same",
    {
      nft: nft('inet', 'lxd', [
        base('fwd.lxdbr0', 'forward'),
        rule('fwd.lxdbr0', meta('oifname', 'lxdbr0'), accept),
        rule('fwd.lxdbr0', meta('iifname', 'lxdbr0'), accept),
      ]),
      filter: DOCKER_FORWARD,
    },
    ['broken forward-policy-drop'],
  ),
  rules(
    'kubernetes/kubernetes#57558',
    "Calico 2.6 accepts what goes to its devices, in front of Docker's policy",
    {
      filter: [
        ':cali-FORWARD - [0:0]',
        ':cali-from-wl-dispatch - [0:0]',
        ':cali-to-wl-dispatch - [0:0]',
        ':cali-tw-lxc1 - [0:0]',
        ':cali-fw-lxc1 - [0:0]',
        ':cali-pri-k8s_ns.default - [0:0]',
        '-A FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD',
        ...KUBE_FORWARD,
        ...DOCKER_FORWARD,
        '-A cali-FORWARD -i lxc+ -m comment --comment "cali:X3vB2lGcBrfkYquC" -j cali-from-wl-dispatch',
        '-A cali-FORWARD -o lxc+ -m comment --comment "cali:UtJ9FnhBnFbyQMvU" -j cali-to-wl-dispatch',
        '-A cali-FORWARD -i lxc+ -m comment --comment "cali:Tt19HcSdA5YIGSsw" -j ACCEPT',
        '-A cali-FORWARD -o lxc+ -m comment --comment "cali:9LzfFCvnpC5_MYXm" -j ACCEPT',
        '-A cali-from-wl-dispatch -i lxc1 -m comment --comment "cali:1" -g cali-fw-lxc1',
        '-A cali-from-wl-dispatch -m comment --comment "cali:2" -j DROP',
        '-A cali-to-wl-dispatch -o lxc1 -m comment --comment "cali:3" -g cali-tw-lxc1',
        '-A cali-to-wl-dispatch -m comment --comment "cali:4" -j DROP',
        '-A cali-fw-lxc1 -m comment --comment "cali:5" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
        '-A cali-tw-lxc1 -m comment --comment "cali:6" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
        '-A cali-tw-lxc1 -m comment --comment "cali:7" -m conntrack --ctstate INVALID -j DROP',
        '-A cali-tw-lxc1 -m comment --comment "cali:8" -j MARK --set-xmark 0x0/0x1000000',
        '-A cali-tw-lxc1 -m comment --comment "cali:9" -j cali-pri-k8s_ns.default',
        '-A cali-tw-lxc1 -m comment --comment "cali:10 Return if profile accepted" -m mark --mark 0x1000000/0x1000000 -j RETURN',
        '-A cali-tw-lxc1 -m comment --comment "cali:11 Drop if no profiles matched" -j DROP',
        '-A cali-pri-k8s_ns.default -m comment --comment "cali:12" -j MARK --set-xmark 0x1000000/0x1000000',
        '-A cali-pri-k8s_ns.default -m comment --comment "cali:13" -m mark --mark 0x1000000/0x1000000 -j RETURN',
      ],
    },
    [],
  ),
  rules(
    'k3s-io/k3s-ansible#511',
    'a firewall whose policy drops, and which accepts the networks of pods and Services',
    {
      nft: nft('inet', 'filter', [
        base('input', 'input', { policy: 'drop' }),
        base('forward', 'forward', { policy: 'drop' }),
        rule('input', state('established', 'related'), accept),
        rule('forward', state('established', 'related'), accept),
        ...['saddr', 'daddr'].map((field) =>
          rule(
            'forward',
            payload('ip', field, {
              set: [{ prefix: { addr: '192.168.0.0', len: 16 } }, { prefix: { addr: '10.96.0.0', len: 16 } }],
            }),
            accept,
          ),
        ),
      ]),
    },
    [],
  ),
  rules(
    'k3s-io/k3s#8742',
    'a firewall whose policy drops, and which knows nothing of pods',
    {
      nft: nft('inet', 'filter', [
        base('forward', 'forward', { policy: 'drop' }),
        rule('forward', state('established', 'related'), accept),
        rule('forward', meta('iifname', 'wg0'), accept),
      ]),
    },
    ['broken forward-policy-drop'],
  ),
  rules(
    'k3s-io/k3s#11415',
    "a table that was iptables', with a rule that iptables cannot show",
    {
      rules: incompatible('filter'),
      nft: nft('ip', 'filter', [
        base('INPUT', 'input'),
        base('FORWARD', 'forward'),
        base('OUTPUT', 'output'),
        rule('INPUT', {
          vmap: {
            key: { ct: { key: 'state' } },
            data: {
              set: [
                ['established', accept],
                ['invalid', { drop: null }],
              ],
            },
          },
        }),
      ]),
    },
    [],
  ),
  rules(
    'cloudnativelabs/kube-router#1685',
    'addresses of Services, in a set that iptables does not show, closed to processes of the node',
    {
      filter: [
        ':KUBE-ROUTER-SERVICES - [0:0]',
        '-A INPUT -m comment --comment "handle traffic to IPVS service IPs in custom chain" -m set --match-set kube-router-svip dst -j KUBE-ROUTER-SERVICES',
        '-A FORWARD -o kube-bridge -m comment --comment "allow inbound traffic to pods" -j ACCEPT',
        '-A KUBE-ROUTER-SERVICES -m comment --comment "allow" -m set --match-set kube-router-svip-prt dst,dst -j ACCEPT',
        '-A KUBE-ROUTER-SERVICES -m comment --comment "reject all unexpected traffic" -m set ! --match-set kube-router-local-ips dst -j REJECT',
      ],
    },
    [],
  ),
  rules(
    'kubernetes/kubernetes#131765',
    "kube-proxy in nftables drops what the node sends to a load balancer's address without an endpoint: its own, on this port",
    {
      nft: nft('ip', 'kube-proxy', [
        {
          map: {
            ...{ name: 'no-endpoint-services', handle: 3, map: 'verdict' },
            type: ['ipv4_addr', 'inet_proto', 'inet_service'],
            elem: [[{ concat: [NODE.address, 'tcp', 80] }, { drop: null }]],
          },
        },
        chain('service-endpoints-check'),
        base('filter-input', 'input', { prio: -110 }),
        base('filter-forward', 'forward', { prio: -110 }),
        base('filter-output', 'output', { prio: -110 }),
        ...['filter-input', 'filter-forward', 'filter-output'].map((name) =>
          rule(name, state('new'), jump('service-endpoints-check')),
        ),
        rule('service-endpoints-check', {
          vmap: {
            key: {
              concat: [
                { payload: { protocol: 'ip', field: 'daddr' } },
                { meta: { key: 'l4proto' } },
                { payload: { protocol: 'th', field: 'dport' } },
              ],
            },
            data: '@no-endpoint-services',
          },
        }),
      ]),
      world: (world) => ({
        ...world,
        services: [
          {
            metadata: { namespace: 'shop', name: 'web' },
            spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', ports: [{ port: 80 }] },
            status: { loadBalancer: { ingress: [{ ip: NODE.address }] } },
          },
        ],
      }),
    },
    ['risk service-shadowed', 'risk packet-dropped'],
  ),
];
