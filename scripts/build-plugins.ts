import { linkSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ARCHITECTURES, buildNative, HOST } from './native/build.ts';
import { compile } from './release/compile.ts';

/**
 * Builds the CNI plugins: `bun run scripts/build-plugins.ts [directory]`, by default dist/cni. They are native executables: the product's for two
 * architectures, `<architecture>/portmap` and `loopback`, the lab's `cilium-cni` for this machine's; what is for this machine is in the directory
 * itself, too. Which plugin an executable is comes from the name it is called by, so a copy of any of them works alone. `--bun` builds the
 * product's with Bun instead, for tests of what both have to do.
 */
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const words = process.argv.slice(2);
const isBun = words[0] === '--bun';
const out = words[isBun ? 1 : 0] ?? join(root, isBun ? 'dist/bun-cni' : 'dist/cni');
const NAMES = ['portmap', 'loopback'] as const;

mkdirSync(out, { recursive: true });
if (isBun) await build('src/portmap/main.ts', NAMES);
else {
  await buildNative(root, out, [
    { name: 'portmap', entry: 'src/portmap/native.ts', architectures: ARCHITECTURES },
    { name: 'cilium-cni', entry: 'src/lab/cilium/cni/native.ts', architectures: [HOST] },
  ]);
  for (const architecture of ARCHITECTURES)
    link(join(out, architecture, 'portmap'), join(out, architecture), ['loopback']);
  link(join(out, HOST, 'portmap'), out, NAMES);
  link(join(out, HOST, 'cilium-cni'), out, ['cilium-cni']);
}

async function build(entry: string, names: readonly [string, ...string[]]): Promise<void> {
  // A directory of its own, not a name of its own: the name that it is compiled under is in the executable.
  const scratch = mkdtempSync(join(out, '.build-'));
  try {
    const fresh = join(scratch, names[0]);
    await compile({ entry: join(root, entry), outfile: fresh });
    link(fresh, out, names);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Gives a file further names. One of them may be running: a new directory entry leaves the old file to it. */
function link(file: string, directory: string, names: readonly string[]): void {
  for (const name of names) {
    const temporary = join(directory, `.${name}.${process.pid}`);
    linkSync(file, temporary);
    renameSync(temporary, join(directory, name));
  }
}
