/**
 * `make real`: builds what the tests on real programs run, from its Go modules, part by part into the user's cache. Says what it builds and
 * how long each part takes. A second run does nothing; one that was interrupted continues where it was. `real.ts [PART…]` builds only these
 * parts, `real.ts --list` says which there are.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { interruptible } from '../src/cli/interruptible.ts';
import { terminalProgress } from '../src/cli/printer/progress.ts';
import { cacheRoot } from '../src/lab/engine/kubernetes/release-cache.ts';
import { realExec } from '../src/sys/exec.ts';
import { tryFileLock } from '../src/sys/file-lock.ts';
import { UserError } from '../src/util/errors.ts';
import { ending } from './ending.ts';
import { ensureGo, goWanted } from './real/go.ts';
import { type Built, buildPart, builtPart, type Part } from './real/part.ts';
import { realPart, realParts } from './real/parts.ts';

const progress = terminalProgress(process.stderr);

/** The parts of these names, each after those that it needs. */
async function partsOf(names: readonly string[]): Promise<Part[]> {
  const chosen = new Map<string, Part>();
  for (const name of names) {
    const part = await realPart(name);
    for (const each of [...(part.needs ?? []), part]) chosen.set(each.name, each);
  }
  return [...chosen.values()];
}

async function list(parts: readonly Part[]): Promise<void> {
  for (const part of parts) {
    const built = await builtPart(part);
    console.log(
      `${part.name} ${part.version}: ${built === undefined ? `not built; ${part.cost}` : words(part, built)}`,
    );
  }
}

function words({ directory }: Part, { bytes, seconds }: Built): string {
  return `${Math.max(1, Math.round(bytes / 1e6))} MB in ${directory}, built in ${seconds} s`;
}

async function buildAll(parts: readonly Part[], signal: AbortSignal): Promise<void> {
  const missing: Part[] = [];
  for (const part of parts) if ((await builtPart(part)) === undefined) missing.push(part);
  if (missing.length === 0) {
    console.log(`all of it is built, in ${cacheRoot()}: ${parts.map(({ name }) => name).join(', ')}`);
    return;
  }
  let done = parts.length - missing.length;
  try {
    for (const part of missing) {
      await buildLocked(part, signal);
      done++;
    }
  } finally {
    console.log(`built ${done} of ${parts.length} parts`);
  }
}

/** Different parts may be built at the same time, one part only once. */
async function buildLocked(part: Part, signal: AbortSignal): Promise<void> {
  const lock = tryFileLock(join(cacheRoot(), `${part.name}.lock`), `process ${process.pid}`);
  if ('heldBy' in lock) throw new UserError(`cannot build ${part.name}: ${lock.heldBy} builds it already`);
  try {
    progress.note(`Building ${part.name} ${part.version}: about ${part.cost}`);
    const go = (goMod: string) => goFor(goMod, signal);
    const built = await buildPart(part, { exec: realExec, progress, signal, go });
    console.log(`${part.name} ${part.version}: ${words(part, built)}`);
  } finally {
    lock.release();
  }
}

function goFor(goMod: string, signal: AbortSignal): Promise<string> {
  return ensureGo(goWanted(goMod), {
    exec: realExec,
    cache: join(cacheRoot(), 'go'),
    canInstall: process.getuid?.() === 0 && existsSync('/usr/bin/apt-get'),
    progress,
    signal,
  });
}

await ending(async () => {
  await interruptible(async (signal) => {
    const given = process.argv.slice(2);
    if (given[0] === '--list') await list(await realParts());
    else await buildAll(given.length === 0 ? await realParts() : await partsOf(given), signal);
  });
});
