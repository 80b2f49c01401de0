import { join } from 'node:path';
import { readGoModule } from './go-module.ts';
import { goProgram } from './go-program.ts';
import type { Part } from './part.ts';

/** Helm, with which Cilium's chart is installed. */
export async function helmPart(root: string): Promise<Part> {
  const module = await readGoModule(join(root, 'helm'), 'helm.sh/helm/v3');
  return goProgram({
    name: 'helm',
    module,
    family: 'helm',
    package: 'helm.sh/helm/v3/cmd/helm',
    command: ['build'],
    linker: ['-s', '-w', `-X helm.sh/helm/v3/internal/version.version=${module.version}`],
    cost: '4 minutes of one processor, less after Cilium, whose libraries it shares',
  });
}
