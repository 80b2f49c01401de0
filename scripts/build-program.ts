import { link, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Compiles `bin/hostport` and links the names of the how-to's programs, and of kubectl's plugin, to it. */
const root = join(import.meta.dir, '..');
await mkdir(join(root, 'bin'), { recursive: true });
const program = join(root, 'bin/hostport');
const result = await Bun.build({
  entrypoints: [join(root, 'src/cli/main.ts')],
  target: 'bun',
  format: 'esm',
  minify: true,
  bytecode: true,
  // Each daemon is a chunk of its own: a process reads and links the code of what it is, not of everything.
  splitting: true,
  sourcemap: 'none',
  compile: { outfile: program },
});
for (const log of result.logs) console.error(String(log));
if (!result.success) process.exit(1);

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
