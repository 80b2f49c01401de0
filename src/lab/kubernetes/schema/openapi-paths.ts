import { groupVersionOf, type KindInfo, type SubresourceInfo, subresourceOf } from '../../../kube/kinds.ts';
import { type GroupVersionKind, gvkOf, publishedName, schemaNameOf } from './openapi-model.ts';

/** A parameter of an operation, without regard to how a version of OpenAPI writes it. */
export interface Parameter {
  readonly name: string;
  readonly in: 'query' | 'path';
  readonly type: 'string' | 'boolean' | 'integer';
  readonly description: string;
}

export interface Operation {
  readonly method: 'get' | 'put' | 'post' | 'delete' | 'patch';
  /** Kubernetes' name of what the operation does: `list`, `watch`, `post`, … */
  readonly action: string;
  readonly id: string;
  readonly description: string;
  readonly kind: GroupVersionKind;
  readonly parameters: readonly Parameter[];
  /** Content types of the body; none when there is no body. */
  readonly consumes: readonly string[];
  /** Published name of the schema of the body and of the answer; undefined where it is not JSON of this API (logs, streams). */
  readonly body: string | undefined;
  readonly answer: string | undefined;
}

export interface Path {
  readonly path: string;
  /** `api/v1` or `apis/group/version`. */
  readonly groupVersionPath: string;
  readonly parameters: readonly Parameter[];
  readonly operations: readonly Operation[];
}

const query = (name: string, type: Parameter['type'], description: string): Parameter => ({
  name,
  in: 'query',
  type,
  description,
});

const NAME: Parameter = { name: 'name', in: 'path', type: 'string', description: 'name of the object' };
const NAMESPACE: Parameter = {
  name: 'namespace',
  in: 'path',
  type: 'string',
  description: 'namespace of the object',
};

const DRY_RUN = query('dryRun', 'string', 'All: process everything but keep nothing');
const FIELD_MANAGER = query('fieldManager', 'string', 'who makes the change');
const FIELD_VALIDATION = query(
  'fieldValidation',
  'string',
  'what to do with unknown and duplicate fields: Ignore, Warn or Strict',
);
const WRITE = [DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
const FORCE = query('force', 'boolean', 'take over fields of other appliers');
const LIST = [
  query('allowWatchBookmarks', 'boolean', 'let a watch send bookmarks'),
  query('continue', 'string', 'where the last page ended'),
  query('fieldSelector', 'string', 'fields the objects must have'),
  query('labelSelector', 'string', 'labels the objects must have'),
  query('limit', 'integer', 'how many objects to answer with at most'),
  query('resourceVersion', 'string', 'how recent the answer must be'),
  query('resourceVersionMatch', 'string', 'how resourceVersion is meant'),
  query('timeoutSeconds', 'integer', 'when to end'),
  query('watch', 'boolean', 'go on with changes'),
];
const DELETE = [
  DRY_RUN,
  query('gracePeriodSeconds', 'integer', 'how long the object may take to end'),
  query('orphanDependents', 'boolean', 'keep what the object owns'),
  query(
    'propagationPolicy',
    'string',
    'what becomes of what the object owns: Orphan, Background or Foreground',
  ),
];

const JSON_TYPE = ['application/json'];
export const PATCH_TYPES: readonly string[] = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];

const STATUS = publishedName('meta.v1.Status');
const DELETE_OPTIONS = publishedName('meta.v1.DeleteOptions');

/** `apps/v1` as it stands in operation ids: `AppsV1`, `CoreV1`, `RbacAuthorizationV1`. */
function idPart(info: KindInfo): string {
  const group = info.group === '' ? 'core' : info.group.replace(/\.k8s\.io$/, '');
  return [...group.split('.'), info.version].map((part) => part[0]!.toUpperCase() + part.slice(1)).join('');
}

function collectionOperations(info: KindInfo, everyNamespace: boolean): Operation[] {
  const scope = everyNamespace || !info.namespaced ? '' : 'Namespaced';
  const suffix = everyNamespace ? 'ForAllNamespaces' : '';
  const schema = schemaNameOf(info);
  const kind = gvkOf(info);
  const operations: Operation[] = [];
  if (info.verbs.includes('list')) {
    operations.push({
      method: 'get',
      action: 'list',
      id: `list${idPart(info)}${scope}${info.kind}${suffix}`,
      description: `list or watch objects of kind ${info.kind}`,
      kind,
      parameters: LIST,
      consumes: [],
      body: undefined,
      answer: `${schema}List`,
    });
  }
  if (everyNamespace) return operations;
  if (info.verbs.includes('create')) {
    operations.push({
      method: 'post',
      action: 'post',
      id: `create${idPart(info)}${scope}${info.kind}`,
      description: `create a ${info.kind}`,
      kind,
      parameters: WRITE,
      consumes: JSON_TYPE,
      body: schema,
      answer: schema,
    });
  }
  if (info.verbs.includes('deletecollection')) {
    operations.push({
      method: 'delete',
      action: 'deletecollection',
      id: `delete${idPart(info)}Collection${scope}${info.kind}`,
      description: `delete objects of kind ${info.kind}`,
      kind,
      parameters: [
        ...LIST.filter(({ name }) => name !== 'watch' && name !== 'allowWatchBookmarks'),
        ...DELETE,
      ],
      consumes: JSON_TYPE,
      body: DELETE_OPTIONS,
      answer: STATUS,
    });
  }
  return operations;
}

