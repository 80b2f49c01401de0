import { type Exec, realExec } from '../../sys/exec.ts';
import type { Engine } from './engine.ts';
import { kubernetesEngine } from './kubernetes/engine.ts';
import { readRelease, releaseHost } from './kubernetes/release.ts';
import { ownEngine } from './own.ts';

/**
 * The engine of a new cluster: Kubernetes' own programs from a directory, or the lab's own without one.
 * @throws InputError when the directory does not hold a release that can run here.
 */
export async function chosenEngine(directory: string | undefined, exec: Exec = realExec): Promise<Engine> {
  if (directory === undefined) return ownEngine;
  return kubernetesEngine(await readRelease(directory, releaseHost(exec)));
}
