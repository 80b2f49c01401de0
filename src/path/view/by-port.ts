import type { Flow, Listener } from '../model/node-report.ts';
import { known } from '../model/observed.ts';
import { memoKey, remembered } from './memory.ts';
import type { NodeView } from './node-view.ts';

const LISTENERS = memoKey<ReadonlyMap<string, readonly Listener[]>>();
const FLOWS = memoKey<ReadonlyMap<string, readonly Flow[]>>();

/** The sockets of a node that listen on a port; undefined when they are not known. */
export function listenersOn(
  node: NodeView,
  protocol: Listener['protocol'],
  port: number,
): readonly Listener[] | undefined {
  const listeners = known(node.seen?.network.listeners);
  if (listeners === undefined) return undefined;
  const byPort = remembered(node, LISTENERS, () =>
    Map.groupBy(listeners, (entry) => `${entry.protocol} ${entry.port}`),
  );
  return byPort.get(`${protocol} ${port}`) ?? [];
}

/** The tracked connections of a node that were made to a port. */
export function flowsTo(node: NodeView, protocol: string, port: number): readonly Flow[] {
  const flows = known(node.seen?.network.flows);
  if (flows === undefined) return [];
  const byPort = remembered(node, FLOWS, () =>
    Map.groupBy(flows, (entry) => `${entry.protocol} ${entry.destinationPort}`),
  );
  return byPort.get(`${protocol} ${port}`) ?? [];
}
