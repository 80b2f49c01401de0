import { parseAllDocuments } from 'yaml';
import { type ApiClient, hasReason } from '../../kube/client.ts';
import { kindByName } from '../../kube/kinds.ts';
import { pathOf, type Resource } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { UserError } from '../../util/errors.ts';

/** Parses a manifest of one or more YAML documents; empty documents are skipped, a syntax error names its line. */
export function parseManifest(text: string): KubeObject[] {
  const objects: KubeObject[] = [];
  for (const document of parseAllDocuments(text)) {
    const error = document.errors[0];
    if (error !== undefined) throw new UserError(`manifest: ${error.message}`);
    const value = document.toJS() as KubeObject | null;
    if (value !== null) objects.push(value);
  }
  return objects;
}

/** How the kind of an object is addressed; a {@link UserError} when the API server does not serve it. */
export function resourceOf(object: KubeObject): Resource<KubeObject> {
  const info = kindByName(object.apiVersion ?? '', object.kind ?? '');
  if (info === undefined) {
    throw new UserError(
      `manifest: no kind "${object.kind}" in version "${object.apiVersion}" (object "${object.metadata?.name}")`,
    );
  }
  return info;
}

/** Creates every object of a manifest, in its order. One that is there already is left as it is. */
export async function createManifests(client: ApiClient, text: string): Promise<void> {
  for (const object of parseManifest(text)) {
    const resource = resourceOf(object);
    const namespace = resource.namespaced ? (object.metadata?.namespace ?? 'default') : undefined;
    try {
      await client.fetch('POST', pathOf(resource, namespace), object);
    } catch (error) {
      if (!hasReason(error, 'AlreadyExists')) throw error;
    }
  }
}
