import { join } from 'node:path';
import { debianRoot } from './debian.ts';
import { e2eImages } from './e2e-images.ts';
import { readGoModule } from './go-module.ts';
import { goProgram } from './go-program.ts';
import { linkerFlags } from './kubernetes.ts';
import type { Part } from './part.ts';

/**
 * Kubernetes' own end-to-end suite: its binary, the program that runs it, and the images that its specs name. All of the module that
 * Kubernetes itself is built from.
 */
export async function e2eParts(root: string): Promise<Part[]> {
  const module = await readGoModule(join(root, 'kubernetes'), 'k8s.io/kubernetes');
  const family = 'kubernetes-e2e';
  const programs = [
    goProgram({
      name: 'agnhost',
      module,
      family,
      package: 'k8s.io/kubernetes/test/images/agnhost',
      command: ['build', '-trimpath'],
      linker: linkerFlags(module.version),
      cost: 'a minute of one processor after Kubernetes',
    }),
    goProgram({
      name: 'ginkgo',
      module,
      family,
      package: 'github.com/onsi/ginkgo/v2/ginkgo',
      command: ['build', '-trimpath'],
      linker: ['-s', '-w'],
      cost: 'half a minute of one processor',
    }),
    goProgram({
      name: 'e2e.test',
      module,
      family,
      package: 'k8s.io/kubernetes/test/e2e',
      // Vetting would take longer than the rest.
      command: ['test', '-c', '-vet=off', '-trimpath'],
      linker: linkerFlags(module.version),
      cost: '5 minutes of one processor after Kubernetes',
    }),
  ];
  const tools = await debianRoot({
    name: 'agnhost-tools',
    of: 'what agnhost runs',
    withDependencies: ['bash', 'coreutils', 'curl', 'dash', 'iproute2', 'netcat-openbsd', 'util-linux'],
    cost: 'a download of 30 MB',
  });
  return [...programs, tools, e2eImages(programs[0]!, tools)];
}
