import { BenchNode } from './node.ts';
import type { Backend, Subject } from './subjects.ts';

/** Bytes that the largest process of a call had in memory at most, of the calls that were made. */
export interface Peak {
  subject: Subject;
  backend: Backend;
  mappings: number;
  bytes: number;
}

/** The most of a few ADDs and DELs of one more pod, on nodes with so many mappings. */
export async function measurePeaks(
  subjects: readonly Subject[],
  backend: Backend,
  mappings: number,
  sandbox: string,
): Promise<Peak[]> {
  const peaks: Peak[] = [];
  for (const subject of subjects.filter(({ backends }) => backends.includes(backend))) {
    const node = await BenchNode.create(subject, backend, mappings);
    try {
      const pod = { id: 'measured', index: 10, ports: [{ hostPort: 80, containerPort: 8080 }] };
      const seen = Array.from({ length: 3 }, () => [
        node.peak('ADD', pod, sandbox),
        node.peak('DEL', pod, sandbox),
      ]);
      peaks.push({ subject, backend, mappings, bytes: Math.max(...seen.flat()) });
    } finally {
      await node.dispose();
    }
  }
  return peaks;
}
