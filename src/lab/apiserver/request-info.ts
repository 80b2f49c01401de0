/** What a request asks for, read from its method and URL as Kubernetes' RequestInfo does. */
export interface RequestInfo {
  /** Lower-case API verb (`list`, `watch`, `deletecollection`…), or the HTTP method for a path that is not a resource. */
  readonly verb: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Set when the path names a resource. */
  readonly resource?: ResourcePath;
}

export interface ResourcePath {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace: string;
  /** '' for a collection. */
  readonly name: string;
  readonly subresource: string;
  /** What follows the subresource, as it is in the URL: `/metrics` in a proxy's path, '' where nothing does. */
  readonly tail: string;
}

const VERBS: Record<string, string> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** Under a namespace these are its own subresources and not resources in it. */
const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize']);

/**
 * Parses method and URL (path and query). Undefined when the path is not valid percent-encoding.
 * Source: k8s.io/apiserver's request info resolver, as its documentation describes the URL shapes.
 */
export function parseRequest(method: string, url: string): RequestInfo | undefined {
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
  let parts: string[];
  try {
    parts = path.split('/').slice(1).map(decodeURIComponent);
  } catch {
    return undefined;
  }
  if (parts.at(-1) === '') parts.pop();
  const resource = resourceOf(parts, path.split('/').slice(1));
  if (resource === undefined) return { verb: method.toLowerCase(), path, query };
  let verb = VERBS[method] ?? method.toLowerCase();
  if (resource.name === '' && resource.subresource === '') {
    if (verb === 'get') verb = isTrue(query.get('watch')) ? 'watch' : 'list';
    else if (verb === 'delete') verb = 'deletecollection';
  }
  return { verb, path, query, resource };
}

function resourceOf(parts: string[], raw: string[]): ResourcePath | undefined {
  let group = '';
  let rest: string[];
  if (parts[0] === 'api' && parts.length > 2) rest = parts.slice(1);
  else if (parts[0] === 'apis' && parts.length > 3) {
    group = parts[1]!;
    rest = parts.slice(2);
  } else return undefined;
  const version = rest[0]!;
  rest = rest.slice(1);
  let namespace = '';
  if (rest[0] === 'namespaces' && rest.length > 1) {
    namespace = rest[1]!;
    if (rest.length > 2 && !NAMESPACE_SUBRESOURCES.has(rest[2]!)) rest = rest.slice(2);
  }
  const [plural = '', name = '', subresource = ''] = rest;
  // Only the path of a proxy continues after the subresource.
  const after = subresource === '' ? [] : raw.slice(parts.length - rest.length + 3);
  const tail = after.length === 0 ? '' : `/${after.join('/')}`;
  return { group, version, plural, namespace, name, subresource, tail };
}

/** A query parameter that says yes: present and neither `false` nor `0`, as Kubernetes converts booleans. */
export function isTrue(value: string | null): boolean {
  return value !== null && value !== 'false' && value !== '0';
}
