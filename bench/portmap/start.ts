import { type Summary, summary } from './adds.ts';
import type { Cost } from './node.ts';
import type { Subject } from './subjects.ts';

/** What it costs to start each plugin and have it say its versions, in turns. */
export function measureStart(
  subjects: readonly Subject[],
  runs: number,
): { subject: Subject; cost: Summary }[] {
  const costs = subjects.map((): Cost[] => []);
  for (let run = -1; run < runs; run++) {
    for (const [i, { plugin }] of subjects.entries()) {
      const start = performance.now();
      const { exitCode, resourceUsage } = Bun.spawnSync([plugin], {
        stdin: Buffer.from('{"cniVersion":"1.0.0"}'),
        env: { CNI_COMMAND: 'VERSION' },
      });
      const wall = performance.now() - start;
      if (exitCode !== 0) throw new Error(`${plugin} VERSION: exit status ${exitCode}`);
      if (run >= 0) costs[i]!.push({ wall, cpu: Number(resourceUsage.cpuTime.total) / 1000 });
    }
  }
  return subjects.map((subject, i) => ({ subject, cost: summary(costs[i]!) }));
}
