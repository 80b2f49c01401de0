import { expect, test } from 'bun:test';
import type { Pod } from '../../../kube/types.ts';
import { testFindings } from '../../testing/findings-text.ts';
import { podOn, smallWorld, warningOf } from '../../testing/small-world.ts';
import { unschedulable } from './no-node-with-free-port.ts';

type Condition = { type: string; status: string; reason?: string; message?: string };

const NO_PORT = "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.";
const REFUSED = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: NO_PORT };

const waiting = (...conditions: Condition[]): Pod => ({
  ...podOn(undefined, 'a', 80),
  status: { phase: 'Pending', conditions },
});

testFindings('no-node-with-free-port', [
  [
    'no node has it',
    smallWorld([waiting(REFUSED)]),
    [
      'broken a TCP 80: a waits for a node on which TCP 80 is free',
      "event | pod a: FailedScheduling | 0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.",
      'by hand: only the owner of the workload can decide on its replicas and rollout strategy',
    ],
  ],
  [
    'no node has it, among other conditions, of a pod elsewhere',
    smallWorld([
      {
        ...waiting({ type: 'Ready', status: 'False' }, REFUSED),
        metadata: { name: 'b', namespace: 'shop', uid: 'uid-b' },
      },
    ]),
    [
      'broken shop/b TCP 80: shop/b waits for a node on which TCP 80 is free',
      "event | pod shop/b: FailedScheduling | 0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.",
      'by hand: only the owner of the workload can decide on its replicas and rollout strategy',
    ],
  ],
  [
    'it has a node meanwhile',
    smallWorld([{ ...podOn('n1', 'a', 80), status: { conditions: [REFUSED] } }]),
    [],
  ],
  ['the memory is short', smallWorld([waiting({ ...REFUSED, message: '2 Insufficient memory.' })]), []],
  ['no reason is said', smallWorld([waiting({ ...REFUSED, message: undefined })]), []],
  ['the scheduler has not looked', smallWorld([waiting()]), []],
]);

const created = (name: string, minute: number, status: Pod['status'] = {}): Pod => {
  const pod = podOn('n1', name, 80);
  return {
    ...pod,
    metadata: { ...pod.metadata, creationTimestamp: `2026-01-01T00:0${minute}:00Z` as never },
    status: { ...pod.status, ...status },
  };
};
const REJECTED = { phase: 'Failed', reason: 'NodePorts', message: 'Pod was rejected' };
const assigned = (name: string) =>
  warningOf(name, `Successfully assigned default/${name} to n1`, { type: 'Normal', reason: 'Scheduled' });

testFindings('scheduled-to-taken-port', [
  [
    'the kubelet rejects it',
    smallWorld([created('late', 2, REJECTED), created('early', 1)], { events: [assigned('late')] }),
    [
      'broken n1 late TCP 80: late was scheduled to n1, where early has TCP 80',
      'event | pod default/late: Scheduled | Successfully assigned default/late to n1',
      'object | pod early | TCP 80, created 2026-01-01T00:01:00Z',
      'object | pod late | TCP 80, created 2026-01-01T00:02:00Z, rejected by the kubelet: Pod was rejected',
      'by hand: only the owner of the rejected pod can decide whether it is to run elsewhere or not at all',
    ],
  ],
  [
    'it names its node itself',
    smallWorld([created('late', 2, REJECTED), created('early', 1)], { events: [assigned('early')] }),
    [],
  ],
  [
    'the other pod has another port',
    smallWorld([podOn('n1', 'late', 81), created('early', 1)], { events: [assigned('late')] }),
    [],
  ],
  [
    'the other pod is on another node',
    smallWorld([podOn('n2', 'late', 80), created('early', 1)], { events: [assigned('late')] }),
    [],
  ],
]);

test.each<[string, Pod, string | undefined]>([
  ['refused', waiting(REFUSED), NO_PORT],
  ['refused without a message', waiting({ ...REFUSED, message: undefined }), ''],
  ['scheduled', waiting({ ...REFUSED, status: 'True' }), undefined],
  ['failed otherwise', waiting({ ...REFUSED, reason: 'SchedulerError' }), undefined],
  ['of another kind', waiting({ ...REFUSED, type: 'Ready' }), undefined],
  ['not there', waiting(), undefined],
  ['of a pod without any', podOn(undefined, 'a', 80), undefined],
  ['of no pod', {}, undefined],
])('why there is no node, by a condition that is %s', (_, pod, why) => {
  expect(unschedulable(pod)).toBe(why);
});
