import type { ConfigMap, Pod, Secret, Volume } from '../../../kube/types.ts';
import { type EnvSources, fieldValue, resourceValue } from '../env.ts';
import type { Payload } from './atomic-writer.ts';
import { VolumeError } from './volume-error.ts';

/** Where the files of configMap, secret, projected and downwardAPI volumes come from. */
export interface FileSources {
  configMap(name: string): Promise<ConfigMap | undefined>;
  secret(name: string): Promise<Secret | undefined>;
  token(audience: string | undefined, expirationSeconds: number): Promise<string>;
  downward: Pick<EnvSources, 'podIps' | 'hostIp' | 'nodeName' | 'allocatable'>;
}

interface KeyToPath {
  key: string;
  path: string;
  mode?: number;
}

/** Volumes that hold something secret and so live in memory only. */
export function usesTmpfs(volume: Volume): boolean {
  return (
    volume.secret !== undefined ||
    volume.projected?.sources?.some(
      (source) => source.secret !== undefined || source.serviceAccountToken !== undefined,
    ) === true
  );
}

/** The files of a volume made of API objects: path in the volume to content and mode. */
export async function filesOf(pod: Pod, volume: Volume, sources: FileSources): Promise<Map<string, Payload>> {
  const files = new Map<string, Payload>();
  if (volume.configMap !== undefined) {
    const { name = '', items, optional, defaultMode } = volume.configMap;
    await addConfigMap(files, sources, pod, { name, items, optional }, defaultMode ?? 0o644);
  } else if (volume.secret !== undefined) {
    const { secretName = '', items, optional, defaultMode } = volume.secret;
    await addSecret(files, sources, pod, { name: secretName, items, optional }, defaultMode ?? 0o644);
  } else if (volume.downwardAPI !== undefined) {
    const { items = [], defaultMode } = volume.downwardAPI;
    addDownward(files, sources, pod, items, defaultMode ?? 0o644);
  } else if (volume.projected !== undefined) {
    const mode = volume.projected.defaultMode ?? 0o644;
    for (const source of volume.projected.sources ?? []) {
      const { configMap, secret, downwardAPI, serviceAccountToken } = source;
      if (configMap !== undefined) await addConfigMap(files, sources, pod, configMap, mode);
      if (secret !== undefined) await addSecret(files, sources, pod, secret, mode);
      if (downwardAPI !== undefined) addDownward(files, sources, pod, downwardAPI.items ?? [], mode);
      if (serviceAccountToken !== undefined) {
        const { audience, expirationSeconds = 3600, path } = serviceAccountToken;
        const token = await sources.token(audience, expirationSeconds);
        // The token is for its pod alone: a pod that runs as another user reads it through fsGroup or as that user.
        files.set(path, { content: Buffer.from(token), mode: tokenMode(pod, mode) });
      }
    }
  }
  return files;
}

/** 0600 when everything in the pod runs as root or fsGroup shares it, as kubelets choose; else what the volume says. */
function tokenMode(pod: Pod, mode: number): number {
  if (pod.spec?.securityContext?.fsGroup !== undefined) return 0o600;
  return mode;
}

interface ObjectReference {
  name?: string;
  items?: KeyToPath[];
  optional?: boolean;
}

async function addConfigMap(
  files: Map<string, Payload>,
  sources: FileSources,
  pod: Pod,
  reference: ObjectReference,
  mode: number,
): Promise<void> {
  const map = await sources.configMap(reference.name!);
  const data = map && [...decoded(map.data, 'utf8'), ...decoded(map.binaryData, 'base64')];
  addObject(files, 'configmap', data, pod, reference, mode);
}

async function addSecret(
  files: Map<string, Payload>,
  sources: FileSources,
  pod: Pod,
  reference: ObjectReference,
  mode: number,
): Promise<void> {
  const secret = await sources.secret(reference.name!);
  addObject(files, 'secret', secret && decoded(secret.data, 'base64'), pod, reference, mode);
}

function decoded(data: Record<string, string> | undefined, encoding: BufferEncoding): [string, Uint8Array][] {
  return Object.entries(data ?? {}).map(([key, text]) => [key, Buffer.from(text, encoding)]);
}

function addObject(
  files: Map<string, Payload>,
  kind: 'configmap' | 'secret',
  data: readonly [string, Uint8Array][] | undefined,
  pod: Pod,
  reference: ObjectReference,
  mode: number,
): void {
  if (data !== undefined) {
    const what = `${kind} ${pod.metadata!.namespace}/${reference.name}`;
    addItems(files, new Map(data), reference, mode, what);
  } else if (reference.optional !== true) {
    throw new VolumeError(`${kind} "${reference.name}" not found`);
  }
}

function addItems(
  files: Map<string, Payload>,
  data: ReadonlyMap<string, Uint8Array>,
  { items, optional }: ObjectReference,
  mode: number,
  what: string,
): void {
  if (items === undefined || items.length === 0) {
    for (const [key, content] of data) files.set(key, { content, mode });
    return;
  }
  for (const item of items) {
    const content = data.get(item.key);
    if (content !== undefined) files.set(item.path, { content, mode: item.mode ?? mode });
    else if (optional !== true)
      throw new VolumeError(`${what} references non-existent config key: ${item.key}`);
  }
}

function addDownward(
  files: Map<string, Payload>,
  { downward }: FileSources,
  pod: Pod,
  items: NonNullable<NonNullable<Volume['downwardAPI']>['items']>,
  mode: number,
): void {
  for (const item of items) {
    const text =
      item.fieldRef !== undefined
        ? fieldValue(pod, item.fieldRef.fieldPath, downward)
        : resourceValue(pod, pod.spec!.containers[0]!, item.resourceFieldRef!, downward.allocatable);
    files.set(item.path, { content: Buffer.from(text, 'utf8'), mode: item.mode ?? mode });
  }
}
