import type { Pod } from '../../kube/types.ts';

/** Names of other objects that a pod needs, by the plural of their resource. */
export interface PodReferences {
  secrets: Set<string>;
  configmaps: Set<string>;
}

interface Reference {
  name?: string;
}

/** A volume's source as far as it may name a secret: old plugins do it in fields of their own. */
type VolumeSource = Partial<
  Record<'secretRef' | 'nodePublishSecretRef', Reference> & Record<'secretName', string>
>;

/** Source: kubernetes/pkg/api/v1/pod, `VisitPodSecretNames` and `VisitPodConfigmapNames`. */
export function podReferences({ spec }: Pod): PodReferences {
  const secrets: (string | undefined)[] = (spec?.imagePullSecrets ?? []).map(({ name }) => name);
  const configmaps: (string | undefined)[] = [];
  const containers = [
    ...(spec?.containers ?? []),
    ...(spec?.initContainers ?? []),
    ...(spec?.ephemeralContainers ?? []),
  ];
  for (const container of containers) {
    for (const { secretRef, configMapRef } of container.envFrom ?? []) {
      secrets.push(secretRef?.name);
      configmaps.push(configMapRef?.name);
    }
    for (const { valueFrom } of container.env ?? []) {
      secrets.push(valueFrom?.secretKeyRef?.name);
      configmaps.push(valueFrom?.configMapKeyRef?.name);
    }
  }
  for (const { name: _name, projected, configMap, ...sources } of spec?.volumes ?? []) {
    configmaps.push(configMap?.name);
    for (const source of Object.values(sources) as VolumeSource[]) {
      secrets.push(source?.secretName, source?.secretRef?.name, source?.nodePublishSecretRef?.name);
    }
    for (const { secret, configMap: map } of projected?.sources ?? []) {
      secrets.push(secret?.name);
      configmaps.push(map?.name);
    }
  }
  const named = (names: (string | undefined)[]) =>
    new Set(names.filter((name) => name !== undefined && name !== '')) as Set<string>;
  return { secrets: named(secrets), configmaps: named(configmaps) };
}

/** Sources of a projected volume that need the API, as the refusal of a mirror pod names them. */
const PROJECTED: Readonly<Record<string, string>> = {
  configMap: 'configmaps (via projected volumes)',
  secret: 'secrets (via projected volumes)',
  serviceAccountToken: 'serviceaccounts (via projected volumes)',
  clusterTrustBundle: 'clustertrustbundles',
  podCertificate: 'podcertificates',
};

/** Sources of a volume that need the API. */
const VOLUMES: Readonly<Record<string, string>> = {
  configMap: 'configmaps (via configmap volumes)',
  secret: 'secrets (via secret volumes)',
  csi: 'csidrivers (via CSI volumes)',
  glusterfs: 'endpoints (via glusterFS volumes)',
  persistentVolumeClaim: 'persistentvolumeclaims',
  ephemeral: 'persistentvolumeclaims (via ephemeral volumes)',
  azureFile: 'secrets (via azureFile volumes)',
};

/**
 * The first other object of the API that a pod refers to, in words; undefined for a pod that needs none.
 * Source: kubernetes/pkg/api/pod, `HasAPIObjectReference`.
 */
export function apiReference(pod: Pod): string | undefined {
  const { spec } = pod;
  if (spec?.serviceAccountName) return 'serviceaccounts';
  const { secrets, configmaps } = podReferences(pod);
  if (secrets.size > 0) return 'secrets';
  if (configmaps.size > 0) return 'configmaps';
  if (((spec as { resourceClaims?: unknown[] })?.resourceClaims ?? []).length > 0) return 'resourceclaims';
  for (const { name: _name, projected, ...sources } of spec?.volumes ?? []) {
    const kinds = (projected?.sources ?? []).flatMap((source) =>
      Object.keys(source).map((key) => PROJECTED[key]),
    );
    const found = [...Object.keys(sources).map((key) => VOLUMES[key]), ...kinds].find(
      (kind) => kind !== undefined,
    );
    if (found !== undefined) return found;
  }
  return undefined;
}
