import type { ApiClient, ListOptions } from './client.ts';
import type { Resource } from './resources.ts';
import type { KubeList, KubeObject } from './types.ts';

/** The answers to a list, `options.limit` objects each; the next is asked for when the one before has been used. */
export async function* listPages<T extends KubeObject>(
  client: Pick<ApiClient, 'list'>,
  resource: Resource<T>,
  options: ListOptions & { limit: number },
  signal?: AbortSignal,
): AsyncGenerator<KubeList<T>> {
  let next: string | undefined;
  do {
    const page = await client.list(resource, { ...options, ...(next && { continue: next }) }, signal);
    yield page;
    next = page.metadata.continue;
  } while (next);
}
