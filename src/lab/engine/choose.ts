import { calledAs } from '../../sys/called-as.ts';
import { type Exec, realExec } from '../../sys/exec.ts';
import { exists } from '../../sys/files.ts';
import { InputError, messageOf } from '../../util/errors.ts';
import { type Runtime, readRuntime } from '../cluster/runtime.ts';
import type { Engine } from './engine.ts';
import { kubernetesEngine } from './kubernetes/engine.ts';
import { checkContainerd, checkVersion, isVersion, readRelease, releaseHost } from './kubernetes/release.ts';
import { containerdCache, releaseCache } from './kubernetes/release-cache.ts';
import { ownEngine } from './own.ts';

/** What a user can say about it on a command line. */
export const RELEASE_HELP =
  'run Kubernetes\' own programs instead of the lab\'s: of a directory, or of a version that "fetch kubernetes" or "make real" put into the cache';

/** What a user can say about the containerd of the nodes on a command line. */
export const CONTAINERD_HELP =
  'containerd 2 for the nodes instead of the machine\'s own: of a directory, or of a version that "make real" built';

/** What the nodes of a new cluster run. */
export interface Chosen {
  engine: Engine;
  runtime?: Runtime;
}

/**
 * What a command line chooses: Kubernetes' own programs and containerd from directories, or of versions that are in the user's cache
 * (`v1.36.1`); the lab's own control plane and the machine's containerd when nothing is given.
 * @throws InputError when there is no release that can run here.
 */
export async function chosen(
  given: { kubernetes?: string; containerd?: string },
  exec: Exec = realExec,
): Promise<Chosen> {
  const runtime =
    given.containerd === undefined
      ? undefined
      : await readRuntime(await containerdDirectory(given.containerd), exec);
  const engine =
    given.kubernetes === undefined ? ownEngine : await kubernetes(given.kubernetes, runtime, exec);
  return { engine, ...(runtime && { runtime }) };
}

async function kubernetes(given: string, runtime: Runtime | undefined, exec: Exec): Promise<Engine> {
  const release = await readRelease(await kubernetesDirectory(given), releaseHost(exec));
  await checkContainerd(release, runtime?.version, exec);
  return kubernetesEngine(release, exec);
}

async function kubernetesDirectory(given: string): Promise<string> {
  if (!isVersion(given)) {
    if (!isVersion(`v${given}`) || (await exists(given))) return given;
    throw new InputError(`cannot run Kubernetes ${given}: no such directory; versions are written v${given}`);
  }
  const directory = releaseCache(given);
  if (await exists(directory)) return directory;
  try {
    checkVersion(given);
  } catch (cause) {
    throw new InputError(`cannot run Kubernetes ${given}: ${messageOf(cause)}`, { cause });
  }
  throw new InputError(
    `cannot run Kubernetes ${given}: ${directory} does not exist; download it with "${calledAs()} fetch kubernetes ${given}", build it with "make real", or give the directory of a release`,
  );
}

async function containerdDirectory(given: string): Promise<string> {
  if (!isVersion(given)) return given;
  const directory = containerdCache(given);
  if (await exists(directory)) return directory;
  throw new InputError(
    `cannot run containerd ${given}: ${directory} does not exist; build it with "make real", or give a directory with it`,
  );
}
