import { type ApiClient, hasReason } from '../../kube/client.ts';
import { configMaps, type Resource, secrets, serviceAccounts } from '../../kube/resources.ts';
import type { KubeObject, Pod } from '../../kube/types.ts';
import type { Clock } from '../../sys/clock.ts';
import type { ObjectSource } from './volumes/volumes.ts';

interface Token {
  token: string;
  /** When it is time for another: kubelets renew at 80 % of a token's life. */
  renewAt: number;
}

/** Objects of the API that pods refer to, asked for when they are needed; tokens are kept until they need renewal, or their pod is gone. */
export function apiObjects(client: ApiClient, clock: Clock): ObjectSource {
  /** By the UID of their pod, and by what they are for. */
  const tokens = new Map<string, Map<string, Token>>();

  async function find<T extends KubeObject>(
    resource: Resource<T>,
    namespace: string,
    name: string,
  ): Promise<T | undefined> {
    try {
      return await client.get(resource, name, namespace);
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  return {
    configMap: (namespace, name) => find(configMaps, namespace, name),
    secret: (namespace, name) => find(secrets, namespace, name),
    async token(pod: Pod, audience, expirationSeconds) {
      const { uid, name, namespace } = pod.metadata!;
      const account = pod.spec?.serviceAccountName ?? 'default';
      const key = JSON.stringify([account, audience, expirationSeconds]);
      const now = clock.now();
      const known = tokens.get(uid!)?.get(key);
      if (known !== undefined && known.renewAt >= now) return known.token;
      const answer = await client.postSubresource<{ status: { token: string; expirationTimestamp: string } }>(
        serviceAccounts,
        account,
        namespace,
        'token',
        {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: {
            audiences: audience === undefined ? undefined : [audience],
            expirationSeconds,
            boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
          },
        },
      );
      const { token, expirationTimestamp } = answer.status;
      const ofPod = tokens.get(uid!) ?? new Map<string, Token>();
      tokens.set(uid!, ofPod);
      ofPod.set(key, { token, renewAt: now + (Date.parse(expirationTimestamp) - now) * 0.8 });
      return token;
    },
    forget: (uid) => tokens.delete(uid),
  };
}
