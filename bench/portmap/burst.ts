import { BenchNode, type Pod } from './node.ts';
import type { Backend, Subject } from './subjects.ts';

const PARALLEL = 8;
const PORTS = 4;

/** What adding pods at once cost. */
export interface Burst {
  subject: Subject;
  backend: Backend;
  pods: number;
  /** Milliseconds, the best of the runs. */
  wall: number;
  cpu: number;
  /** Pods whose ADD failed; none of ours may. */
  failed: number;
}

/**
 * So many pods with four ports each, added by eight at a time, on an empty node: each run of every subject in turns. A call of
 * ours that fails is an error, and so is a mapping that is not there once afterwards, though its call did not fail.
 */
export async function measureBurst(
  subjects: readonly Subject[],
  backend: Backend,
  pods: number,
  runs: number,
  sandbox: string,
): Promise<Burst[]> {
  const bursts = new Map<Subject, Burst>();
  for (let run = 0; run < runs; run++) {
    for (const subject of subjects) {
      if (!subject.backends.includes(backend)) continue;
      const cost = await once(subject, backend, pods, sandbox);
      const before = bursts.get(subject);
      if (before === undefined || cost.wall < before.wall) {
        bursts.set(subject, { subject, backend, pods, ...cost });
      }
    }
  }
  return [...bursts.values()];
}

async function once(subject: Subject, backend: Backend, count: number, sandbox: string) {
  const node = await BenchNode.create(subject, backend, 0);
  try {
    const waiting = Array.from({ length: count }, (_, n): Pod => {
      const first = 20_000 + n * PORTS;
      const ports = Array.from({ length: PORTS }, (_, i) => ({
        hostPort: first + i,
        containerPort: 8080 + i,
      }));
      return { id: `burst-${n}`, index: 100 + n, ports };
    });
    let cpu = 0;
    const failures: string[] = [];
    const worker = async () => {
      for (let pod = waiting.shift(); pod !== undefined; pod = waiting.shift()) {
        const outcome = await node.callAsync('ADD', pod, sandbox);
        cpu += outcome.cpu;
        if (outcome.code !== 0) failures.push(outcome.printed);
      }
    };
    const start = performance.now();
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    const wall = performance.now() - start;
    const lost = await lostPorts(node, count);
    const what = `${subject.name}, ${backend}, ${count} pods at once`;
    if (subject.isOurs && failures.length > 0) throw new Error(`${what}: ${failures.join()}`);
    if (lost.length > failures.length * PORTS)
      throw new Error(`${what}: not mapped once: ${lost.join(', ')}`);
    return { wall, cpu, failed: failures.length };
  } finally {
    await node.dispose();
  }
}

/** The host ports that are not translated exactly once. */
async function lostPorts(node: BenchNode, count: number): Promise<number[]> {
  const text =
    node.backend === 'iptables'
      ? await node.run(['iptables-save', '-t', 'nat'])
      : await node.run(['nft', 'list', 'ruleset']);
  const pattern =
    node.backend === 'iptables'
      ? /--dport (\d+) -j DNAT/g
      : node.subject.isOurs
        ? /tcp \. (\d+) comment "[^"]*" : 10\./g
        : /tcp dport (\d+) dnat to/g;
  const found = new Map<number, number>();
  for (const [, port] of text.matchAll(pattern)) found.set(Number(port), (found.get(Number(port)) ?? 0) + 1);
  const ports = Array.from({ length: count * PORTS }, (_, i) => 20_000 + i);
  return ports.filter((port) => found.get(port) !== 1);
}
