import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where this user's cache has the programs of a release of Kubernetes, `v1.36.1`, when they have been built. */
export function releaseCache(version: string, env: Record<string, string | undefined> = process.env): string {
  return join(cacheRoot(env), 'kubernetes', version);
}

/** Where this user's cache has a containerd, `v2.3.7`, when it has been built. */
export function containerdCache(
  version: string,
  env: Record<string, string | undefined> = process.env,
): string {
  return join(cacheRoot(env), 'containerd', version);
}

/** The lock of whoever puts a release of Kubernetes into the cache. */
export function cacheLock(env: Record<string, string | undefined> = process.env): string {
  return join(cacheRoot(env), 'kubernetes.lock');
}

/** Where this project keeps for a user what takes long to make. Source: the XDG Base Directory Specification. */
export function cacheRoot(env: Record<string, string | undefined> = process.env): string {
  const base = env.XDG_CACHE_HOME ?? '';
  // The specification says to ignore a relative path.
  return join(base.startsWith('/') ? base : join(homedir(), '.cache'), 'hostport');
}
