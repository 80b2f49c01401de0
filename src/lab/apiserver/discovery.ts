import { groupVersionOf, type KindInfo, subresourceOf } from '../../kube/kinds.ts';
import { compareVersions } from '../kubernetes/custom/custom-kind.ts';

interface GroupVersion {
  group: string;
  version: string;
  kinds: KindInfo[];
}

/** Group versions in the order they are preferred, the core group's first. */
function groupVersions(kinds: readonly KindInfo[]): GroupVersion[] {
  const found = new Map<string, GroupVersion>();
  for (const info of kinds) {
    if (info.role === 'subresource') continue;
    const key = groupVersionOf(info);
    const entry = found.get(key) ?? { group: info.group, version: info.version, kinds: [] };
    entry.kinds.push(info);
    found.set(key, entry);
  }
  // Groups keep their order; in a group of custom kinds, the order of its versions is that of their names.
  const groups = Map.groupBy(found.values(), ({ group }) => group);
  return [...groups.values()].flatMap((versions) =>
    versions.sort((a, b) => compareVersions(a.version, b.version)),
  );
}

function groupOf(name: string, versions: string[]): object {
  const list = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: list, preferredVersion: list[0] };
}

/** `/api`: the versions of the core group. */
export function coreVersions(serverAddress: string): object {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  };
}

/** A second name of a kind has no short names: kubectl would warn of the ambiguity each time a user types `deploy`. */
function shortNamesOf(info: KindInfo): { shortNames?: readonly string[] } {
  const isSecondName = info.storageGroup !== info.group;
  return info.shortNames.length === 0 || isSecondName ? {} : { shortNames: info.shortNames };
}

/** `/apis`: every other group. */
export function groupList(kinds: readonly KindInfo[]): object {
  const versions = new Map<string, string[]>();
  for (const { group, version } of groupVersions(kinds)) {
    if (group !== '') versions.set(group, [...(versions.get(group) ?? []), version]);
  }
  const groups = [...versions].map(([name, list]) => groupOf(name, list));
  return { kind: 'APIGroupList', apiVersion: 'v1', groups };
}

/** `/apis/GROUP`; undefined for a group that is not served. */
export function group(kinds: readonly KindInfo[], name: string): object | undefined {
  const versions = groupVersions(kinds).filter((item) => item.group === name && name !== '');
  if (versions.length === 0) return undefined;
  const body = groupOf(
    name,
    versions.map(({ version }) => version),
  );
  return { kind: 'APIGroup', apiVersion: 'v1', ...body };
}

/** `/api/v1` and `/apis/GROUP/VERSION`; undefined for what is not served. */
export function resourceList(
  kinds: readonly KindInfo[],
  groupName: string,
  version: string,
): object | undefined {
  const found = groupVersions(kinds).find((item) => item.group === groupName && item.version === version);
  if (found === undefined) return undefined;
  const resources = found.kinds.flatMap((info) => {
    const own = {
      name: info.plural,
      singularName: info.singular,
      namespaced: info.namespaced,
      kind: info.kind,
      verbs: info.verbs,
      ...shortNamesOf(info),
      ...(info.categories.length === 0 ? {} : { categories: info.categories }),
    };
    const subresources = info.subresources.flatMap((name) => {
      const sub = subresourceOf(info, name);
      if (sub === undefined) return [];
      const foreign = sub.group !== info.group || sub.version !== info.version;
      return [
        {
          name: `${info.plural}/${name}`,
          singularName: '',
          namespaced: info.namespaced,
          ...(foreign ? { group: sub.group, version: sub.version } : {}),
          kind: sub.kind,
          verbs: sub.verbs,
        },
      ];
    });
    return [own, ...subresources];
  });
  const groupVersion = groupName === '' ? version : `${groupName}/${version}`;
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
}

/**
 * `/api` (`core` true) or `/apis` as one document, which spares clients a request a group. `version` is that of
 * apidiscovery.k8s.io: `v2`, or `v2beta1` for clients from before 1.30; their fields are the same.
 */
export function aggregated(kinds: readonly KindInfo[], core: boolean, version: 'v2' | 'v2beta1'): object {
  const groups = new Map<string, object[]>();
  for (const entry of groupVersions(kinds)) {
    if ((entry.group === '') !== core) continue;
    const resources = entry.kinds.map((info) => ({
      resource: info.plural,
      responseKind: { group: info.group, version: info.version, kind: info.kind },
      scope: info.namespaced ? 'Namespaced' : 'Cluster',
      singularResource: info.singular,
      verbs: info.verbs,
      ...shortNamesOf(info),
      ...(info.categories.length === 0 ? {} : { categories: info.categories }),
      subresources: info.subresources.flatMap((name) => {
        const sub = subresourceOf(info, name);
        if (sub === undefined) return [];
        const { group, version, kind, verbs } = sub;
        return [{ subresource: name, responseKind: { group, version, kind }, verbs }];
      }),
    }));
    const list = groups.get(entry.group) ?? [];
    list.push({ version: entry.version, resources, freshness: 'Current' });
    groups.set(entry.group, list);
  }
  const items = [...groups].map(([name, versions]) => ({
    metadata: { name: name === '' ? undefined : name, creationTimestamp: null },
    versions,
  }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items };
}
