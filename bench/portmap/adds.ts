import { median } from '../statistics.ts';
import { BenchNode, type Cost } from './node.ts';
import type { Backend, Subject } from './subjects.ts';

/** What calls cost one subject at one number of mappings. */
export interface CallCosts {
  backend: Backend;
  mappings: number;
  /** Ports of the pod that is added. */
  ports: number;
  /** Chains of others in the table of the mappings, each with a rule. */
  foreign: number;
  subject: Subject;
  add: Summary;
  del: Summary;
  /** ADD and DEL after one another. */
  both: Summary;
}

export interface Summary {
  wall: number;
  /** The least wall time: the cost when nothing else is running. */
  least: number;
  cpu: number;
}

export function summary(costs: readonly Cost[]): Summary {
  return {
    wall: median(costs.map(({ wall }) => wall)),
    least: Math.min(...costs.map(({ wall }) => wall)),
    cpu: median(costs.map(({ cpu }) => cpu)),
  };
}

/**
 * ADD and DEL of one more pod, with one port unless there are to be more, on nodes with so many mappings, and chains of others if there are to be
 * any. In each run every subject is called once, in turns,
 * in another order each time, so that what else the machine does hits all of them.
 */
export async function measureCalls(
  subjects: readonly Subject[],
  backend: Backend,
  mappings: number,
  runs: number,
  sandbox: string,
  { ports = 1, foreign = 0 }: { ports?: number; foreign?: number } = {},
): Promise<CallCosts[]> {
  const nodes: BenchNode[] = [];
  try {
    for (const subject of subjects) {
      if (!subject.backends.includes(backend)) continue;
      nodes.push(await BenchNode.create(subject, backend, mappings, foreign));
    }
    const costs = nodes.map(() => ({ add: [] as Cost[], del: [] as Cost[], both: [] as Cost[] }));
    const pod = { id: 'measured', index: 10, ports: portsOf(ports) };
    // The first run warms what all share: the page cache and the kernel's modules.
    for (let run = -1; run < runs; run++) {
      for (let turn = 0; turn < nodes.length; turn++) {
        const who = (turn + Math.max(run, 0)) % nodes.length;
        const add = nodes[who]!.call('ADD', pod, sandbox);
        const del = nodes[who]!.call('DEL', pod, sandbox);
        if (run < 0) continue;
        costs[who]!.add.push(add);
        costs[who]!.del.push(del);
        costs[who]!.both.push({ wall: add.wall + del.wall, cpu: add.cpu + del.cpu });
      }
    }
    return nodes.map(({ subject }, i) => ({
      ...{ backend, mappings, ports, foreign, subject },
      add: summary(costs[i]!.add),
      del: summary(costs[i]!.del),
      both: summary(costs[i]!.both),
    }));
  } finally {
    for (const node of nodes) await node.dispose();
  }
}

/** Below those of the mappings that are there. */
function portsOf(count: number): { hostPort: number; containerPort: number }[] {
  return Array.from({ length: count }, (_, i) => ({ hostPort: 80 + i, containerPort: 8080 }));
}
