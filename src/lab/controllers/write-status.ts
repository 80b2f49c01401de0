import { type ApiClient, hasReason } from '../../kube/client.ts';
import type { Resource } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';

/**
 * Writes the status of an object as it was seen, and returns the object as it is then. One that is gone needs no status: undefined;
 * one that has changed is a Conflict, and the queue looks again.
 */
export async function writeStatus<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  object: T,
): Promise<T | undefined> {
  try {
    return await client.update(resource, object, 'status');
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error;
    return undefined;
  }
}
