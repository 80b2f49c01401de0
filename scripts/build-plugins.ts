import { linkSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Compiles the CNI plugins to one executable and links it under the name of each: `bun run scripts/build-plugins.ts
 * [directory]`, by default dist/cni. Which plugin it is comes from its name, so a copy of any of them works alone.
 */
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = process.argv[2] ?? join(root, 'dist', 'cni');
const names = ['portmap', 'cilium-cni', 'loopback'];

mkdirSync(out, { recursive: true });
const fresh = join(out, `.plugins.${process.pid}`);
try {
  const built = await Bun.build({
    entrypoints: [join(root, 'src', 'plugins', 'main.ts')],
    target: 'bun',
    minify: true,
    bytecode: true,
    compile: { outfile: fresh, autoloadDotenv: false, autoloadBunfig: false },
  });
  if (!built.success) throw new AggregateError(built.logs, 'the plugins do not compile');
  for (const name of names) {
    // A plugin may be running under its name: a new directory entry leaves the old file to it.
    const temporary = `${fresh}.${name}`;
    linkSync(fresh, temporary);
    renameSync(temporary, join(out, name));
  }
} finally {
  rmSync(fresh, { force: true });
}
