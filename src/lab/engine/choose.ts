import { calledAs } from '../../sys/called-as.ts';
import { type Exec, realExec } from '../../sys/exec.ts';
import { exists } from '../../sys/files.ts';
import { InputError } from '../../util/errors.ts';
import type { Engine } from './engine.ts';
import { kubernetesEngine } from './kubernetes/engine.ts';
import { isVersion, readRelease, releaseHost } from './kubernetes/release.ts';
import { releaseCache } from './kubernetes/release-cache.ts';
import { ownEngine } from './own.ts';

/** What a user can say about it on a command line. */
export const RELEASE_HELP =
  'run Kubernetes\' own programs instead of the lab\'s: of a directory, or of a version that "fetch kubernetes" or "make real" put into the cache';

/**
 * The engine of a new cluster: Kubernetes' own programs from a directory, or of a version that was fetched or built (`v1.36.1`); the lab's
 * own when nothing is given.
 * @throws InputError when there is no release that can run here.
 */
export async function chosenEngine(given: string | undefined, exec: Exec = realExec): Promise<Engine> {
  if (given === undefined) return ownEngine;
  return kubernetesEngine(await readRelease(await directoryOf(given), releaseHost(exec)), exec);
}

async function directoryOf(given: string): Promise<string> {
  if (!isVersion(given)) return given;
  const directory = releaseCache(given);
  if (await exists(directory)) return directory;
  throw new InputError(
    `cannot run Kubernetes ${given}: ${directory} does not exist; download it with "${calledAs()} fetch kubernetes ${given}", build it with "make real", or give the directory of a release`,
  );
}
