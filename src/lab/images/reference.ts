/** The parts of a normalised image reference. Exactly one of `tag` and `digest` names the version. */
export interface ImageReference {
  /** `docker.io`, `registry.k8s.io`, `host:port`. */
  domain: string;
  /** `library/busybox`. */
  path: string;
  tag?: string;
  digest?: string;
}

const DOMAIN =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::\d+)?$/;
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[a-f0-9]{64}$/;

/**
 * Reads an image name as Docker and containerd do: no domain means `docker.io`, one path component there means
 * `library/…`, no version means `latest`. Undefined when the text is not an image name.
 * Source: github.com/distribution/reference (the grammar in its package comment).
 */
export function parseReference(text: string): ImageReference | undefined {
  const [beforeDigest, digest, ...more] = text.split('@');
  if (more.length > 0 || (digest !== undefined && !DIGEST.test(digest))) return undefined;
  let rest = beforeDigest!;
  let domain = 'docker.io';
  const slash = rest.indexOf('/');
  const first = rest.slice(0, Math.max(slash, 0));
  if (slash > 0 && (/[.:]/.test(first) || first === 'localhost')) {
    domain = first === 'index.docker.io' ? 'docker.io' : first;
    rest = rest.slice(slash + 1);
  }
  const colon = rest.lastIndexOf(':');
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  let path = colon < 0 ? rest : rest.slice(0, colon);
  if (domain === 'docker.io' && !path.includes('/')) path = `library/${path}`;
  if (!DOMAIN.test(domain) || !PATH.test(path) || (tag !== undefined && !TAG.test(tag))) return undefined;
  return digest === undefined ? { domain, path, tag: tag ?? 'latest' } : { domain, path, digest };
}

/** The full form, as containerd stores it: `docker.io/library/busybox:latest`. */
export function formatReference(reference: ImageReference): string {
  const version = reference.digest === undefined ? `:${reference.tag}` : `@${reference.digest}`;
  return `${reference.domain}/${reference.path}${version}`;
}
