import type { Death, Story } from '../story.ts';

/** What must be said of a case. */
export interface TraceCase {
  outcome: Story['outcome'];
  message: string;
  death?: Partial<Death>;
}

const dropped = (
  direction: Death['direction'],
  hook: string,
  table: string,
  chain: string,
  rule: string | undefined,
  code = 'packet-dropped',
): TraceCase => {
  const what = `the ${direction} was dropped by ${rule === undefined ? 'the policy' : 'a rule'} of ${table} ${chain} (hook ${hook})`;
  return {
    outcome: 'died',
    message: rule === undefined ? what : `${what}: ${rule}`,
    death: {
      ...{ direction, hook, table, chain, reason: 'NETFILTER_DROP', isReasonCertain: true },
      ...(rule !== undefined && { rule }),
      code,
    },
  };
};

/** By the kernel's reason, which is known to be that of the packet. */
const byReason = (
  direction: Death['direction'],
  message: string,
  reason: string,
  code?: string,
): TraceCase => ({
  outcome: 'died',
  message,
  death: { direction, reason, isReasonCertain: true, ...(code !== undefined && { code }) },
});

/**
 * Cases of a node with a hostPort 8080 for port 80 of a pod behind lxc1. test/trace.netns.test.ts makes each with the real kernel and records
 * it; story.test.ts makes the story from the records (test/fixtures/traces).
 */
export const cases = {
  healthy: { outcome: 'answered', message: 'the probe was answered (connected)' },
  'healthy-udp': { outcome: 'answered', message: 'the probe was answered (15 bytes)' },
  'healthy-loopback': { outcome: 'answered', message: 'the probe was answered (connected)' },
  'raw-drop': dropped(
    'request',
    'prerouting',
    'ip raw',
    'PREROUTING',
    '-A PREROUTING -p tcp -m tcp --dport 8080 -j DROP',
  ),
  'mangle-drop': dropped(
    'request',
    'prerouting',
    'ip mangle',
    'PREROUTING',
    '-A PREROUTING -p tcp -m tcp --dport 8080 -j DROP',
  ),
  'filter-drop': dropped(
    'request',
    'forward',
    'ip filter',
    'FORWARD',
    '-A FORWARD -p tcp -m tcp --dport 80 -j DROP',
    'forward-policy-drop',
  ),
  'nat-drop': dropped('request', 'prerouting', 'ip t', 'c', 'tcp dport 8080 drop'),
  'jump-drop': dropped('request', 'forward', 'inet fw', 'deny', 'drop', 'forward-policy-drop'),
  'policy-drop': dropped('request', 'forward', 'inet fw', 'f', undefined, 'forward-policy-drop'),
  'postrouting-drop': dropped(
    'request',
    'postrouting',
    'ip mangle',
    'POSTROUTING',
    '-A POSTROUTING -p tcp -j DROP',
  ),
  'ingress-drop': dropped('request', 'ingress', 'netdev fw', 'f', 'tcp dport 8080 drop'),
  'answer-drop': dropped('answer', 'forward', 'inet fw', 'f', 'tcp sport 80 drop'),
  'ipv6-drop': dropped('request', 'input', 'inet fw', 'i', 'tcp dport 8080 drop'),
  'legacy-drop': {
    outcome: 'died',
    message: 'the request was dropped at hook forward, after ip nat PREROUTING, by a rule of iptables-legacy',
    death: {
      ...{ direction: 'request', hook: 'forward', reason: 'NETFILTER_DROP', isReasonCertain: true },
      code: 'forward-policy-drop',
    },
  },
  'no-forwarding': byReason(
    'request',
    'the request was dropped in the routing after hook prerouting: it is for another machine, and forwarding is off on the device that it came in by (IP_INADDRERRORS)',
    'IP_INADDRERRORS',
    'ip-forward-off',
  ),
  'no-route-localnet': byReason(
    'request',
    'the request was translated and cannot leave: a packet from 127.0.0.0/8 needs route_localnet on the device that it leaves by',
    'NETFILTER_DROP',
    'route-localnet-off',
  ),
  'rp-filter': byReason(
    'request',
    'the request was dropped in the routing after hook prerouting: the reverse path filter: the route back to its source leads elsewhere (IP_RPFILTER)',
    'IP_RPFILTER',
    'rp-filter-strict',
  ),
  'answer-misrouted': byReason(
    'answer',
    'the answer could not be sent by lxc1: nobody there answers for 10.91.0.1',
    'NEIGH_FAILED',
    'reply-misrouted',
  ),
  'no-route': byReason(
    'request',
    'the request was dropped in the routing after hook prerouting: no route leads to its destination (IP_INNOROUTES)',
    'IP_INNOROUTES',
    'pod-route-missing',
  ),
  'route-refuses': {
    outcome: 'died',
    message:
      'the request was dropped in the routing after hook prerouting: the node answered that its destination cannot be reached (EHOSTUNREACH)',
    death: { direction: 'request', hook: 'prerouting', code: 'pod-route-missing' },
  },
  'no-route-from-node': {
    outcome: 'died',
    message: 'the request was translated by ip nat OUTPUT, and no route leads to where it goes since',
    death: { direction: 'request', hook: 'output', reason: 'NETFILTER_DROP', code: 'pod-route-missing' },
  },
  'pod-forwards-not': byReason(
    'request',
    "the request was dropped behind lxc1, in another network than the node's: it is for another machine, and forwarding is off on the device that it came in by (IP_INADDRERRORS)",
    'IP_INADDRERRORS',
    'not-answering',
  ),
  hairpin: byReason(
    'request',
    "the request was dropped behind lxc1, in another network than the node's: its source is an address of the machine that it came to (IP_LOCAL_SOURCE)",
    'IP_LOCAL_SOURCE',
    'hairpin-unmasqueraded',
  ),
  'no-listener': {
    outcome: 'died',
    message: 'the pod behind lxc1 refuses it: no socket listens on TCP 80 there',
    death: { direction: 'answer', code: 'application-not-listening' },
  },
  'no-listener-udp': {
    outcome: 'died',
    message: 'the pod behind lxc1 refuses it: no socket listens on UDP 80 there',
    death: { code: 'application-not-listening' },
  },
  'no-mapping': {
    outcome: 'died',
    message: 'the node itself refuses it: no rule sends TCP 8080 to a pod, and no socket listens on it',
    death: { direction: 'answer', code: 'mapping-missing' },
  },
  'other-host': byReason(
    'request',
    "the request was dropped between the device and the first hook: its link-layer address is not the device's (OTHERHOST)",
    'OTHERHOST',
  ),
} as const satisfies Record<string, TraceCase>;

export type CaseName = keyof typeof cases;
