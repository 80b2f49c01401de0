import { statSync } from 'node:fs';
import { relative, resolve } from 'node:path';

/** What tests run besides their own code, as a target of make: the pages' bundles, the plugin, the program, or everything. */
export type BuildTarget = 'src/page/bundle.gen.ts' | 'dist/cni/portmap' | 'bin/hostport' | 'build';

/** Of the tests outside of the lab, those that open a page in a browser, or run a plugin or the program as a process. */
const RUNS: readonly [RegExp, BuildTarget][] = [
  [/-page\.netns\.test\.ts$/, 'src/page/bundle.gen.ts'],
  [
    /(?<!-page)\.netns\.test\.ts$|^test\/(?:plugin-(?:input|agent)|portmap-engines)\.test\.ts$/,
    'dist/cni/portmap',
  ],
  [/^test\/(?:doctor-hostile|completion-shells|terminal|disk\.netns)\.test\.ts$/, 'bin/hostport'],
];

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
  const targets = RUNS.filter(([tests]) => paths.some((path) => tests.test(inRoot(path))));
  return targets.length > 1 ? 'build' : targets[0]?.[1];
}
