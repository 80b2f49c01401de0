import { link, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { realExec } from '../src/sys/exec.ts';
import { compile } from './release/compile.ts';
import { readSource } from './release/source.ts';

/** Compiles `bin/hostport` and links the names of the how-to's programs, and of kubectl's plugin, to it. */
const root = join(import.meta.dir, '..');
await mkdir(join(root, 'bin'), { recursive: true });
const program = join(root, 'bin/hostport');
const { isChanged: _, ...facts } = await readSource(realExec, root);
await compile({ entry: join(root, 'src/cli/main.ts'), outfile: program, facts, splitting: true });

const names: Record<string, string[]> = {
  'stand-ins': ['hostport', 'docker', 'kind', 'kubectl-hostport'],
  fallbacks: ['sudo'],
};
for (const [directory, links] of Object.entries(names)) {
  const path = join(root, 'dist', directory);
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { recursive: true });
  for (const name of links) await link(program, join(path, name));
}

// Beside the program too: whoever puts bin on PATH has `kubectl hostport`.
const plugin = join(root, 'bin/kubectl-hostport');
await rm(plugin, { force: true });
await link(program, plugin);
