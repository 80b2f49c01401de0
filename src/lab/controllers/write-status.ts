import { type ApiClient, hasReason } from '../../kube/client.ts';
import type { Resource } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';

/**
 * Writes the status of an object as it was seen. An object that is gone needs none; one that has changed is a Conflict, and
 * the queue looks again.
 */
export async function writeStatus<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  object: T,
): Promise<void> {
  try {
    await client.update(resource, object, 'status');
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error;
  }
}
