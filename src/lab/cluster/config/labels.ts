import type { Field } from './document.ts';

const NAME = /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

/**
 * Reads `labels`, by the rules of the API server, which would refuse them later otherwise.
 * Source: Kubernetes' documentation, "Labels and Selectors: Syntax and character set".
 */
export function readLabels(field: Field | undefined): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [key, entry] of field?.entries() ?? []) {
    if (!isLabelKey(key)) {
      entry.errorAtKey(
        'not a label key: want [PREFIX/]NAME, where NAME is up to 63 letters, digits, -, _ and . with a letter ' +
          'or digit at both ends, and PREFIX is a DNS name',
      );
    }
    const value = entry.string() ?? '';
    if (value !== '' && !NAME.test(value)) {
      entry.error(
        `${JSON.stringify(value)} is not a label value: want up to 63 letters, digits, -, _ and . with a letter ` +
          'or digit at both ends',
      );
    }
    labels[key] = value;
  }
  return labels;
}

function isLabelKey(key: string): boolean {
  const [name, prefix, ...more] = key.split('/').reverse();
  if (more.length > 0 || !NAME.test(name ?? '')) return false;
  return prefix === undefined || (prefix.length <= 253 && SUBDOMAIN.test(prefix));
}
