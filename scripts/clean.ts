/**
 * `make clean`: removes what `make build` made, and what is left of a `make lab`. Refused while clusters run from it: their nodes have its
 * node images mounted and their gateways are the program.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { lockImages } from '../src/lab/cluster/image-store.ts';
import { nodeImageStore } from '../src/lab/cluster/node-image.ts';
import { listClusters, readRecord } from '../src/lab/cluster/record.ts';
import { takeBackExample } from '../src/lab/tour/example.ts';
import { distributionOf } from '../src/sys/distribution.ts';
import { messageOf } from '../src/util/errors.ts';

const root = join(import.meta.dir, '..');
const BUILT = ['bin', 'dist', '.stamps', ...new Bun.Glob('src/**/*.gen.{json,ts}').scanSync(root)];
const distribution = distributionOf(join(root, 'bin/hostport'));

async function clustersInUse(): Promise<string[]> {
  const records = await Promise.all((await listClusters()).map(readRecord));
  return records.flatMap((record) =>
    record?.nodeImage?.startsWith(`${distribution.nodeImages}/`) ? [record.name] : [],
  );
}

try {
  // So that no cluster takes an image between the look and the removal. Only root makes clusters.
  const isRoot = process.getuid?.() === 0;
  const lock = isRoot
    ? await lockImages(nodeImageStore(distribution), AbortSignal.timeout(60_000))
    : undefined;
  try {
    const clusters = await clustersInUse();
    if (clusters.length > 0) {
      const how = clusters.map((name) => `\n  bin/hostport delete cluster --name ${name}`).join('');
      throw new Error(`clean: clusters run from what would be removed; delete them first:${how}`);
    }
    // A `make lab` that was killed has left it.
    if (isRoot) await takeBackExample();
    for (const path of BUILT) rmSync(join(root, path), { recursive: true, force: true });
  } finally {
    lock?.release();
  }
} catch (error) {
  process.stderr.write(`error: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
