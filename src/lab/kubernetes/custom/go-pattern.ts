import { RE2JS } from 're2js';

/** More than the definitions of one cluster have; who sends others again and again does not fill the memory. */
const MOST_KNOWN = 2000;

const known = new Map<string, RE2JS | undefined>();

/**
 * A regular expression as Go writes it (RE2), which takes time in proportion to what it looks at: a pattern and a value of a client cannot stop
 * the API server. Undefined for one that is not understood. Source: https://github.com/google/re2/wiki/Syntax.
 */
export function goPattern(pattern: string): { test(text: string): boolean } | undefined {
  if (!known.has(pattern)) {
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(pattern, compiled(pattern));
  }
  return known.get(pattern);
}

function compiled(pattern: string): RE2JS | undefined {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (error instanceof Error && error.name === 'RE2JSSyntaxException') return undefined;
    throw error;
  }
}
