/**
 * Rule sets of components that let hostPorts work, as their tools print them on a node, shortened to what packets of a mapping and their answers pass.
 * Nothing is to be found with any of them, and the way there and back is known.
 */
import type { Otherwise } from '../../src/path/testing/worker.ts';
import { accept, jump, meta, nft, state } from './nft.ts';

/** Calico 3.28, iptables: the workload's device is `lxc1`. */
const CALICO: Otherwise = {
  raw: [
    ':cali-PREROUTING - [0:0]',
    ':cali-from-host-endpoint - [0:0]',
    ':cali-rpf-skip - [0:0]',
    '-A PREROUTING -m comment --comment "cali:6gwbT8clXdHdC1b1" -j cali-PREROUTING',
    '-A cali-PREROUTING -m comment --comment "cali:XFX5xbM8B9qR10JG" -j MARK --set-xmark 0x0/0xf0000',
    '-A cali-PREROUTING -i lxc+ -m comment --comment "cali:EWMPb0zVROM-woQp" -j MARK --set-xmark 0x40000/0x40000',
    '-A cali-PREROUTING -m comment --comment "cali:V6ooGP15glg7wm91" -m mark --mark 0x40000/0x40000 -j cali-rpf-skip',
    '-A cali-PREROUTING -m comment --comment "cali:RKG95N65W0gsGLPp" -m mark --mark 0x40000/0x40000 -m rpfilter --validmark --invert -j DROP',
    '-A cali-PREROUTING -m comment --comment "cali:asXXKK4u4mh8DC5b" -m mark --mark 0x0/0x40000 -j cali-from-host-endpoint',
    '-A cali-PREROUTING -m comment --comment "cali:VZ7ZaPrqRQxt4O4C" -m mark --mark 0x10000/0x10000 -j ACCEPT',
  ],
  filter: [
    ':FORWARD ACCEPT [0:0]',
    ':cali-FORWARD - [0:0]',
    ':cali-from-wl-dispatch - [0:0]',
    ':cali-to-wl-dispatch - [0:0]',
    ':cali-fw-lxc1 - [0:0]',
    ':cali-tw-lxc1 - [0:0]',
    '-A FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD',
    '-A FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m mark --mark 0x10000/0x10000 -j ACCEPT',
    '-A cali-FORWARD -m comment --comment "cali:vjrMJCRpqwy5oRoX" -j MARK --set-xmark 0x0/0xe0000',
    '-A cali-FORWARD -i lxc+ -m comment --comment "cali:8ZoYfO5HKXWbB3pk" -j cali-from-wl-dispatch',
    '-A cali-FORWARD -o lxc+ -m comment --comment "cali:jdEuaPBe14V2hutn" -j cali-to-wl-dispatch',
    '-A cali-from-wl-dispatch -i lxc1 -m comment --comment "cali:a" -g cali-fw-lxc1',
    '-A cali-from-wl-dispatch -m comment --comment "cali:zTj6P0TIgYvgz-md Unknown interface" -j DROP',
    '-A cali-to-wl-dispatch -o lxc1 -m comment --comment "cali:b" -g cali-tw-lxc1',
    '-A cali-to-wl-dispatch -m comment --comment "cali:7KNphB1nNHw80nIO Unknown interface" -j DROP',
    '-A cali-fw-lxc1 -m comment --comment "cali:c" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-A cali-fw-lxc1 -m comment --comment "cali:d" -m conntrack --ctstate INVALID -j DROP',
    '-A cali-fw-lxc1 -m comment --comment "cali:e Drop if no profiles matched" -j DROP',
    '-A cali-tw-lxc1 -m comment --comment "cali:f" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-A cali-tw-lxc1 -m comment --comment "cali:g" -m conntrack --ctstate INVALID -j DROP',
    '-A cali-tw-lxc1 -m comment --comment "cali:h" -j MARK --set-xmark 0x10000/0x10000',
    '-A cali-tw-lxc1 -m comment --comment "cali:i Return if profile accepted" -m mark --mark 0x10000/0x10000 -j RETURN',
    '-A cali-tw-lxc1 -m comment --comment "cali:j Drop if no profiles matched" -j DROP',
  ],
};

/** ufw, enabled, with the pods' network allowed to be routed. */
const UFW: Otherwise = {
  filter: [
    ':INPUT DROP [0:0]',
    ':FORWARD DROP [0:0]',
    ':ufw-before-forward - [0:0]',
    ':ufw-before-input - [0:0]',
    ':ufw-user-forward - [0:0]',
    ':ufw-reject-forward - [0:0]',
    '-A INPUT -j ufw-before-input',
    '-A FORWARD -j ufw-before-forward',
    '-A FORWARD -j ufw-reject-forward',
    '-A ufw-before-input -i lo -j ACCEPT',
    '-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-A ufw-before-forward -p icmp -m icmp --icmp-type 3 -j ACCEPT',
    '-A ufw-before-forward -j ufw-user-forward',
    '-A ufw-user-forward -d 192.168.0.0/16 -j ACCEPT',
    '-A ufw-reject-forward -j REJECT --reject-with icmp-port-unreachable',
  ],
};

