/**
 * Where a packet was when it died, by what was seen of it last:
 * - `device`: it did not come so far as the node's prerouting hook;
 * - `netfilter`: in a hook;
 * - `routing`: between hooks, where the kernel looks for the way on;
 * - `sending`: behind the last hook, on its way to a device;
 * - `socket`: behind the input hook, in the node's own sockets;
 * - `away`: it left the node by a device, towards a pod or another machine.
 */
export type Gap = 'device' | 'netfilter' | 'routing' | 'sending' | 'socket' | 'away';

/** What a reason of the kernel means for a hostPort. */
export interface DropMeaning {
  /** What follows after "the kernel dropped it: ". */
  says: string;
  /** Where it can be the reason. What happens in a pod happens behind the node's devices: `away` is always possible. */
  at: readonly Gap[];
  /** The failure of the catalogue that it is a sign of. */
  code?: string;
  /** It is a sign of that, too, where it happens behind the node's devices. Otherwise the failure is one of the node's own settings. */
  isOfPods?: true;
}

/** The kernel's reasons (include/net/dropreason-core.h) that a connection can fail by. Others are shown by their name. */
export const dropReasons: Readonly<Record<string, DropMeaning>> = {
  NETFILTER_DROP: { says: 'a netfilter rule', at: ['netfilter', 'device'] },
  IP_LOCALNET: {
    says: 'an address of 127.0.0.0/8 on a device without route_localnet',
    at: ['routing'],
    code: 'route-localnet-off',
  },
  IP_RPFILTER: {
    says: 'the reverse path filter: the route back to its source leads elsewhere',
    at: ['routing'],
    code: 'rp-filter-strict',
  },
  IP_INADDRERRORS: {
    says: 'it is for another machine, and forwarding is off on the device that it came in by',
    at: ['routing'],
    code: 'ip-forward-off',
  },
  IP_INNOROUTES: {
    says: 'no route leads to its destination',
    at: ['routing'],
    code: 'pod-route-missing',
  },
  IP_OUTNOROUTES: {
    says: 'no route leads to its destination',
    at: ['routing', 'sending'],
    code: 'pod-route-missing',
  },
  IP_LOCAL_SOURCE: {
    says: 'its source is an address of the machine that it came to',
    at: ['routing'],
    code: 'hairpin-unmasqueraded',
    isOfPods: true,
  },
  IP_INVALID_SOURCE: { says: 'its source is no address that a packet can come from', at: ['routing'] },
  IP_INVALID_DEST: { says: 'its destination is no address that a packet can be for', at: ['routing'] },
  IPV6DISABLED: { says: 'IPv6 is off on the device', at: ['device', 'routing', 'sending'] },
  OTHERHOST: {
    says: "its link-layer address is not the device's",
    at: ['device'],
  },
  UNICAST_IN_L2_MULTICAST: {
    says: 'it was for one machine and sent to all of the link',
    at: ['routing'],
  },
  NEIGH_FAILED: {
    says: 'nobody on the link answers for the next address',
    at: ['sending'],
    code: 'pod-route-missing',
  },
  NEIGH_CREATEFAIL: { says: 'the table of neighbours is full', at: ['sending'] },
  NEIGH_QUEUEFULL: { says: 'too many packets wait for the same neighbour', at: ['sending'] },
  NEIGH_DEAD: { says: 'the neighbour was removed', at: ['sending'] },
  TC_INGRESS: { says: 'a tc filter or eBPF program where it came in', at: ['device'] },
  TC_EGRESS: { says: 'a tc filter or eBPF program where it was to leave', at: ['sending'] },
  XDP: { says: 'an XDP program where it came in', at: ['device'] },
  BPF_CGROUP_EGRESS: { says: 'an eBPF program of a cgroup', at: ['sending'] },
  SOCKET_FILTER: { says: 'a filter of the socket, or an eBPF program of its cgroup', at: ['socket'] },
  SECURITY_HOOK: { says: 'a security module', at: ['socket', 'sending'] },
  XFRM_POLICY: { says: 'an IPsec policy', at: ['socket', 'routing'] },
  NO_SOCKET: {
    says: 'no socket listens on its port',
    at: ['socket'],
    code: 'application-not-listening',
    isOfPods: true,
  },
  TCP_LISTEN_OVERFLOW: { says: 'the queue of the listening socket is full', at: ['socket'] },
  SOCKET_RCVBUFF: { says: 'the receive buffer of the socket is full', at: ['socket'] },
  SOCKET_BACKLOG: { says: 'the backlog of the socket is full', at: ['socket'] },
  PROTO_MEM: { says: 'the protocol has no memory left', at: ['socket'] },
  IP_NOPROTO: { says: 'nobody handles its protocol', at: ['socket'] },
  UNHANDLED_PROTO: { says: 'nobody handles its protocol', at: ['device'] },
  TCP_CSUM: { says: 'a wrong TCP checksum', at: ['socket'] },
  UDP_CSUM: { says: 'a wrong UDP checksum', at: ['socket'] },
  IP_CSUM: { says: 'a wrong IP checksum', at: ['device'] },
  IP_INHDR: { says: 'a malformed IP header', at: ['device', 'routing'] },
  PKT_TOO_SMALL: { says: 'it is too short', at: ['device'] },
  PKT_TOO_BIG: { says: 'it is larger than the next link takes', at: ['routing', 'sending'] },
  QDISC_DROP: { says: 'the queue of the device', at: ['sending'] },
  QDISC_OVERLIMIT: { says: 'the queue of the device is full', at: ['sending'] },
  CPU_BACKLOG: { says: 'the queue of the processor is full', at: ['device'] },
  FULL_RING: { says: 'the ring of the device is full', at: ['sending'] },
  DEV_READY: { says: 'the device is down', at: ['sending'] },
  NOMEM: { says: 'the kernel has no memory left', at: ['device', 'routing', 'sending', 'socket'] },
};
