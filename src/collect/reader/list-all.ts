import type { ApiClient } from '../../kube/client.ts';
import type { Resource } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { type RetryOptions, retrying } from './retry.ts';

/** How many objects an answer has. */
const PAGE = 500;

/** All objects of a kind that match, page by page. */
export async function listAll<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  options: { namespace?: string; labelSelector?: string; fieldSelector?: string },
  retry: RetryOptions,
): Promise<T[]> {
  const found: T[] = [];
  let next: string | undefined;
  do {
    const asked = { ...options, limit: PAGE, ...(next !== undefined && { continue: next }) };
    const page = await retrying(() => client.list(resource, asked, retry.signal), retry);
    found.push(...page.items);
    next = page.metadata.continue;
  } while (next !== undefined && next !== '');
  return found;
}