/** Docker 28 beside containerd: it sets the policy, and an administrator lets translated connections by. */
const DOCKER: Otherwise = {
  raw: ['-A PREROUTING -d 172.18.0.2/32 ! -i br-0 -j DROP'],
  nat: [
    ':DOCKER - [0:0]',
    '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
    '-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER',
    '-A POSTROUTING -s 172.18.0.0/16 ! -o br-0 -j MASQUERADE',
    '-A DOCKER ! -i br-0 -p tcp -m tcp --dport 8000 -j DNAT --to-destination 172.18.0.2:80',
  ],
  filter: [
    ':FORWARD DROP [0:0]',
    ':DOCKER-USER - [0:0]',
    ':DOCKER-FORWARD - [0:0]',
    ':DOCKER-CT - [0:0]',
    ':DOCKER - [0:0]',
    '-A FORWARD -j DOCKER-USER',
    '-A FORWARD -j DOCKER-FORWARD',
    '-A DOCKER-USER -m conntrack --ctstate DNAT -j ACCEPT',
    '-A DOCKER-FORWARD -j DOCKER-CT',
    '-A DOCKER-CT -o br-0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-A DOCKER-FORWARD -o br-0 -j DOCKER',
    '-A DOCKER ! -i br-0 -o br-0 -j DROP',
  ],
};

/** firewalld 1.3 with nftables, zone public, forwarding of the pods' network by a policy. */
const FIREWALLD: Otherwise = {
  nft: nft('inet', 'firewalld', [
    {
      chain: {
        name: 'filter_PREROUTING',
        handle: 1,
        type: 'filter',
        hook: 'prerouting',
        prio: 10,
        policy: 'accept',
      },
    },
    {
      rule: {
        chain: 'filter_PREROUTING',
        handle: 2,
        expr: [
          meta('nfproto', 'ipv6'),
          {
            match: {
              op: '==',
              left: { fib: { result: 'oif', flags: ['saddr', 'mark', 'iif'] } },
              right: false,
            },
          },
          { drop: null },
        ],
      },
    },
    {
      chain: {
        name: 'filter_FORWARD',
        handle: 3,
        type: 'filter',
        hook: 'forward',
        prio: 10,
        policy: 'accept',
      },
    },
    { chain: { name: 'filter_FORWARD_POLICIES', handle: 4 } },
    { rule: { chain: 'filter_FORWARD', handle: 5, expr: [state('established', 'related'), accept] } },
    {
      rule: {
        chain: 'filter_FORWARD',
        handle: 6,
        expr: [{ match: { op: 'in', left: { ct: { key: 'status' } }, right: 'dnat' } }, accept],
      },
    },
    { rule: { chain: 'filter_FORWARD', handle: 7, expr: [meta('iifname', 'lo'), accept] } },
    { rule: { chain: 'filter_FORWARD', handle: 8, expr: [jump('filter_FORWARD_POLICIES')] } },
    {
      rule: {
        chain: 'filter_FORWARD',
        handle: 9,
        expr: [{ reject: { type: 'icmpx', expr: 'admin-prohibited' } }],
      },
    },
  ]),
};

