import { InvalidArgumentError } from 'commander';
import { dnsLabelErrors, dnsSubdomainErrors } from '../kube/names.ts';
import { quantityUnits } from '../kube/quantity.ts';
import { parseDuration } from '../util/duration.ts';

/** An option's value that is a duration (`30s`, `5m`): milliseconds. */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 0) throw new InvalidArgumentError('want a duration like 30s or 5m.');
  return ms;
}

/** kubectl's `--request-timeout`, in milliseconds: a number alone is seconds. */
export function requestTimeout(text: string): number {
  return /^\d+$/.test(text) ? Number(text) * 1000 : duration(text);
}

/** A repeatable option: the list of its values, each converted by `read` (`String`: as it is). */
export function collect<T>(
  read: (text: string) => T,
): ((text: string, before?: readonly T[]) => T[]) & { isRepeatable: true } {
  const add = (text: string, before: readonly T[] = []) => [...before, read(text)];
  return Object.assign(add, { isRepeatable: true as const });
}

/** An option's value that is the name of a node: a DNS subdomain (RFC 1123). */
export function nodeName(text: string): string {
  const [problem] = dnsSubdomainErrors(text);
  if (problem === undefined) return text;
  throw new InvalidArgumentError('want the name of a node: lower case letters, digits, "-" and ".".');
}

/** An option's value that is the name of a namespace: a DNS label (RFC 1123). */
export function namespaceName(text: string): string {
  if (dnsLabelErrors(text).length === 0) return text;
  throw new InvalidArgumentError('want the name of a namespace: lower case letters, digits and "-".');
}

/** An option's value that is the name of a Secret. */
export function secretName(text: string): string {
  if (dnsSubdomainErrors(text).length === 0) return text;
  throw new InvalidArgumentError('want the name of a Secret: lower case letters, digits, "-" and ".".');
}

/** An option's value that is a reference of an image: its name, which may have a host and a port, a tag, a digest. */
export function imageReference(text: string): string {
  // Source: github.com/distribution/reference, as far as a typo would not be refused by the runtime in clear words.
  if (/^[A-Za-z0-9](?:[\w.:/-]*\w)?(?:@[a-z0-9]+:[0-9a-fA-F]{32,})?$/.test(text)) return text;
  throw new InvalidArgumentError(
    'want the reference of an image, as registry.example.com/hostport-agent:1.2.3.',
  );
}

/** An option's value that is a port that a program without further rights can have. */
export function portNumber(text: string): number {
  const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
  if (port >= 1024 && port <= 65535) return port;
  throw new InvalidArgumentError('want a port from 1024 to 65535.');
}

/** An option's value that is a host and a port. */
export function hostAndPort(text: string): { host: string; port: number } {
  const [, bracketed, plain, digits = ''] =
    /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)):([1-9]\d{0,4})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(digits) <= 65535) return { host, port: Number(digits) };
  throw new InvalidArgumentError('want HOST:PORT, as api.example.com:6443 or [2001:db8::1]:6443.');
}

/** An option's value that is a user and a group by number (`0`, `1000:1000`). */
export function userNumbers(text: string): string {
  if (/^\d{1,10}(:\d{1,10})?$/.test(text)) return text;
  throw new InvalidArgumentError('want UID or UID:GID, as 0 or 1000:1000.');
}

/** An option's value that is an environment variable with its value. */
export function environmentEntry(text: string): string {
  if (/^[^=\0]+=[^\0]*$/.test(text)) return text;
  throw new InvalidArgumentError('want NAME=VALUE.');
}

/** An option's value that is an absolute path. */
export function absolutePath(text: string): string {
  if (text.startsWith('/')) return text;
  throw new InvalidArgumentError('want an absolute path.');
}

/** An option's value that is one of some words, which completion asks it for. */
export function oneOf<T extends string>(
  ...words: readonly T[]
): ((text: string) => T) & { words: readonly T[] } {
  const read = (text: string) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`want ${words.map((word) => `"${word}"`).join(' or ')}.`);
  };
  return Object.assign(read, { words });
}

/** An option's value that is a size in bytes, as Kubernetes writes quantities (`512Mi`, `2Gi`, `1.5G`), and no smaller than `least`. */
export function size(least: string): (text: string) => number {
  return (text) => {
    const bytes = unitsOf(text);
    if (bytes === undefined || bytes < quantityUnits(least)) {
      throw new InvalidArgumentError(`want a size of at least ${least}, as 512Mi or 2Gi.`);
    }
    return bytes;
  };
}

function unitsOf(text: string): number | undefined {
  try {
    return quantityUnits(text);
  } catch {
    return undefined;
  }
}
