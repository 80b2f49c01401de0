import { linkSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Compiles the CNI plugins, the product's and the lab's apart, and links each executable under its names:
 * `bun run scripts/build-plugins.ts [directory]`, by default dist/cni. Which plugin an executable is comes from the name it is
 * called by, so a copy of any of them works alone.
 */
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = process.argv[2] ?? join(root, 'dist', 'cni');

const executables = [
  { entry: 'src/portmap/main.ts', names: ['portmap', 'loopback'] },
  { entry: 'src/lab/cilium/cni/main.ts', names: ['cilium-cni'] },
];

mkdirSync(out, { recursive: true });
for (const { entry, names } of executables) await build(join(root, entry), names);

async function build(entry: string, names: readonly string[]): Promise<void> {
  const fresh = join(out, `.plugins.${process.pid}`);
  try {
    const built = await Bun.build({
      entrypoints: [entry],
      target: 'bun',
      minify: true,
      bytecode: true,
      compile: { outfile: fresh, autoloadDotenv: false, autoloadBunfig: false },
    });
    if (!built.success) throw new AggregateError(built.logs, `${names.join(', ')}: cannot compile ${entry}`);
    for (const name of names) {
      // A plugin may be running under its name: a new directory entry leaves the old file to it.
      const temporary = `${fresh}.${name}`;
      linkSync(fresh, temporary);
      renameSync(temporary, join(out, name));
    }
  } finally {
    rmSync(fresh, { force: true });
  }
}
