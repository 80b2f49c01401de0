import { groupVersionOf, type KindInfo } from '../../kube/kinds.ts';
import { tableColumns, tableRow } from '../kubernetes/table/index.ts';
import type { Format } from './negotiation.ts';
import type { ApiObject } from './objects.ts';

const META = 'meta.k8s.io/v1';

/** Which part of an object is sent with its row: the `includeObject` parameter. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface Presentation {
  readonly format: Format;
  readonly includeObject: IncludeObject;
  readonly nowMs: number;
}

export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject');
  return value === 'None' || value === 'Object' ? value : 'Metadata';
}

/** One object as the client wants it. */
export function present(info: KindInfo, object: ApiObject, how: Presentation): object {
  if (how.format.shape === 'metadata') return metadataOnly(object);
  if (how.format.shape === 'object') return object;
  const { resourceVersion } = object.metadata;
  return table(info, [object], { resourceVersion }, how);
}

/** A list as the client wants it. */
export function presentList(
  info: KindInfo,
  items: readonly ApiObject[],
  metadata: Record<string, unknown>,
  how: Presentation,
): object {
  if (how.format.shape === 'table') return table(info, items, metadata, how);
  if (how.format.shape === 'metadata') {
    return { kind: 'PartialObjectMetadataList', apiVersion: META, metadata, items: items.map(metadataOnly) };
  }
  return {
    kind: info.listKind,
    apiVersion: groupVersionOf(info),
    metadata,
    // Items of a list carry neither kind nor apiVersion, which the list says; but custom resources do.
    items: info.custom ? items : items.map(({ kind: _, apiVersion: __, ...object }) => object),
  };
}

function metadataOnly(object: ApiObject): object {
  return { kind: 'PartialObjectMetadata', apiVersion: META, metadata: object.metadata };
}

function table(
  info: KindInfo,
  items: readonly ApiObject[],
  metadata: Record<string, unknown>,
  how: Presentation,
): object {
  const rows = items.map((object) => {
    const cells = tableRow(info, object, how.nowMs);
    if (how.includeObject === 'None') return { cells, object: null };
    return { cells, object: how.includeObject === 'Object' ? object : metadataOnly(object) };
  });
  return { kind: 'Table', apiVersion: META, metadata, columnDefinitions: tableColumns(info), rows };
}
