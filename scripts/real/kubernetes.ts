import { join } from 'node:path';
import { PROGRAMS } from '../../src/lab/engine/kubernetes/release.ts';
import { readGoModule } from './go-module.ts';
import { goProgram } from './go-program.ts';
import type { Part } from './part.ts';

/** Kubernetes' own programs for the lab as one executable; kubectl is not needed in nodes, and there for whoever has none. */
export async function kubernetesPart(root: string): Promise<Part> {
  const module = await readGoModule(join(root, 'kubernetes'), 'k8s.io/kubernetes');
  return goProgram({
    name: 'kubernetes',
    module,
    family: 'kubernetes',
    package: './cmd/kube',
    names: [...PROGRAMS, 'kubectl'],
    before: [
      ['client libraries', 'k8s.io/client-go/kubernetes'],
      ['kube-apiserver', 'k8s.io/kubernetes/cmd/kube-apiserver/app'],
      ['kube-controller-manager', 'k8s.io/kubernetes/cmd/kube-controller-manager/app'],
      ['kube-scheduler', 'k8s.io/kubernetes/cmd/kube-scheduler/app'],
      ['kubelet', 'k8s.io/kubernetes/cmd/kubelet/app'],
      ['kube-proxy', 'k8s.io/kubernetes/cmd/kube-proxy/app'],
      ['kubectl', 'k8s.io/kubectl/pkg/cmd'],
    ],
    command: ['build', '-trimpath'],
    linker: linkerFlags(module.version),
    cost: "12 minutes of one processor, 2 GB in Go's build cache, 700 MB of modules",
  });
}

/** No symbol table, and what the programs say their version is: to their users, and to API servers. */
export function linkerFlags(version: string): string[] {
  const [major, minor] = version.slice(1).split('.');
  const values = {
    gitVersion: version,
    gitMajor: major,
    gitMinor: minor,
    gitTreeState: 'clean',
    gitCommit: '0'.repeat(40),
    buildDate: '1970-01-01T00:00:00Z',
  };
  const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'];
  const set = packages.flatMap((path) =>
    Object.entries(values).map(([name, value]) => `-X ${path}.${name}=${value}`),
  );
  return ['-s', '-w', ...set];
}
