import { join } from 'node:path';
import { ensureZig } from '../scripts/native/zig.ts';
import { cacheRoot } from '../src/lab/engine/kubernetes/release-cache.ts';
import { output, realExec } from '../src/sys/exec.ts';

const root = join(import.meta.dir, '..');
const FLAGS = [
  '-O1',
  '-g',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-fsanitize=undefined',
  '-fsanitize-trap=undefined',
];
const INCLUDE = ['-I', join(root, 'native'), '-isystem', join(root, 'native/quickjs-ng')];

/** Milliseconds that {@link compileNative} may take. */
export const COMPILE_MS = 120_000;

/**
 * Compiles C sources, named by their paths in the project, to a program at `to` that stops where what it does is undefined; by further flags, to
 * something else.
 */
export async function compileNative(
  sources: readonly string[],
  to: string,
  flags: readonly string[] = [],
): Promise<void> {
  const zig = await ensureZig(root, cacheRoot(), realExec);
  const cache = join(cacheRoot(), 'zig/cache');
  const paths = sources.map((source) => join(root, source));
  await output(realExec, [zig, 'cc', ...FLAGS, ...flags, ...INCLUDE, ...paths, '-o', to], {
    env: { ...process.env, ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: cache },
    timeoutMs: COMPILE_MS,
  });
}
