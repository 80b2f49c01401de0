import { expect, test } from 'bun:test';
import type { TraceDocument } from '../../path/trace/document.ts';
import { stopsOf } from './packet.ts';

const trace = (
  steps: TraceDocument['steps'],
  death?: NonNullable<TraceDocument['death']>,
): Pick<TraceDocument, 'steps' | 'death'> => ({ steps, ...(death && { death }) });

const request = { direction: 'request' } as const;
const answer = { direction: 'answer' } as const;
const [client, node, pod] = ['10.0.0.9:61000', '10.0.0.3:80', '10.244.1.2:8080'];

const ARRIVED = { ...request, kind: 'arrived', input: 'eth0', source: client, destination: node } as const;
const DNAT = {
  ...request,
  kind: 'rewrite',
  hook: 'prerouting',
  field: 'destination',
  from: node,
  to: pod,
} as const;
const LEFT = { ...request, kind: 'left', output: 'veth1', source: client, destination: pod } as const;

test('a packet has at each stop the addresses that it has there', () => {
  const back = { ...answer, kind: 'arrived', input: 'veth1', source: pod, destination: client } as const;
  const undone = {
    ...answer,
    kind: 'rewrite',
    hook: 'postrouting',
    field: 'source',
    from: pod,
    to: node,
  } as const;
  const stops = stopsOf(trace([ARRIVED, DNAT, LEFT, back, undone]));
  expect(
    stops.map(({ place, source, destination, rewrites }) => [place, source, destination, rewrites]),
  ).toEqual([
    ['in', client, node, undefined],
    ['prerouting', client, pod, 'destination'],
    ['out', client, pod, undefined],
    ['in', pod, client, undefined],
    ['postrouting', node, client, 'source'],
  ]);
  expect(stops.some(({ isEnd }) => isEnd)).toBe(false);
});

test('a hook where nothing happens is no stop, and what it would be the end of is the last stop', () => {
  const rule: TraceDocument['steps'][number] = {
    direction: 'request',
    kind: 'rule',
    hook: 'forward',
    table: 'ip filter',
    chain: 'FORWARD',
    verdict: 'drop',
    rule: '-j DROP',
  };
  const hook = { ...request, kind: 'hook', hook: 'forward' } as const;
  const death = { ...request, message: 'the request was dropped' };
  const stops = stopsOf(trace([ARRIVED, DNAT, rule, hook], death));
  expect(stops.map(({ text, isEnd }) => [text, isEnd])).toEqual([
    ['by eth0', false],
    [`destination ${node} becomes ${pod}`, false],
    ['ip filter FORWARD [drop]: -j DROP', true],
  ]);
});

test('an answer that dies ends its own way, and a death without a stop is none', () => {
  const back = { ...answer, kind: 'arrived', input: 'veth1', source: pod, destination: client } as const;
  const death = { ...answer, message: 'the answer was dropped' };
  expect(stopsOf(trace([ARRIVED, back], death)).map(({ isEnd }) => isEnd)).toEqual([false, true]);
  expect(stopsOf(trace([ARRIVED], death)).map(({ isEnd }) => isEnd)).toEqual([false]);
  expect(stopsOf(trace([], death))).toEqual([]);
});
