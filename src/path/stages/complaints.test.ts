import { expect, test } from 'bun:test';
import type { Event } from '../../kube/types.ts';
import { podOn, smallWorld, warningOf } from '../testing/small-world.ts';
import { memoKey } from '../view/memory.ts';
import { Scene } from '../view/scene.ts';
import { type Complaint, complaintEvidence, complaintsOn } from './complaints.ts';

/** Every number of a message, and 1 for none. */
const NUMBERS = (): Complaint => ({
  byPort: memoKey(),
  portsIn: (message) => (message === '' ? [1] : (message.match(/\d+/g) ?? []).map(Number)),
});

const ofNode = (name: string | undefined, message: string): Event =>
  ({ metadata: {}, message, involvedObject: { kind: 'Node', name } }) as Event;

test('complaints are found by node and port, each event once', () => {
  const events = [
    warningOf('a', '80 and 81, 80'),
    warningOf('b', '80'),
    warningOf('c', '80'),
    ofNode('n1', '81'),
    ofNode('n2', '82'),
    ofNode(undefined, '80'),
    warningOf('a', undefined),
    warningOf('a', `${'x'.repeat(2000)}80`),
  ];
  const pods = [podOn('n1', 'a', 80), podOn('n2', 'b', 80), podOn(undefined, 'c', 80)];
  const scene = new Scene(smallWorld(pods, { events }));
  const complaint = NUMBERS();
  const on = (name: string) =>
    [...complaintsOn(scene.nodes.get(name)!, scene, complaint)].map(([port, found]) => [
      port,
      ...found.map(({ message }) => message),
    ]);
  expect(on('n1')).toEqual([
    [80, '80 and 81, 80'],
    [81, '80 and 81, 80', '81'],
    [1, undefined],
  ]);
  expect(on('n2')).toEqual([
    [80, '80'],
    [82, '82'],
  ]);
});

test('a node without events has none', () => {
  const scene = new Scene(smallWorld([]));
  expect([...complaintsOn(scene.nodes.get('n1')!, scene, NUMBERS())]).toEqual([]);
});

test.each<[string, Partial<Event>, string, string]>([
  ['a pod', {}, 'pod default/a: FailedCreatePodSandBox', 'so'],
  ['a node', { involvedObject: { kind: 'Node', name: 'n1' } }, 'node n1: FailedCreatePodSandBox', 'so'],
  ['no reason', { reason: undefined }, 'pod default/a: ', 'so'],
  ['no message', { message: undefined }, 'pod default/a: FailedCreatePodSandBox', ''],
  [
    'a long message',
    { message: 'x'.repeat(2001) },
    'pod default/a: FailedCreatePodSandBox',
    `${'x'.repeat(2000)} … (2001 characters)`,
  ],
])('a complaint of %s as evidence', (_, more, where, saw) => {
  expect(complaintEvidence({ ...warningOf('a', 'so'), ...more })).toEqual({ kind: 'event', where, saw });
});
