import { absent } from '../collect/reader/agents.ts';
import { type RetryOptions, retrying } from '../collect/reader/retry.ts';
import { type ApiClient, hasReason } from '../kube/client.ts';
import { UserError } from '../util/errors.ts';
import { type AgentObject, MANAGED_BY } from './manifests.ts';

/** How often an object is written that somebody else writes at the same time. */
const MAX_TRIES = 5;

/** What became of an object: `created`, `updated`, or it was as it should be. */
export type Written = 'created' | 'updated' | 'unchanged';

/** An object as people name it: `daemonset kube-system/hostport-agent`. */
export function nameOf({ resource, object }: AgentObject): string {
  const { name, namespace } = object.metadata;
  return `${resource.kind.toLowerCase()} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

/** The object as it is in the API; undefined when it is not there. */
export function readObject(
  client: ApiClient,
  { resource, object }: AgentObject,
  retry: RetryOptions,
): Promise<AgentObject['object'] | undefined> {
  const { name, namespace } = object.metadata;
  return retrying(() => client.get(resource, name, namespace), retry).catch(absent) as Promise<
    AgentObject['object'] | undefined
  >;
}

/**
 * Refuses objects that something else looks after, as Helm: it would change them again.
 * @throws UserError naming it.
 */
export function checkManager(
  what: string,
  each: AgentObject,
  found: AgentObject['object'] | undefined,
): void {
  const manager = found?.metadata.labels?.[MANAGED_BY.label];
  if (manager === undefined || manager === MANAGED_BY.value) return;
  throw new UserError(
    `cannot ${what} the agent: ${nameOf(each)} is managed by ${manager}; use that, or uninstall the agent with it first`,
  );
}

/**
 * Creates an object, or makes the one that is there the same. What others have added to its metadata stays; fields of its specification that an
 * earlier installation had do not.
 */
export async function writeObject(
  client: ApiClient,
  each: AgentObject,
  retry: RetryOptions,
): Promise<Written> {
  const { resource, object } = each;
  for (let attempt = 1; ; attempt++) {
    const found = await readObject(client, each, retry);
    try {
      if (found === undefined) {
        await retrying(() => client.create(resource, object), retry);
        return 'created';
      }
      const { labels, annotations, resourceVersion } = found.metadata;
      const metadata = {
        ...found.metadata,
        labels: { ...labels, ...object.metadata.labels },
        ...(annotations !== undefined && { annotations }),
      };
      const written = await retrying(() => client.update(resource, { ...found, ...object, metadata }), retry);
      return written.metadata?.resourceVersion === resourceVersion ? 'unchanged' : 'updated';
    } catch (cause) {
      // Somebody else wrote it meanwhile.
      if (!hasReason(cause, 'Conflict', 'AlreadyExists') || attempt === MAX_TRIES) throw cause;
    }
  }
}

/** Deletes an object; false when it was not there. */
export async function deleteObject(
  client: ApiClient,
  { resource, object }: AgentObject,
  retry: RetryOptions,
): Promise<boolean> {
  const { name, namespace } = object.metadata;
  const gone = await retrying(() => client.delete(resource, name, namespace), retry).catch(absent);
  return gone !== undefined;
}
