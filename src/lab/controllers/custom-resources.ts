import type { ApiClient } from '../../kube/client.ts';
import { customResourceDefinitions, type Resource } from '../../kube/resources.ts';
import type { CustomResourceDefinition, KubeObject } from '../../kube/types.ts';

/** How the objects of a definition are addressed; undefined until its names are its own. */
export function customResource({ spec, status }: CustomResourceDefinition): Resource<KubeObject> | undefined {
  const isEstablished = status?.conditions?.some(
    (condition) => condition.type === 'Established' && condition.status === 'True',
  );
  const version = spec.versions.find(({ served }) => served);
  if (!isEstablished || version === undefined) return undefined;
  const { plural, kind } = spec.names;
  return { group: spec.group, version: version.name, plural, kind, namespaced: spec.scope === 'Namespaced' };
}

/** Every custom kind that is served, asked of the API. */
export async function customResources(client: ApiClient): Promise<Resource<KubeObject>[]> {
  const { items } = await client.list(customResourceDefinitions);
  return items.flatMap((definition) => customResource(definition) ?? []);
}
