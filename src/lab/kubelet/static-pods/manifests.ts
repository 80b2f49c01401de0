import { createHash } from 'node:crypto';
import { watch } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '../../../kube/types.ts';
import type { Clock } from '../../../sys/clock.ts';
import { messageOf } from '../../../util/errors.ts';
import { CONFIG_HASH, CONFIG_SOURCE } from '../names.ts';

/** Editors write a file in several steps; the directory is read when it has been quiet for so long. */
const QUIET_MS = 50;
/** And anyway so often, as kubelets do (`--file-check-frequency`). */
const READ_MS = 20_000;

/** A manifest as the pod that this node runs: named after the node, with a UID that follows from its content. */
export async function staticPod(text: string, file: string, nodeName: string): Promise<Pod> {
  // Most nodes have no manifest and need no parser.
  const { parse } = await import('yaml');
  const parsed = parse(text) as Pod | null;
  if (parsed?.kind !== 'Pod' || parsed.apiVersion !== 'v1') {
    throw new Error(
      `${file}: not a v1 Pod: ${parsed?.apiVersion ?? 'no apiVersion'} ${parsed?.kind ?? 'no kind'}`,
    );
  }
  if (parsed.metadata?.name === undefined || !Array.isArray(parsed.spec?.containers)) {
    throw new Error(`${file}: metadata.name and spec.containers are required`);
  }
  const hash = createHash('md5').update(JSON.stringify(parsed)).update(file).update(nodeName).digest('hex');
  const defaults = parsed.spec!;
  return {
    ...parsed,
    metadata: {
      ...parsed.metadata,
      name: `${parsed.metadata.name}-${nodeName}`,
      namespace: parsed.metadata.namespace ?? 'default',
      uid: hash,
      annotations: { ...parsed.metadata.annotations, [CONFIG_HASH]: hash, [CONFIG_SOURCE]: 'file' },
    },
    spec: {
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      // A static pod has no service account, and no taint keeps it off its node.
      automountServiceAccountToken: false,
      ...defaults,
      nodeName,
      tolerations: [...(defaults.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }],
    },
  };
}

/**
 * Follows a directory of manifests until the signal aborts, and hands over all its pods whenever they may have changed. A
 * file that does not hold a pod is reported and left out.
 */
export async function followManifests(
  directory: string,
  nodeName: string,
  clock: Clock,
  options: { onPods: (pods: Pod[]) => void; log: (line: string) => void; signal: AbortSignal },
): Promise<void> {
  const { onPods, log, signal } = options;
  await mkdir(directory, { recursive: true });
  let nudge = new AbortController();
  const watcher = watch(directory, () => nudge.abort());
  watcher.on('error', (error) => log(`${directory} not watched: ${messageOf(error)}`));
  let reported = '';
  while (!signal.aborted) {
    let text: string;
    try {
      const { pods, problems } = await readManifests(directory, nodeName);
      text = problems.join('; ');
      onPods(pods);
    } catch (error) {
      // A directory that cannot be read is no reason to end what came out of it.
      text = messageOf(error);
    }
    if (text !== reported && text !== '') log(`static pods: ${text}`);
    reported = text;
    const wait = AbortSignal.any([signal, nudge.signal]);
    const quiet = await clock.sleep(READ_MS, wait).then(
      () => false,
      () => !signal.aborted,
    );
    if (quiet) await clock.sleep(QUIET_MS, signal).catch(() => {});
    nudge = new AbortController();
  }
  watcher.close();
}

/** All static pods of a directory, and what is wrong with the files that give none. */
export async function readManifests(
  directory: string,
  nodeName: string,
): Promise<{ pods: Pod[]; problems: string[] }> {
  const pods: Pod[] = [];
  const problems: string[] = [];
  for (const name of (await readdir(directory)).sort()) {
    if (name.startsWith('.') || !/\.(ya?ml|json)$/.test(name)) continue;
    try {
      pods.push(await staticPod(await readFile(join(directory, name), 'utf8'), name, nodeName));
    } catch (error) {
      problems.push(`${name}: ${messageOf(error)}`);
    }
  }
  return { pods, problems };
}
