import { type ApiClient, hasReason } from '../../kube/client.ts';
import type { Resource } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { type RetryOptions, retrying } from './retry.ts';

/** Something that the API may be asked for. */
export interface Right {
  verb: string;
  group?: string;
  /** `pods`, `pods/exec`. */
  resource: string;
  /** All namespaces when absent. */
  namespace?: string;
  /** All objects when absent. */
  name?: string;
}

/** Without them there is nothing to diagnose. */
export const NEEDED_RIGHTS: readonly Right[] = [
  { verb: 'list', resource: 'nodes' },
  { verb: 'list', resource: 'pods' },
];

/** What the objects are read with. Without those that are not needed, the diagnosis says less. */
export const OBJECT_RIGHTS: readonly Right[] = [
  ...NEEDED_RIGHTS,
  { verb: 'list', resource: 'services' },
  { verb: 'list', resource: 'events' },
  { verb: 'list', group: 'networking.k8s.io', resource: 'networkpolicies' },
];

/** What examining nodes takes: the pods of a run, in its namespace, and that namespace unless it is there. */
export function readerRights(namespace: string, createsNamespace: boolean): Right[] {
  const ofNamespace = ['create', 'delete', 'get'].map((verb) => ({ verb, resource: 'namespaces' }));
  const ofPods = ['create', 'delete', 'list', 'watch'].map((verb) => ({ verb, resource: 'pods', namespace }));
  return [...(createsNamespace ? ofNamespace : []), ...ofPods, ...execRights(namespace)];
}

/** What running a program in a pod takes. Over WebSocket the request is a GET; Kubernetes 1.35 asks for the right to create as well. */
export function execRights(namespace: string): Right[] {
  return ['create', 'get'].map((verb) => ({ verb, resource: 'pods/exec', namespace }));
}

type AccessReview = KubeObject & { status?: { allowed?: boolean } };

const accessReviews: Resource<AccessReview & { spec: object }> = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'selfsubjectaccessreviews',
  kind: 'SelfSubjectAccessReview',
  namespaced: false,
};

/** Those of some rights that the user does not have. A server that cannot be asked (it does not serve the kind) is taken to allow them. */
export async function missingRights(
  client: ApiClient,
  rights: readonly Right[],
  retry: RetryOptions,
): Promise<Right[]> {
  const answers = await Promise.all(
    rights.map(async (right) => {
      const [resource, subresource] = right.resource.split('/');
      const resourceAttributes = {
        verb: right.verb,
        group: right.group ?? '',
        resource,
        ...(subresource !== undefined && { subresource }),
        ...(right.namespace !== undefined && { namespace: right.namespace }),
        ...(right.name !== undefined && { name: right.name }),
      };
      try {
        const asked = { spec: { resourceAttributes } };
        return (await retrying(() => client.create(accessReviews, asked), retry)).status?.allowed === true;
      } catch (cause) {
        if (hasReason(cause, 'NotFound', 'Forbidden', 'MethodNotAllowed')) return true;
        throw cause;
      }
    }),
  );
  return rights.filter((_, i) => !answers[i]);
}

/** Rights in words: `create, delete namespaces; get pods/exec in namespace x`. */
export function describeRights(rights: readonly Right[]): string {
  const groups = Map.groupBy(rights, ({ group, resource, namespace, name }) => {
    const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
    return `${resource}${group === undefined ? '' : `.${group}`}${name === undefined ? '' : `/${name}`}${where}`;
  });
  return [...groups].map(([what, of]) => `${of.map(({ verb }) => verb).join(', ')} ${what}`).join('; ');
}
