import { NftKernel } from '../../src/netfilter/nft/kernel.ts';
import type { NftMap } from '../../src/netfilter/nft/nft.ts';
import { realExec } from '../../src/sys/exec.ts';
import { inNetns } from '../../src/sys/netns.ts';
import { type Summary, summary } from './adds.ts';
import { BenchNode, type Cost } from './node.ts';
import type { Subject } from './subjects.ts';

const SET: NftMap = { name: 'ports', key: ['inet_service'] };

/**
 * What the kernel takes for a deletion, whoever asks: of one element of a set, from the message to the answer, without a process. It waits until
 * nothing can look at what is removed any more.
 */
export async function measureFloor(subject: Subject, runs: number): Promise<Summary> {
  const node = await BenchNode.create(subject, 'nftables', 0);
  try {
    await node.run(['nft', 'add table inet floor; add set inet floor ports { type inet_service; }']);
    const table = new NftKernel(realExec, 'floor', [SET]);
    const costs: Cost[] = [];
    for (let run = 0; run < runs; run++) {
      await inNetns(node.path, () => table.apply([{ verb: 'create', map: SET.name, key: '80' }]));
      const start = performance.now();
      await inNetns(node.path, () => table.apply([{ verb: 'delete', map: SET.name, key: '80' }]));
      costs.push({ wall: performance.now() - start, cpu: 0 });
    }
    table.close();
    return summary(costs);
  } finally {
    await node.dispose();
  }
}
