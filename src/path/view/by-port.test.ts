import { expect, test } from 'bun:test';
import type { Flow, Listener, NodeReport } from '../model/node-report.ts';
import { cniNode } from '../testing/cni-node.ts';
import { flowsTo, listenersOn } from './by-port.ts';
import { NodeView } from './node-view.ts';

const nodeWith = (network: Partial<NodeReport['network']>) =>
  new NodeView('n1', { value: cniNode({}, { network }) });
const listener = (protocol: Listener['protocol'], port: number, pid: number): Listener => ({
  protocol,
  address: '0.0.0.0',
  port,
  pid,
});
const flow = (protocol: string, destinationPort: number, sourcePort: number) =>
  ({ protocol, destinationPort, sourcePort }) as Flow;

test('the listeners of a port are those of its protocol', () => {
  const node = nodeWith({
    listeners: {
      value: [listener('tcp', 80, 1), listener('udp', 80, 2), listener('tcp', 81, 3), listener('tcp', 80, 4)],
    },
  });
  const pids = (protocol: Listener['protocol'], port: number) =>
    listenersOn(node, protocol, port)?.map(({ pid }) => pid);
  expect([pids('tcp', 80), pids('udp', 80), pids('tcp', 81), pids('sctp', 80)]).toEqual([
    [1, 4],
    [2],
    [3],
    [],
  ]);
});

test('the flows to a port are those of its protocol', () => {
  const node = nodeWith({
    flows: { value: [flow('tcp', 80, 1), flow('udp', 80, 2), flow('tcp', 81, 3), flow('tcp', 80, 4)] },
  });
  const sources = (protocol: string, port: number) =>
    flowsTo(node, protocol, port).map(({ sourcePort }) => sourcePort);
  expect([sources('tcp', 80), sources('udp', 80), sources('tcp', 81), sources('sctp', 80)]).toEqual([
    [1, 4],
    [2],
    [3],
    [],
  ]);
});

test.each([
  ['that were not seen', nodeWith({})],
  ['of a node without a report', new NodeView('n1', { unknown: 'EPERM' })],
])('listeners %s are not known, and flows are none', (_, node) => {
  expect(listenersOn(node, 'tcp', 80)).toBeUndefined();
  expect(flowsTo(node, 'tcp', 80)).toEqual([]);
});