/** kube-proxy's own rules of filter, which every node with it has. */
const KUBE_PROXY: Otherwise = {
  filter: [
    ':KUBE-FORWARD - [0:0]',
    ':KUBE-FIREWALL - [0:0]',
    ':KUBE-PROXY-FIREWALL - [0:0]',
    ':KUBE-NODEPORTS - [0:0]',
    '-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
    '-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS',
    '-A INPUT -j KUBE-FIREWALL',
    '-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
    '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
    '-A OUTPUT -j KUBE-FIREWALL',
    '-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
    '-A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name ct_state_invalid_dropped_pkts -j DROP',
    '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
    '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  ],
};

/** kube-router's network policies, for a pod that a policy lets everybody reach. */
const KUBE_ROUTER: Otherwise = {
  filter: [
    ':KUBE-ROUTER-FORWARD - [0:0]',
    ':KUBE-POD-FW-ABC - [0:0]',
    ':KUBE-NWPLCY-DEFAULT - [0:0]',
    '-A FORWARD -m comment --comment "kube-router netpol - TEMCG2JMHZYE7H7T" -j KUBE-ROUTER-FORWARD',
    '-A FORWARD -m comment --comment "kube-router: explicitly ACCEPT" -m mark --mark 0x20000/0x20000 -j ACCEPT',
    '-A KUBE-ROUTER-FORWARD -d 192.168.1.2/32 -m comment --comment "rule to jump traffic destined to POD" -j KUBE-POD-FW-ABC',
    '-A KUBE-ROUTER-FORWARD -s 192.168.1.2/32 -m comment --comment "rule to jump traffic from POD" -j KUBE-POD-FW-ABC',
    '-A KUBE-POD-FW-ABC -m comment --comment "rule for stateful firewall for pod" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-A KUBE-POD-FW-ABC -m comment --comment "run through default ingress network policy" -j KUBE-NWPLCY-DEFAULT',
    '-A KUBE-POD-FW-ABC -m comment --comment "rule to REJECT traffic destined for POD" -m mark ! --mark 0x10000/0x10000 -j REJECT',
    '-A KUBE-POD-FW-ABC -m comment --comment "set mark to ACCEPT traffic" -j MARK --set-xmark 0x20000/0x20000',
    '-A KUBE-NWPLCY-DEFAULT -j MARK --set-xmark 0x10000/0x10000',
  ],
};

/** Antrea's rules of iptables, and Weave Net's, where no policy selects the pod. */
const ANTREA: Otherwise = {
  raw: [
    ':ANTREA-PREROUTING - [0:0]',
    '-A PREROUTING -m comment --comment "Antrea: jump to Antrea prerouting rules" -j ANTREA-PREROUTING',
    '-A ANTREA-PREROUTING -p udp -m comment --comment "Antrea: do not track incoming encapsulation packets" -m udp --dport 6081 -m addrtype --dst-type LOCAL -j NOTRACK',
  ],
  filter: [
    ':ANTREA-FORWARD - [0:0]',
    '-A FORWARD -m comment --comment "Antrea: jump to Antrea forwarding rules" -j ANTREA-FORWARD',
    '-A ANTREA-FORWARD -i antrea-gw0 -m comment --comment "Antrea: accept packets from local Pods" -j ACCEPT',
    '-A ANTREA-FORWARD -o antrea-gw0 -m comment --comment "Antrea: accept packets to local Pods" -j ACCEPT',
  ],
};

/** A hardened node: invalid packets and spoofed sources are dropped, in nftables. */
const HARDENED: Otherwise = {
  nft: nft('inet', 'hardening', [
    { chain: { name: 'pre', handle: 1, type: 'filter', hook: 'prerouting', prio: -150, policy: 'accept' } },
    { rule: { chain: 'pre', handle: 2, expr: [state('invalid'), { drop: null }] } },
    {
      rule: {
        chain: 'pre',
        handle: 3,
        expr: [
          { match: { op: '==', left: { fib: { result: 'oif', flags: ['saddr', 'iif'] } }, right: false } },
          { drop: null },
        ],
      },
    },
    { chain: { name: 'forward', handle: 4, type: 'filter', hook: 'forward', prio: 0, policy: 'drop' } },
    {
      rule: {
        chain: 'forward',
        handle: 5,
        expr: [
          {
            vmap: {
              key: { ct: { key: 'state' } },
              data: {
                set: [
                  ['established', accept],
                  ['related', accept],
                  ['invalid', { drop: null }],
                ],
              },
            },
          },
        ],
      },
    },
    { rule: { chain: 'forward', handle: 6, expr: [meta('oifname', 'lxc1'), accept] } },
  ]),
};

/** AWS VPC CNI: answers to what came in by the first interface are looked up in table main by a mark of the connection. */
const AWS_VPC: Otherwise = {
  mangle: [
    '-A PREROUTING -i eth0 -m comment --comment "AWS, primary ENI" -m addrtype --dst-type LOCAL --limit-iface-in -j CONNMARK --set-xmark 0x80/0x80',
    '-A PREROUTING -i lxc+ -m comment --comment "AWS, primary ENI" -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80',
  ],
  policyRules: [
    { priority: 512, table: 'main', destination: '192.168.1.2/32' },
    { priority: 1024, table: 'main', mark: { value: 0x80, mask: 0x80 } },
  ],
};

export const IN_ORDER: readonly (readonly [string, Otherwise])[] = [
  ['Calico', CALICO],
  ['ufw', UFW],
  ['Docker', DOCKER],
  ['firewalld', FIREWALLD],
  ['kube-proxy', KUBE_PROXY],
  ['kube-router', KUBE_ROUTER],
  ['Antrea', ANTREA],
  ['a hardened node', HARDENED],
  ['AWS VPC CNI', AWS_VPC],
];
