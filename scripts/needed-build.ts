import { statSync } from 'node:fs';
import { relative, resolve } from 'node:path';

/** What tests run besides their own code, as a target of make: the plugin, or everything. */
export type BuildTarget = 'dist/cni/portmap' | 'build';

/** Of the tests outside of the lab, those that run a plugin as a process. */
const RUNS_PLUGIN = /\.netns\.test\.ts$|^test\/plugin-input\.test\.ts$/;

/**
 * What has to be built before these tests run; undefined when nothing has to. Only the path of a file says which tests are meant: a
 * directory, or a part of a name as `bun test` takes it, may mean those of the lab, too.
 */
export function neededBuild(paths: readonly string[], root: string): BuildTarget | undefined {
  const inRoot = (path: string) => relative(root, resolve(root, path));
  const isBuiltFor = (path: string) =>
    !path.endsWith('.test.ts') ||
    inRoot(path).startsWith('test/e2e/') ||
    statSync(resolve(root, path), { throwIfNoEntry: false })?.isFile() !== true;
  if (paths.length === 0 || paths.some(isBuiltFor)) return 'build';
  return paths.some((path) => RUNS_PLUGIN.test(inRoot(path))) ? 'dist/cni/portmap' : undefined;
}
