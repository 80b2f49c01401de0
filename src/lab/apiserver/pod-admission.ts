import { isMirrorPod } from '../../kube/pods.ts';
import type { Pod, ServiceAccount } from '../../kube/types.ts';
import { type ApiObject, randomSuffix } from './objects.ts';
import { podReferences } from './pod-references.ts';
import { forbidden } from './status-error.ts';

const PODS = { group: '', plural: 'pods' };
const TOKEN_MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** An hour, and seven seconds that mark such tokens apart from requested ones; as Kubernetes does. */
const TOKEN_SECONDS = 3607;
const TOLERATION_SECONDS = 300;

/**
 * Kubernetes' ServiceAccount and DefaultTolerationSeconds admission of a new pod: the account's name, its token as volume
 * `kube-api-access-…`, its pull secrets, and five minutes' tolerance of a node that is gone. Changes `pod`. `lookUp`
 * reads the account. Throws Forbidden.
 */
export async function admitPod(
  pod: ApiObject,
  lookUp: (name: string) => Promise<ServiceAccount | undefined>,
): Promise<void> {
  pod.spec ??= {};
  const spec = pod.spec;
  const name = pod.metadata.name ?? '';
  tolerateNodeLoss(spec);
  if (isMirrorPod(pod)) return;
  spec.serviceAccountName ||= spec.serviceAccount || 'default';
  spec.serviceAccount = spec.serviceAccountName;
  const account = await lookUp(spec.serviceAccountName);
  if (account === undefined) {
    const which = `${pod.metadata.namespace}/${spec.serviceAccountName}`;
    const why = `error looking up service account ${which}: serviceaccount ${JSON.stringify(spec.serviceAccountName)} not found`;
    throw forbidden(PODS, name, why);
  }
  if ((spec.imagePullSecrets ?? []).length === 0 && account.imagePullSecrets !== undefined) {
    spec.imagePullSecrets = account.imagePullSecrets;
  }
  const automount = spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true;
  if (automount) mountToken(spec);
}

/** A mirror pod is a picture of what a node runs by itself, and gets nothing of the API. Throws Forbidden for one that asks. */
export function refuseMirrorReferences(pod: ApiObject): void {
  if (!isMirrorPod(pod)) return;
  const refused = (why: string) => forbidden(PODS, pod.metadata.name ?? '', `a mirror pod may not ${why}`);
  if (pod.spec?.serviceAccountName) throw refused('reference service accounts');
  const { secrets } = podReferences(pod as unknown as Pod);
  if (secrets.size > 0) throw refused('reference secrets');
  for (const { projected } of (pod as unknown as Pod).spec?.volumes ?? []) {
    if (projected?.sources?.some(({ serviceAccountToken }) => serviceAccountToken !== undefined))
      throw refused('use service account token volumes');
  }
}

interface Mountable {
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[];
}

function mountToken(spec: ApiObject['spec']): void {
  const containers: Mountable[] = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const without = containers.filter(
    ({ volumeMounts }) => !volumeMounts?.some(({ mountPath }) => mountPath === TOKEN_MOUNT),
  );
  if (without.length === 0) return;
  const volume = `kube-api-access-${randomSuffix()}`;
  for (const container of without) {
    container.volumeMounts = [
      ...(container.volumeMounts ?? []),
      { name: volume, readOnly: true, mountPath: TOKEN_MOUNT },
    ];
  }
  const namespace = { path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } };
  const sources = [
    { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: 'token' } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    { downwardAPI: { items: [namespace] } },
  ];
  spec.volumes = [...(spec.volumes ?? []), { name: volume, projected: { sources, defaultMode: 0o644 } }];
}

interface Toleration {
  key?: string;
  operator?: string;
  effect?: string;
  tolerationSeconds?: number;
}

/** Kubernetes' DefaultTolerationSeconds, of new and of changed pods. Changes `spec`. */
export function tolerateNodeLoss(spec: ApiObject['spec']): void {
  const tolerations: Toleration[] = spec.tolerations ?? [];
  for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
    const tolerated = tolerations.some(
      (item) =>
        (item.key === key || (!item.key && item.operator === 'Exists')) &&
        (!item.effect || item.effect === 'NoExecute'),
    );
    if (tolerated) continue;
    tolerations.push({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: TOLERATION_SECONDS });
  }
  spec.tolerations = tolerations;
}
