/**
 * `make real`: builds Kubernetes' own programs for the lab from their Go modules, into the user's cache. Says how long each part takes. A
 * second run does nothing; one that was interrupted continues where it was.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { interruptible } from '../src/cli/interruptible.ts';
import { terminalProgress } from '../src/cli/printer/progress.ts';
import { cacheRoot } from '../src/lab/engine/kubernetes/release-cache.ts';
import { realExec } from '../src/sys/exec.ts';
import { tryFileLock } from '../src/sys/file-lock.ts';
import { messageOf, UserError } from '../src/util/errors.ts';
import { ensureGo, goWanted } from './real/go.ts';
import { buildKubernetes, builtFrom, readSource, sizeOf } from './real/kubernetes.ts';

async function build(signal: AbortSignal): Promise<void> {
  const source = await readSource(join(import.meta.dir, '../real/kubernetes'));
  const there = await builtFrom(source);
  if (there !== undefined) {
    console.log(`Kubernetes ${source.version} is in ${there}`);
    return;
  }
  const cache = cacheRoot();
  const lock = tryFileLock(join(cache, 'kubernetes.lock'), `process ${process.pid}`);
  if ('heldBy' in lock) throw new UserError(`cannot build Kubernetes: ${lock.heldBy} builds it already`);
  try {
    const progress = terminalProgress(process.stderr);
    progress.note(
      `Building Kubernetes ${source.version} from its Go modules: about 12 minutes of one processor, 2 GB in Go's build cache, 700 MB of modules`,
    );
    const exec = realExec;
    const canInstall = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
    const go = await ensureGo(goWanted(source.goMod), {
      exec,
      cache: join(cache, 'go'),
      canInstall,
      progress,
      signal,
    });
    const directory = await buildKubernetes(source, go, { exec, progress, signal });
    const megabytes = Math.round((await sizeOf(directory)) / 1e6);
    console.log(`Kubernetes ${source.version} is in ${directory} (${megabytes} MB), to run it in a lab:`);
    console.log(`  bin/hostport create cluster --kubernetes ${source.version}`);
  } finally {
    lock.release();
  }
}

try {
  await interruptible(build);
} catch (error) {
  process.stderr.write(`ERROR: ${messageOf(error)}\n`);
  process.exitCode = error instanceof UserError ? error.exitCode : 1;
}
