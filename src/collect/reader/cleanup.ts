import { type ApiClient, hasReason } from '../../kube/client.ts';
import { withCredentials } from '../../kube/refused-credentials.ts';
import { namespaces, pods, type Resource } from '../../kube/resources.ts';
import type { KubeObject, Namespace, Pod } from '../../kube/types.ts';
import { messageOf } from '../../util/errors.ts';
import { listAll } from './list-all.ts';
import { ENDS_ANNOTATION, RUN_LABEL, temporaryNamespace } from './manifests.ts';
import { removeNamespace } from './reader-pods.ts';
import { type RetryOptions, retrying } from './retry.ts';

/** How long a namespace may take to go, in milliseconds. */
const REMOVAL_MS = 60_000;

/** What was removed, and what could not be, in words. */
export interface Cleanup {
  removed: string[];
  left: string[];
}

/**
 * Removes what runs have left behind that were killed, and waits until it is gone: namespaces, and pods in namespaces of others. Runs under way
 * lose theirs, too: nobody can tell them from others.
 */
export async function removeAllRuns(client: ApiClient, retry: RetryOptions): Promise<Cleanup> {
  const cleanup: Cleanup = { removed: [], left: [] };
  const attempt = async (what: string, work: () => Promise<unknown>) => {
    try {
      await work();
      cleanup.removed.push(what);
    } catch (cause) {
      retry.signal.throwIfAborted();
      cleanup.left.push(`${what}: ${messageOf(cause)}`);
    }
  };
  // Whoever asks for it waits: a server that cannot be reached at first is an error at once.
  const first: RetryOptions = { ...retry, mustBeReachable: true };
  const [ours, labelled] = await withCredentials(client, 'remove what runs have left behind', () =>
    Promise.all([allOf<Namespace>(client, namespaces, first), allOf<Pod>(client, pods, first)]),
  );
  const names = new Set(ours.filter(isOfRun).map(({ metadata }) => metadata?.name ?? ''));
  await Promise.all([
    ...[...names].map((name) =>
      attempt(`namespace ${name}`, () => removeNamespace(client, name, retry, REMOVAL_MS)),
    ),
    ...labelled
      .filter(({ metadata }) => !names.has(metadata?.namespace ?? ''))
      .map(({ metadata }) => {
        const { name = '', namespace = '' } = metadata ?? {};
        return attempt(`pod ${namespace}/${name}`, () => removePod(client, name, namespace, retry));
      }),
  ]);
  cleanup.removed.sort();
  return cleanup;
}

/** Starts to remove what killed runs have left behind, and does not wait for it. Runs that may be under way keep theirs. */
export async function removeEndedRuns(
  client: ApiClient,
  present: readonly Pod[],
  retry: RetryOptions,
  now = Date.now(),
): Promise<void> {
  const ours = await allOf<Namespace>(client, namespaces, retry).catch((cause: unknown) => {
    // Who may not list them has no namespaces created by this program either: it has not been allowed to see them go.
    if (!hasReason(cause, 'Forbidden')) throw cause;
    return [];
  });
  const names = new Set(ours.map(({ metadata }) => metadata?.name ?? ''));
  await Promise.all([
    ...ours
      .filter((namespace) => isOfRun(namespace) && hasEnded(namespace, now))
      .map(({ metadata }) =>
        retrying(() => client.delete(namespaces, metadata?.name ?? ''), retry).catch(unlessGone),
      ),
    ...present
      .filter((pod) => isOurs(pod) && !names.has(pod.metadata?.namespace ?? '') && isOver(pod))
      .map(({ metadata }) => removePod(client, metadata?.name ?? '', metadata?.namespace ?? '', retry)),
  ]);
}

/** Whether a namespace is one that a run has made for itself. A label alone may be on any, and what is in it would go with it. */
function isOfRun({ metadata }: Namespace): boolean {
  return metadata?.name === temporaryNamespace(metadata?.labels?.[RUN_LABEL] ?? '');
}

/** All objects of a kind that runs have created. */
async function allOf<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  retry: RetryOptions,
): Promise<T[]> {
  const found = await listAll(client, resource, { labelSelector: RUN_LABEL }, retry);
  // What a server returns beside what it was asked for must not be deleted.
  return found.filter(isOurs);
}

function isOurs({ metadata }: KubeObject): boolean {
  return metadata?.labels?.[RUN_LABEL] !== undefined;
}

/** Whether the time has passed until which its run may be under way. */
function hasEnded({ metadata }: KubeObject, now: number): boolean {
  const ends = Date.parse(metadata?.annotations?.[ENDS_ANNOTATION] ?? '');
  return !Number.isNaN(ends) && ends < now;
}

function isOver({ status }: Pod): boolean {
  return status?.phase === 'Failed' || status?.phase === 'Succeeded';
}

async function removePod(
  client: ApiClient,
  name: string,
  namespace: string,
  retry: RetryOptions,
): Promise<void> {
  await retrying(() => client.delete(pods, name, namespace), retry).catch(unlessGone);
}

function unlessGone(cause: unknown): undefined {
  if (!hasReason(cause, 'NotFound')) throw cause;
  return undefined;
}
