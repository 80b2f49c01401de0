import { join } from 'node:path';
import { readGoModule } from './go-module.ts';
import { goProgram } from './go-program.ts';
import type { Part } from './part.ts';

/** A program that checks what a release has, or takes it. */
interface Tool {
  /** Its part, and its directory below real/. */
  name: string;
  module: string;
  /** Below the module, or `.` for a program of our own module there. */
  package: string;
  cost: string;
}

const TOOLS: readonly Tool[] = [
  {
    name: 'kubeconform',
    module: 'github.com/yannh/kubeconform',
    package: '/cmd/kubeconform',
    cost: 'seconds',
  },
  {
    name: 'kustomize',
    module: 'sigs.k8s.io/kustomize/kustomize/v5',
    package: '',
    cost: '2 minutes of one processor',
  },
  {
    name: 'krew',
    module: 'sigs.k8s.io/krew',
    package: '/cmd/validate-krew-manifest',
    cost: '2 minutes of one processor',
  },
  { name: 'actionlint', module: 'github.com/rhysd/actionlint', package: '/cmd/actionlint', cost: 'seconds' },
  {
    name: 'registry',
    module: 'github.com/distribution/distribution/v3',
    package: '.',
    cost: '100 seconds of one processor',
  },
];

/** What checks the manifests, the chart and the workflows, and the registry that images are pushed to. */
export function releaseToolParts(root: string): Promise<Part[]> {
  return Promise.all(
    TOOLS.map(async (tool) =>
      goProgram({
        name: tool.name,
        module: await readGoModule(join(root, tool.name), tool.module),
        family: tool.name,
        package: tool.package === '.' ? '.' : `${tool.module}${tool.package}`,
        command: ['build', '-trimpath'],
        linker: ['-s', '-w'],
        cost: tool.cost,
      }),
    ),
  );
}
