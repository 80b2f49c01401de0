import { chmod, chown, lstat, mkdir, readdir, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { quantityUnits } from '../../../kube/quantity.ts';
import type { ConfigMap, Pod, Secret, Volume } from '../../../kube/types.ts';
import { namesIn } from '../../../sys/directories.ts';
import { ignoring } from '../../../sys/errno.ts';
import type { EnvSources } from '../env.ts';
import { type Directories, podDirectory } from '../names.ts';
import { writeAtomically } from './atomic-writer.ts';
import { prepareHostPath } from './host-path.ts';
import type { Mounts } from './mounts.ts';
import { type FileSources, filesOf, usesTmpfs } from './payload.ts';
import { VolumeError } from './volume-error.ts';

/** Directory names of volume plugins, as every kubelet has them. */
const PLUGIN_DIRECTORY: Record<string, string> = {
  emptyDir: 'kubernetes.io~empty-dir',
  configMap: 'kubernetes.io~configmap',
  secret: 'kubernetes.io~secret',
  projected: 'kubernetes.io~projected',
  downwardAPI: 'kubernetes.io~downward-api',
};

/** How pods get at objects of the API. */
export interface ObjectSource {
  configMap(namespace: string, name: string): Promise<ConfigMap | undefined>;
  secret(namespace: string, name: string): Promise<Secret | undefined>;
  token(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<string>;
  /** Forgets the tokens of a pod that is gone. */
  forget(uid: string): void;
}

/** Makes and removes the volumes of pods under `<root>/pods/<uid>/volumes`. */
export class Volumes {
  readonly #directories: Directories;
  readonly #mounts: Mounts;
  readonly #objects: ObjectSource;

  constructor(directories: Directories, mounts: Mounts, objects: ObjectSource) {
    this.#directories = directories;
    this.#mounts = mounts;
    this.#objects = objects;
  }

  /**
   * Makes every volume of the pod, or brings the ones made of API objects up to date.
   * @returns volume name to path on the node.
   * @throws VolumeError naming the volume.
   */
  async ensure(
    pod: Pod,
    downward: Pick<EnvSources, 'podIps' | 'hostIp' | 'nodeName' | 'allocatable'>,
  ): Promise<Map<string, string>> {
    const namespace = pod.metadata!.namespace!;
    const sources: FileSources = {
      configMap: (name) => this.#objects.configMap(namespace, name),
      secret: (name) => this.#objects.secret(namespace, name),
      token: (audience, seconds) => this.#objects.token(pod, audience, seconds),
      downward,
    };
    const paths = await Promise.all(
      (pod.spec?.volumes ?? []).map(async (volume): Promise<[string, string]> => {
        try {
          return [volume.name, await this.#make(pod, volume, sources)];
        } catch (error) {
          const why = error instanceof Error ? error.message : String(error);
          throw new VolumeError(`MountVolume.SetUp failed for volume "${volume.name}" : ${why}`);
        }
      }),
    );
    return new Map(paths);
  }

  /** Unmounts and removes everything of a pod that is gone. Nothing to do is success. */
  async remove(uid: string): Promise<void> {
    this.#objects.forget(uid);
    const directory = podDirectory(this.#directories, uid);
    await this.#mounts.unmountUnder(directory);
    await rm(directory, { recursive: true, force: true });
  }

  /** UIDs of the pods that have a directory here. */
  leftovers(): string[] {
    return namesIn(join(this.#directories.root, 'pods'));
  }

  async #make(pod: Pod, volume: Volume, sources: FileSources): Promise<string> {
    if (volume.hostPath !== undefined) {
      await prepareHostPath(volume.hostPath.path, volume.hostPath.type);
      return volume.hostPath.path;
    }
    const type = Object.keys(PLUGIN_DIRECTORY).find((key) => volume[key as keyof Volume] !== undefined);
    if (type === undefined) throw new VolumeError('no volume plugin matched');
    const path = join(
      podDirectory(this.#directories, pod.metadata!.uid!),
      'volumes',
      PLUGIN_DIRECTORY[type]!,
      volume.name,
    );
    await mkdir(path, { recursive: true, mode: 0o750 });
    // Config maps need no protection from the disk; secrets and tokens never get there.
    if (volume.emptyDir?.medium === 'Memory' || usesTmpfs(volume)) {
      const limit = volume.emptyDir?.sizeLimit;
      const sizeBytes = limit === undefined ? undefined : quantityUnits(limit);
      await this.#mounts.tmpfs(path, { mode: '0777', sizeBytes });
    }
    const group = pod.spec?.securityContext?.fsGroup;
    if (volume.emptyDir === undefined) {
      const files = await filesOf(pod, volume, sources);
      // What the owner may, the pod's group may: said here, so that a second look finds files as they should be.
      if (group !== undefined) for (const file of files.values()) file.mode |= (file.mode & 0o700) >> 3;
      await writeAtomically(path, files);
    }
    await chmod(path, 0o777);
    if (group !== undefined) await giveToGroup(path, group);
    return path;
  }
}

/** Everything under a volume belongs to the pod's fsGroup, which may do what the owner may. */
async function giveToGroup(path: string, group: number): Promise<void> {
  const found = await lstat(path);
  if (found.isSymbolicLink()) return;
  await chown(path, found.uid, group);
  const owners = (found.mode & 0o700) >> 3;
  await chmod(path, (found.mode & 0o7777) | owners | (found.isDirectory() ? 0o2070 : 0));
  if (!found.isDirectory()) return;
  for (const name of await readdir(path)) await giveToGroup(join(path, name), group);
}

/**
 * The path of a subPath mount: made if it is not there, and never outside its volume.
 * @throws VolumeError when a link in the volume leads out of it.
 */
export async function subPath(volumePath: string, below: string): Promise<string> {
  if (below.startsWith('/') || below.split('/').includes('..')) {
    throw new VolumeError(`subPath ${JSON.stringify(below)} must be relative and not contain ".."`);
  }
  const root = await realpath(volumePath);
  const wanted = join(volumePath, below);
  const resolved = await realpath(wanted).catch(async (error: unknown) => {
    ignoring('ENOENT')(error);
    await mkdir(wanted, { recursive: true, mode: 0o750 });
    return await realpath(wanted);
  });
  if (resolved !== root && !resolved.startsWith(`${root}/`)) {
    throw new VolumeError(`subPath ${JSON.stringify(below)} leads outside of its volume`);
  }
  return resolved;
}
