/** Which failures can be there at once, and why others cannot. */

import { faultOf } from '../../../src/lab/faults/index.ts';
import type { Failure } from '../../../src/path/stages/failure.ts';
import { seeded, shuffled } from '../../../src/util/seeded.ts';

/** Failures that recreate the pod with a broken chain: it has no mapping, and often no sandbox. */
const WITHOUT_MAPPING: readonly string[] = [
  'portmap-not-chained',
  'capability-missing',
  'delegate-capability-missing',
  'condition-excludes',
  'conflist-shadowed',
  'conflist-renamed',
  'conflist-not-loaded',
  'plugin-order-wrong',
  'cni-version-unsupported',
  'conflist-too-early',
  'set-mark-chain-missing',
  'plugin-missing',
  'plugin-not-executable',
  'plugin-wrong-architecture',
  'plugin-too-old',
  'netfilter-tool-missing',
  'pod-predates-chain',
  'hairpin-unmasqueraded',
];

/** Failures of a running pod's own rules, routes, namespace or application. */
const OF_RUNNING_POD: readonly string[] = [
  'attachment-doubled',
  'mapping-missing',
  'entry-jump-missing',
  'mapping-stale',
  'mapping-shadowed',
  'masquerade-missing',
  'mark-bit-shared',
  'netfilter-bypassed',
  'packet-dropped',
  'reply-misrouted',
  'rp-filter-strict',
  'route-localnet-off',
  'pod-route-missing',
  'application-not-listening',
  'policy-denied',
  'off-node-blocked',
  'source-address-lost',
  'not-answering',
];

/** Failures that make another pod or attachment by the node's chain. */
const BY_ANOTHER_POD: readonly string[] = [
  'conflist-invalid',
  'attachment-leaked',
  'delete-aborted',
  'conntrack-stale-udp',
  'hostip-family-mismatch',
  'hostip-not-on-node',
  'nodeport-collision',
  'container-not-running',
];

/** Failures that are found by the results of probes when nothing else explains them. */
const BY_PROBES_ALONE: readonly string[] = [
  'application-not-listening',
  'policy-denied',
  'off-node-blocked',
  'not-answering',
  'rp-filter-strict',
  'netfilter-bypassed',
  'source-address-lost',
];

/** Pairs that exclude each other by nature: both codes from the one list, or one from each. */
export const exclusive: readonly { one: readonly string[]; other: readonly string[]; because: string }[] = [
  {
    one: ['no-node-with-free-port'],
    other: WITHOUT_MAPPING,
    because: 'while the pod is recreated its port is free, and the pod that waits for it gets it',
  },
  {
    one: WITHOUT_MAPPING,
    other: WITHOUT_MAPPING,
    because: 'a node has one configuration and one portmap, and each puts another in its place',
  },
  { one: WITHOUT_MAPPING, other: OF_RUNNING_POD, because: 'a pod without a mapping has none to be damaged' },
  { one: WITHOUT_MAPPING, other: BY_ANOTHER_POD, because: 'the other pod needs a chain that works' },
  { one: ['conflist-invalid'], other: BY_ANOTHER_POD, because: 'the other pod needs a chain that works' },
  {
    one: ['attachment-doubled', 'mapping-missing', 'entry-jump-missing', 'mapping-stale', 'mapping-shadowed'],
    other: ['route-localnet-off'],
    because: 'where the rules do not lead to the pod, no device on the way to it is judged',
  },
  {
    one: ['conflist-invalid'],
    other: ['mark-bit-shared'],
    because: "portmap's mark bit is read from the configuration, which cannot be parsed",
  },
  {
    one: BY_PROBES_ALONE,
    other: BY_PROBES_ALONE,
    because: 'each is found only when nothing else explains the silence',
  },
  {
    one: ['no-node-with-free-port'],
    other: WITHOUT_MAPPING,
    because: 'the pod that waits for the port gets it while the pod that has it is recreated',
  },
  {
    one: ['netfilter-tool-missing'],
    other: ['backends-mixed', 'forward-policy-drop', 'plugin-vulnerable'],
    because: 'the one is injected with the tool that the other removes',
  },
  {
    one: ['host-listener-hijacked'],
    other: ['v6-loopback', 'no-listening-socket'],
    because: 'the process that listens on the node is found by whoever asks [::1] or looks for a socket',
  },
  {
    one: BY_PROBES_ALONE,
    other: ['ip-forward-off', 'forward-policy-drop', 'pod-route-missing', ...OF_RUNNING_POD],
    because: 'packets do not get far enough to show what is behind',
  },
];

/** Why two failures cannot be shown at once; undefined when they can. */
export function excludedBecause(a: Failure, b: Failure): string | undefined {
  return exclusive.find(
    ({ one, other }) =>
      (one.includes(a.code) && other.includes(b.code)) || (one.includes(b.code) && other.includes(a.code)),
  )?.because;
}

/** The same pairs for the same seed, none twice, each in the order in which it is injected. */
export function randomPairs(failures: readonly Failure[], count: number, seed: number): [Failure, Failure][] {
  const possible = failures.filter((failure) => faultOf(failure).impossible === undefined);
  const pairs = possible.flatMap((a, i) =>
    possible
      .slice(i + 1)
      .filter((b) => excludedBecause(a, b) === undefined)
      .map((b): [Failure, Failure] => [a, b]),
  );
  return shuffled(pairs, seeded(seed)).slice(0, count);
}
