import { createHash } from 'node:crypto';
import { link, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot } from '../../src/lab/engine/kubernetes/release-cache.ts';
import { output } from '../../src/sys/exec.ts';
import type { GoModule } from './go-module.ts';
import type { BuildContext, Part } from './part.ts';

/** The slowest step takes some minutes of one processor; a machine may be busy. */
const STEP_MS = 4 * 3_600_000;

/** An executable that is built from a Go module. */
export interface GoProgram {
  /** Name of the part. */
  name: string;
  module: GoModule;
  /** Directory below the cache, in which there is one for each version: `kubernetes`. */
  family: string;
  /** Import path of the program, or its place in the module. */
  package: string;
  /** Names that the executable gets, all of them links; its part's own unless given. */
  names?: readonly string[];
  /** What is compiled before, one after another, so that one sees how far it is; each needs less than the one before. */
  before?: readonly (readonly [what: string, path: string])[];
  /** Go's command and its flags: `build -tags osusergo`. */
  command: readonly string[];
  /** The linker's flags. */
  linker: readonly string[];
  /** Beside CGO_ENABLED=0. */
  env?: Readonly<Record<string, string>>;
  cost: string;
}

/** The part that is this program. What is compiled stays in Go's own build cache, so that what was interrupted continues where it was. */
export function goProgram(program: GoProgram, cache = cacheRoot()): Part {
  const { name, module, names = [name] } = program;
  const { command, linker, env, before, family } = program;
  const directory = join(cache, family, module.version);
  return {
    name,
    version: module.version,
    directory,
    files: names,
    digest: digestOf(module.digest, program.package, names, command, linker, env ?? {}),
    cost: program.cost,
    async build(context) {
      const { progress } = context;
      const go = await context.go(module.goMod);
      const run = (...words: string[]) => runGo(go, words, module, context, env);
      await progress.step(`Downloading modules of ${name}`, () => run('mod', 'download'));
      for (const [what, path] of before ?? []) {
        await progress.step(`Compiling ${what}`, () => run(...command, path));
      }
      const executable = join(directory, `.${name}.new`);
      await progress.step(`Building ${name}`, () =>
        run(...command, '-ldflags', linker.join(' '), '-o', executable, program.package),
      );
      // Over what was there: a cluster that runs from it keeps its own.
      for (const own of names) {
        const fresh = join(directory, `.${own}.fresh`);
        await rm(fresh, { force: true });
        await link(executable, fresh);
        await rename(fresh, join(directory, own));
      }
      await rm(executable);
    },
  };
}

/** Runs Go in a module. */
export function runGo(
  go: string,
  words: readonly string[],
  { directory }: GoModule,
  { exec, signal }: BuildContext,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return output(exec, [go, ...words], {
    cwd: directory,
    env: {
      ...process.env,
      CGO_ENABLED: '0',
      GOTOOLCHAIN: 'local',
      GOWORK: 'off',
      GOFLAGS: `${process.env.GOFLAGS ?? ''} -buildvcs=false -mod=readonly`.trim(),
      ...env,
    },
    timeoutMs: STEP_MS,
    signal,
  });
}

/** One identity of several values. */
export function digestOf(...values: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(values)).digest('hex');
}
