import type { ApiClient } from '../../kube/client.ts';
import { listPages } from '../../kube/pages.ts';
import type { Resource } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { patientLists, type RetryOptions } from './retry.ts';

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
  const pages = listPages(patientLists(client, retry), resource, { ...options, limit: PAGE }, retry.signal);
  for await (const { items } of pages) found.push(...items);
  return found;
}
