import { parseReference } from '../../src/lab/images/reference.ts';
import { InputError } from '../../src/util/errors.ts';

/** A registry, and where in it: `ghcr.io/owner`, `registry.example:5000`. */
export interface RegistryPlace {
  domain: string;
  /** Below it; empty, or with a slash at its end. */
  below: string;
}

/** Reads `REGISTRY` of the command line. The registry has to be named: nothing goes to one that somebody forgot. */
export function parseRegistry(text: string): RegistryPlace {
  const reference = parseReference(`${text}/name:tag`);
  const [first = ''] = text.split('/', 1);
  if (reference === undefined || !(/[.:]/.test(first) || first === 'localhost'))
    throw new InputError(
      `cannot use the registry ${JSON.stringify(text)}: it names no registry; write it as ghcr.io/owner or registry.example:5000`,
    );
  return { domain: reference.domain, below: reference.path.slice(0, -'name'.length) };
}
