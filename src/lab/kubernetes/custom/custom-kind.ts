import { type KindInfo, STORED_VERBS } from '../../../kube/kinds.ts';
import type { Json } from '../../../util/json.ts';
import type { Atom } from '../fields/atoms.ts';
import { parseJsonPath } from './json-path.ts';
import type { JsonSchema } from './json-schema.ts';
import { resourceAtom } from './schema-atom.ts';

/** A column of a CustomResourceDefinition. */
export interface CustomColumn {
  readonly name: string;
  readonly type: string;
  readonly format?: string;
  readonly description?: string;
  readonly priority?: number;
  readonly jsonPath: string;
}

export interface ScalePaths {
  readonly specReplicasPath: string;
  readonly statusReplicasPath: string;
  readonly labelSelectorPath?: string;
}

export interface CustomNames {
  readonly plural: string;
  readonly singular?: string;
  readonly kind: string;
  readonly listKind?: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
}

export interface CustomVersion {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly deprecated?: boolean;
  readonly deprecationWarning?: string;
  readonly schema?: { readonly openAPIV3Schema?: JsonSchema };
  readonly subresources?: { readonly status?: object; readonly scale?: ScalePaths };
  readonly additionalPrinterColumns?: readonly CustomColumn[];
  readonly selectableFields?: readonly { readonly jsonPath: string }[];
}

export interface CustomDefinitionSpec {
  readonly group: string;
  readonly names: CustomNames;
  readonly scope: string;
  readonly versions: readonly CustomVersion[];
  readonly conversion?: { readonly strategy?: string };
  readonly preserveUnknownFields?: boolean;
}

export interface DefinitionCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

export interface DefinitionStatus {
  acceptedNames?: CustomNames;
  conditions?: DefinitionCondition[];
  storedVersions?: string[];
}

/** A `apiextensions.k8s.io/v1` CustomResourceDefinition, as far as it is obeyed. */
export interface CustomDefinition {
  readonly metadata: {
    readonly name?: string;
    readonly generation?: number;
    readonly deletionTimestamp?: string;
  };
  readonly spec: CustomDefinitionSpec;
  readonly status?: DefinitionStatus;
}

/** A version of a kind that a CustomResourceDefinition defines. */
export interface CustomKind extends KindInfo {
  readonly custom: true;
  readonly schema: JsonSchema;
  /** How its objects are merged. */
  readonly atom: Atom;
  readonly scale: ScalePaths | undefined;
  readonly columns: readonly CustomColumn[];
  /** What clients are warned of; undefined for a version that is not deprecated. */
  readonly warning: string | undefined;
  /** Every version of the kind that is served. */
  readonly versions: ReadonlyMap<string, CustomKind>;
}

export function isCustom(info: KindInfo): info is CustomKind {
  return info.custom === true;
}

const AGE: CustomColumn = {
  name: 'Age',
  type: 'date',
  description: 'CreationTimestamp is a timestamp representing the server time when this object was created.',
  jsonPath: '.metadata.creationTimestamp',
};

/** The kinds of a definition, one a version that is served, newest and most stable first. */
export function kindsOf({ spec, status }: CustomDefinition): CustomKind[] {
  const names = status?.acceptedNames ?? spec.names;
  const storage = spec.versions.find((version) => version.storage)!;
  const versions = new Map<string, CustomKind>();
  const served = spec.versions
    .filter((version) => version.served)
    .sort((a, b) => compareVersions(a.name, b.name));
  for (const version of served) {
    const schema = version.schema?.openAPIV3Schema ?? {};
    const { group, scope } = spec;
    const selectable = new Map(
      (version.selectableFields ?? []).map(({ jsonPath }) => [jsonPath.replace(/^\./, ''), reader(jsonPath)]),
    );
    const apiVersion = `${group}/${version.name}`;
    versions.set(apiVersion, {
      custom: true,
      group,
      version: version.name,
      kind: names.kind,
      listKind: names.listKind ?? `${names.kind}List`,
      plural: names.plural,
      singular: names.singular ?? names.kind.toLowerCase(),
      shortNames: names.shortNames ?? [],
      categories: names.categories ?? [],
      namespaced: scope === 'Namespaced',
      subresources: [
        ...(version.subresources?.scale === undefined ? [] : ['scale']),
        ...(version.subresources?.status === undefined ? [] : ['status']),
      ],
      verbs: STORED_VERBS,
      role: 'stored',
      definition: '',
      storageGroup: group,
      storageVersion: storage.name,
      schema,
      atom: resourceAtom(schema),
      scale: version.subresources?.scale,
      columns: version.additionalPrinterColumns?.length ? version.additionalPrinterColumns : [AGE],
      selectable,
      warning: version.deprecated
        ? (version.deprecationWarning ?? `${apiVersion} ${names.kind} is deprecated`)
        : undefined,
      versions,
    });
  }
  return [...versions.values()];
}

function reader(jsonPath: string): (object: unknown) => string {
  const find = parseJsonPath(jsonPath);
  return (object) => {
    const [value] = find?.(object as Json) ?? [];
    return value === undefined || value === null ? '' : String(value);
  };
}

/**
 * The order in which versions are preferred: `v2` before `v1` before `v1beta2` before `v1alpha1` before what is no version in
 * Kubernetes' form.
 */
export function compareVersions(a: string, b: string): number {
  const left = parseVersion(a);
  const right = parseVersion(b);
  if (left === undefined || right === undefined) {
    if (left !== undefined) return -1;
    if (right !== undefined) return 1;
    return a < b ? -1 : a > b ? 1 : 0;
  }
  return right[0] - left[0] || right[1] - left[1] || right[2] - left[2];
}

function parseVersion(text: string): [stability: number, major: number, minor: number] | undefined {
  const match = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/.exec(text);
  if (match === null) return undefined;
  const stability = { alpha: 0, beta: 1 }[match[2] as 'alpha' | 'beta'] ?? 2;
  return [stability, Number(match[1]), Number(match[3] ?? 0)];
}
