import { expect, test } from 'bun:test';
import type { Pod } from '../../../kube/types.ts';
import { testFindings } from '../../testing/findings-text.ts';
import { podOn, smallWorld } from '../../testing/small-world.ts';
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
