import { Document, isMap, parseDocument } from 'yaml';
import { parseJson } from '../../util/parse-json.ts';
import { PORTMAP_ENTRY } from '../heal/conf-plans.ts';
import { formatDocument, isPortmap, type ListDocument } from '../heal/list-document.ts';
import type { SourcePatch } from './cnis.ts';

/** What a patch is of, and which verbs it takes there. */
export interface PatchTarget {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespace: string;
  name: string;
}

/** An object as far as a patch looks at it. */
export interface PatchedObject {
  data?: Record<string, string>;
  spec?: { valuesContent?: string };
}

/** The merge patch that makes a change, or why it is not made. `is: done`: it is so already. */
export type Patched =
  | { is: 'patch'; body: Record<string, unknown>; shown: string }
  | { is: 'done' }
  | { is: 'refused'; why: string };

/** The object that a patch is of. */
export function targetOfPatch({ kind, namespace, name }: SourcePatch): PatchTarget {
  return kind === 'values'
    ? {
        group: 'helm.cattle.io',
        version: 'v1',
        plural: 'helmchartconfigs',
        kind: 'HelmChartConfig',
        namespace,
        name,
      }
    : { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap', namespace, name };
}

/** Computes a patch from the object as it is; what is there and is not ours stays. `object`: undefined when there is none. Pure. */
export function patchOf(patch: SourcePatch, object: PatchedObject | undefined): Patched {
  const { kind, namespace, name } = patch;
  if (object === undefined) return { is: 'refused', why: `${namespace}/${name} does not exist` };
  if (kind === 'data') {
    for (const [key, values] of Object.entries(patch.unless)) {
      const value = object.data?.[key];
      if (value !== undefined && values.includes(value)) return { is: 'refused', why: `${key} is ${value}` };
    }
    if (Object.entries(patch.data).every(([key, value]) => object.data?.[key] === value))
      return { is: 'done' };
    return patched({ data: patch.data });
  }
  if (kind === 'list') return patchOfList(patch.key, object.data?.[patch.key]);
  return patchOfValues(patch.values, object.spec?.valuesContent ?? '');
}

function patched(body: Record<string, unknown>): Patched {
  return { is: 'patch', body, shown: JSON.stringify(body) };
}

function patchOfList(key: string, text: string | undefined): Patched {
  if (text === undefined) return { is: 'refused', why: `it has no ${key}` };
  let list: ListDocument;
  try {
    list = parseJson(text, key) as ListDocument;
  } catch {
    return { is: 'refused', why: `its ${key} is not valid JSON` };
  }
  if (!Array.isArray(list?.plugins)) return { is: 'refused', why: `its ${key} is not a CNI list` };
  if (list.plugins.some(isPortmap)) return { is: 'done' };
  const chained = { ...list, plugins: [...list.plugins, PORTMAP_ENTRY] };
  return patched({ data: { [key]: formatDocument(chained) } });
}

/** Helm values with some of them set; comments and all other values stay as they are. */
function patchOfValues(values: Record<string, unknown>, text: string): Patched {
  const document = parseDocument(text);
  if (document.errors.length > 0) return { is: 'refused', why: 'its valuesContent is not valid YAML' };
  if (document.contents !== null && !isMap(document.contents)) {
    return { is: 'refused', why: 'its valuesContent is not a map' };
  }
  const before = document.toString();
  const changed = document.contents === null ? new Document({}) : document;
  for (const [path, value] of leaves(values)) {
    // A map that is there keeps its other values; what is not a map is not ours to replace.
    for (const parent of path.slice(0, -1).map((_, i) => path.slice(0, i + 1))) {
      const there = changed.getIn(parent);
      if (there === null) changed.deleteIn(parent);
      else if (there !== undefined && !isMap(there))
        return { is: 'refused', why: `its ${parent.join('.')} is not a map` };
    }
    changed.setIn(path, value);
  }
  if (changed.toString() === before && document.contents !== null) return { is: 'done' };
  return patched({ spec: { valuesContent: changed.toString() } });
}

function leaves(values: Record<string, unknown>, path: string[] = []): [string[], unknown][] {
  return Object.entries(values).flatMap(([key, value]): [string[], unknown][] =>
    typeof value === 'object' && value !== null
      ? leaves(value as Record<string, unknown>, [...path, key])
      : [[[...path, key], value]],
  );
}
