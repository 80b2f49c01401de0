import { join } from 'node:path';
import { RUNTIME_PROGRAMS } from '../../src/lab/cluster/runtime.ts';
import { readGoModule } from './go-module.ts';
import { goProgram } from './go-program.ts';
import type { Part } from './part.ts';

const VERSION = 'github.com/containerd/containerd/v2/version';

/** containerd 2 for the lab's nodes: the daemon, the process that holds a pod, and the client with which images are loaded. */
export async function containerdParts(root: string): Promise<Part[]> {
  const module = await readGoModule(join(root, 'containerd'), 'github.com/containerd/containerd/v2');
  return RUNTIME_PROGRAMS.map((name) =>
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
}
