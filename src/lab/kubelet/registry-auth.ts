import type { RegistryAuth } from '../../cri/runtime.ts';
import type { Secret } from '../../kube/types.ts';

interface DockerConfig {
  auths?: Record<string, { username?: string; password?: string; auth?: string; identitytoken?: string }>;
}

/** The credentials that pull secrets have for the registry of an image, in the order of the secrets. */
export function registryAuths(secrets: readonly Secret[], image: string): RegistryAuth[] {
  const [first = '', ...rest] = image.split('/');
  const registry = rest.length > 0 && /[.:]|^localhost$/.test(first) ? first : 'docker.io';
  return secrets.flatMap((secret) => {
    const text = secret.data?.['.dockerconfigjson'];
    if (text === undefined) return [];
    const config = JSON.parse(Buffer.from(text, 'base64').toString('utf8')) as DockerConfig;
    return Object.entries(config.auths ?? {})
      .filter(([server]) => hostOf(server) === registry)
      .map(([, { username, password, auth, identitytoken }]) => {
        const [user, ...words] =
          auth === undefined ? [] : Buffer.from(auth, 'base64').toString('utf8').split(':');
        return {
          username: username ?? user,
          password: password ?? (user === undefined ? undefined : words.join(':')),
          identityToken: identitytoken,
        };
      });
  });
}

function hostOf(server: string): string {
  const host = server.replace(/^https?:\/\//, '').split('/')[0]!;
  return host === 'index.docker.io' ? 'docker.io' : host;
}
