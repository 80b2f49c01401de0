/** `make bench`: every benchmark, one after another. */
import { join } from 'node:path';

for (const name of ['lab.bench.ts', 'many-nodes.bench.ts', 'portmap/portmap.bench.ts', 'agent.bench.ts']) {
  console.log(`\n# ${name}`);
  const { exitCode } = Bun.spawnSync([process.execPath, join(import.meta.dir, name)], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (exitCode !== 0) process.exit(exitCode);
}
