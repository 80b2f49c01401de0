import { join } from 'node:path';
import { OCI_RUNTIME, RUNTIME_PROGRAMS } from '../../src/lab/cluster/runtime.ts';
import { readGoModule } from './go-module.ts';
import { goProgram } from './go-program.ts';
import type { Part } from './part.ts';

const VERSION = 'github.com/containerd/containerd/v2/version';

/**
 * containerd 2 for the lab's nodes: the daemon, the process that holds a pod, and the client with which images are loaded. Beside them runc,
 * which starts containers: it is the only one that needs a C compiler, for what it does before Go's runtime starts.
 */
export async function containerdParts(root: string): Promise<Part[]> {
  const module = await readGoModule(join(root, 'containerd'), 'github.com/containerd/containerd/v2');
  const runc = await readGoModule(join(root, 'runc'), 'github.com/opencontainers/runc');
  const programs = RUNTIME_PROGRAMS.map((name) =>
    goProgram({
      name,
      module,
      family: 'containerd',
      package: `github.com/containerd/containerd/v2/cmd/${name}`,
      // As containerd's Makefile has them for static executables.
      command: ['build', '-trimpath', '-tags', 'urfave_cli_no_docs static_build osusergo netgo'],
      linker: ['-s', '-w', `-X ${VERSION}.Version=${module.version}`],
      cost: name === 'containerd' ? '3 minutes of one processor' : 'half a minute of one processor',
    }),
  );
  return [
    ...programs,
    goProgram({
      name: OCI_RUNTIME,
      module: runc,
      family: 'containerd',
      beside: module.version,
      package: 'github.com/opencontainers/runc',
      command: ['build', '-trimpath', '-tags', 'seccomp urfave_cli_no_docs'],
      linker: ['-s', '-w'],
      env: { CGO_ENABLED: '1' },
      headers: { packages: ['libseccomp-dev', 'pkg-config'], file: '/usr/include/seccomp.h' },
      cost: 'half a minute of one processor',
    }),
  ];
}
