import { join } from 'node:path';
import { readGoModule } from './go-module.ts';
import { goProgram } from './go-program.ts';
import type { Part } from './part.ts';

const PROMETHEUS = 'github.com/prometheus/prometheus';

/** promtool, with which Prometheus' rules are checked: without the clients of all clouds, in which Prometheus would look for targets. */
export async function promtoolPart(root: string): Promise<Part> {
  const module = await readGoModule(join(root, 'prometheus'), PROMETHEUS);
  return goProgram({
    name: 'promtool',
    module,
    family: 'prometheus',
    package: `${PROMETHEUS}/cmd/promtool`,
    command: ['build', '-tags', 'remove_all_sd'],
    linker: ['-s', '-w', `-X github.com/prometheus/common/version.Version=${module.version}`],
    cost: '4 minutes of one processor',
  });
}