/** Operations on one object or on a subresource of it that reads and writes the same kind. */
function objectOperations(
  info: KindInfo,
  schema: string,
  kind: GroupVersionKind,
  verbs: readonly string[],
  suffix: string,
): Operation[] {
  const scope = info.namespaced ? 'Namespaced' : '';
  const base = { kind, consumes: JSON_TYPE, body: schema, answer: schema };
  const id = (verb: string): string => `${verb}${idPart(info)}${scope}${info.kind}${suffix}`;
  const what = suffix === '' ? `a ${info.kind}` : `${suffix.toLowerCase()} of a ${info.kind}`;
  const all: Record<string, Operation> = {
    get: {
      ...base,
      method: 'get',
      action: 'get',
      id: id('read'),
      description: `read ${what}`,
      parameters: [],
      consumes: [],
      body: undefined,
    },
    update: {
      ...base,
      method: 'put',
      action: 'put',
      id: id('replace'),
      description: `replace ${what}`,
      parameters: WRITE,
    },
    delete: {
      ...base,
      method: 'delete',
      action: 'delete',
      id: id('delete'),
      description: `delete ${what}`,
      parameters: DELETE,
      body: DELETE_OPTIONS,
      answer: STATUS,
    },
    patch: {
      ...base,
      method: 'patch',
      action: 'patch',
      id: id('patch'),
      description: `change ${what} in part`,
      parameters: [...WRITE, FORCE],
      consumes: info.custom ? PATCH_TYPES.filter((type) => !type.includes('strategic')) : PATCH_TYPES,
    },
    create: {
      ...base,
      method: 'post',
      action: 'post',
      id: id('create'),
      description: `create ${what}`,
      parameters: WRITE,
    },
  };
  return ['get', 'update', 'create', 'delete', 'patch'].flatMap((verb) =>
    verbs.includes(verb) ? [all[verb]!] : [],
  );
}

/** Subresources that stream or answer with text: their operations carry no schema. */
const CONNECTS = new Set(['attach', 'exec', 'log', 'portforward', 'proxy']);

function subresourceOperations(
  kinds: readonly KindInfo[],
  info: KindInfo,
  sub: SubresourceInfo,
): Operation[] {
  const suffix = sub.name[0]!.toUpperCase() + sub.name.slice(1);
  const kind = { group: sub.group, kind: sub.kind, version: sub.version };
  if (CONNECTS.has(sub.name)) {
    const methods = sub.verbs.includes('create') ? (['get', 'post'] as const) : (['get'] as const);
    return methods.map((method) => ({
      method,
      action: sub.name === 'log' ? 'get' : 'connect',
      id: `${sub.name === 'log' ? 'read' : `connect${method === 'get' ? 'Get' : 'Post'}`}${idPart(info)}${info.namespaced ? 'Namespaced' : ''}${info.kind}${suffix}`,
      description: `${sub.name} of a ${info.kind}`,
      kind,
      parameters: [],
      consumes: [],
      body: undefined,
      answer: undefined,
    }));
  }
  const speaks = kinds.find(
    (other) => other.kind === sub.kind && other.group === sub.group && other.version === sub.version,
  )!;
  return objectOperations(info, schemaNameOf(speaks), kind, sub.verbs, suffix);
}

/** Every path of the API that serves a kind, sorted. */
export function allPaths(kinds: readonly KindInfo[]): Path[] {
  const paths: Path[] = [];
  for (const info of kinds) {
    if (info.role === 'subresource') continue;
    const groupVersionPath = `${info.group === '' ? 'api' : 'apis'}/${groupVersionOf(info)}`;
    const add = (path: string, parameters: Parameter[], operations: Operation[]): void => {
      if (operations.length > 0) {
        paths.push({ path: `/${groupVersionPath}${path}`, groupVersionPath, parameters, operations });
      }
    };
    const scope = info.namespaced ? '/namespaces/{namespace}' : '';
    const inScope = info.namespaced ? [NAMESPACE] : [];
    if (info.namespaced) add(`/${info.plural}`, [], collectionOperations(info, true));
    add(`${scope}/${info.plural}`, inScope, collectionOperations(info, false));
    if (info.role !== 'stored') continue;
    const one = `${scope}/${info.plural}/{name}`;
    const inOne = [NAME, ...inScope];
    const onObject = info.verbs.filter((verb) => verb !== 'create');
    add(one, inOne, objectOperations(info, schemaNameOf(info), gvkOf(info), onObject, ''));
    for (const name of info.subresources) {
      add(`${one}/${name}`, inOne, subresourceOperations(kinds, info, subresourceOf(info, name)!));
    }
  }
  return paths.sort((a, b) => (a.path < b.path ? -1 : 1));
}
